/** SIGKILL before and after each fsync, rename, removal and commit on the way of an upload in parts. */
import { createHash } from 'node:crypto';
import { Refused } from '../harness/client.ts';
import type { Fault } from '../harness/fault.ts';
import { makeInput } from '../harness/lines.ts';
import type { World } from '../harness/world.ts';
import { killAtEach } from './each-point.ts';
import { persist } from './program.ts';

const LINES = 500;
const PARTS = 4;

export const killAtEachPointOfAnUpload: Fault = {
  family: 'kill',
  name: 'SIGKILL before and after each fsync, rename, removal and commit of an upload in parts',
  run: (trials) => killAtEach(trials, { quickStep: 9, run: uploadInParts, check: isOneFile }),
};

async function isOneFile(world: World): Promise<void> {
  const { data } = JSON.parse(await call(world, '/files')) as { readonly data: readonly unknown[] };
  if (data.length !== 1) throw new Error(`one upload made ${data.length} files`);
}

/** Uploads a file as a careful client would: a call without an answer is made again. Its parts come at the same time. */
async function uploadInParts(world: World): Promise<void> {
  const input = makeInput(LINES);
  const bytes = Buffer.from(input.text);
  const again = <T>(step: () => Promise<T>): Promise<T> => persist(world, () => world.start(), step);
  const announced = {
    filename: 'input.jsonl',
    purpose: 'batch',
    bytes: bytes.length,
    mime_type: 'text/jsonl',
  };
  const { id } = await again(() => callJson(world, '/uploads', announced));
  const size = Math.ceil(bytes.length / PARTS);
  const parts = await again(() =>
    Promise.all(
      Array.from({ length: PARTS }, (_, i) => addPart(world, id, bytes.subarray(i * size, (i + 1) * size))),
    ),
  );
  const md5 = createHash('md5').update(bytes).digest('hex');
  const fileId = await again(() => complete(world, id, { part_ids: parts.map((part) => part.id), md5 }));
  world.ledger.files.push({ id: fileId, input, isDeleted: false });
}

async function addPart(
  world: World,
  uploadId: string,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<{ id: string }> {
  const body = new FormData();
  body.set('data', new Blob([bytes]), 'part');
  return JSON.parse(await call(world, `/uploads/${uploadId}/parts`, { method: 'POST', body })) as {
    id: string;
  };
}

/** The file's id, also where an earlier call without an answer has completed the upload. */
async function complete(world: World, uploadId: string, body: object): Promise<string> {
  try {
    const upload = await callJson<{ file: { id: string } }>(world, `/uploads/${uploadId}/complete`, body);
    return upload.file.id;
  } catch (error) {
    const made = error instanceof Refused ? /Its file is '([^']+)'/.exec(error.body)?.[1] : undefined;
    if (made === undefined) throw error;
    return made;
  }
}

async function callJson<T = { id: string }>(world: World, path: string, body: object): Promise<T> {
  const headers = { 'content-type': 'application/json' };
  return JSON.parse(await call(world, path, { method: 'POST', headers, body: JSON.stringify(body) })) as T;
}

async function call(world: World, path: string, init: RequestInit = {}): Promise<string> {
  const response = await fetch(`${world.service.url}/v1${path}`, init);
  const text = await response.text();
  if (!response.ok) throw new Refused(path, response.status, text);
  return text;
}
