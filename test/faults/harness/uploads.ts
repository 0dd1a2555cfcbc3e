/** Uploads in parts, as a client makes them. */
import { createHash } from 'node:crypto';
import { Refused } from './client.ts';
import type { Client } from './client.ts';
import type { Input } from './lines.ts';

/** Begins an upload of this input; answers its id. */
export async function beginUpload(client: Client, input: Input): Promise<string> {
  const announced = {
    filename: 'input.jsonl',
    purpose: 'batch',
    bytes: Buffer.byteLength(input.text),
    mime_type: 'text/jsonl',
  };
  const upload = await client.callJson<{ id: string }>('an upload', '/uploads', {
    body: announced,
  });
  return upload.id;
}

/** The bytes of an input in so many pieces. */
export function piecesOf({ text }: Input, count: number): Uint8Array<ArrayBuffer>[] {
  const bytes = Buffer.from(text);
  const size = Math.ceil(bytes.length / count);
  return Array.from({ length: count }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
}

/** Adds a part; answers its id. */
export async function addPart(
  client: Client,
  uploadId: string,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<string> {
  const body = new FormData();
  body.set('data', new Blob([bytes]), 'part');
  const part = await client.callJson<{ id: string }>('a part', `/uploads/${uploadId}/parts`, {
    body,
  });
  return part.id;
}

/** Completes an upload, with its md5; answers the id of the file. */
export async function completeUpload(
  client: Client,
  uploadId: string,
  { partIds, input }: { readonly partIds: readonly string[]; readonly input: Input },
): Promise<string> {
  const { file } = await client.callJson<{ file: { id: string } }>(
    'a complete',
    `/uploads/${uploadId}/complete`,
    {
      body: { part_ids: partIds, md5: createHash('md5').update(input.text).digest('hex') },
    },
  );
  return file.id;
}

/** The id of the file that an earlier call has made of the upload, where that is why this one was refused; else null. */
export function fileMadeBefore(error: unknown): string | null {
  return (error instanceof Refused && /Its file is '([^']+)'/.exec(error.body)?.[1]) || null;
}

export async function cancelUpload(client: Client, uploadId: string): Promise<void> {
  await client.call('a cancel', `/uploads/${uploadId}/cancel`, { method: 'POST' });
}
