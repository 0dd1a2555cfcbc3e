/** Uploads and batches of bytes that the ledger's client would not send. */
import assert from 'node:assert/strict';
import { waitFor } from '../harness/wait.ts';
import { isTerminal } from '../harness/ledger.ts';
import type { BatchObject } from '../harness/ledger.ts';
import type { World } from '../harness/world.ts';
import { ask, assertOk, requestBytes } from './http.ts';
import type { Answer } from './http.ts';

/** A batch with what this family looks at besides. */
export interface InputBatch extends BatchObject {
  readonly errors: { readonly data: readonly BatchFault[] } | null;
  readonly webhook_url?: string;
}

export interface BatchFault {
  readonly code: string;
  readonly param: string | null;
  readonly line: number | null;
}

const BOUNDARY = 'a-boundary-of-the-input-faults';
export const FORM_TYPE = `multipart/form-data; boundary=${BOUNDARY}`;

export interface Part {
  /** The lines of its head, without the last line break. */
  readonly head: string;
  readonly content: string | Uint8Array;
}

/** The bytes of a form. Heads are written as they stand. */
export function formBytes(parts: readonly Part[], boundary = BOUNDARY): Buffer {
  const pieces = parts.flatMap(({ head, content }) => [`--${boundary}\r\n${head}\r\n\r\n`, content, '\r\n']);
  return Buffer.concat([...pieces, `--${boundary}--\r\n`].map((piece) => Buffer.from(piece)));
}

/** The bytes of a form up to the end of its first part's content, where more may follow. */
export function openForm({ head, content }: Part): Buffer {
  return Buffer.concat([Buffer.from(`--${BOUNDARY}\r\n${head}\r\n\r\n`), Buffer.from(content)]);
}

export function field(name: string, content: string | Uint8Array): Part {
  return { head: `Content-Disposition: form-data; name="${name}"`, content };
}

export function filePart(content: string | Uint8Array, name = 'filename="input.jsonl"'): Part {
  return { head: `Content-Disposition: form-data; name="file"; ${name}`, content };
}

/** Sends a form as an upload. */
export async function postForm(world: World, parts: readonly Part[]): Promise<Answer> {
  const headers = { 'content-type': FORM_TYPE };
  const body = formBytes(parts);
  return await ask(world.service.url, requestBytes({ method: 'POST', target: '/v1/files', headers, body }));
}

/** Uploads bytes as the input of a batch. */
export async function upload(world: World, content: string | Uint8Array): Promise<Answer> {
  return await postForm(world, [field('purpose', 'batch'), filePart(content)]);
}

export async function get(world: World, target: string): Promise<Answer> {
  return await ask(world.service.url, requestBytes({ target }));
}

/** Sends `body` (as JSON, where it is no bytes) as a create. */
export async function postBatch(world: World, body: object): Promise<Answer> {
  const bytes = body instanceof Uint8Array ? body : JSON.stringify(body);
  const headers = { 'content-type': 'application/json' };
  return await ask(
    world.service.url,
    requestBytes({ method: 'POST', target: '/v1/batches', headers, body: bytes }),
  );
}

/** Uploads, creates and waits for the end. */
export async function runBatch(world: World, content: string | Uint8Array): Promise<InputBatch> {
  const file = assertOk(await upload(world, content)) as { id: string };
  const body = { input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' };
  const { id } = assertOk(await postBatch(world, body)) as InputBatch;
  const stored = await contentOf(world, file.id);
  assert.ok(stored.equals(Buffer.from(content)), 'the file has other bytes than those sent');
  return await waitFor(`the end of ${id}`, async () => {
    const batch = assertOk(await get(world, `/v1/batches/${id}`)) as InputBatch;
    return isTerminal(batch.status) && batch;
  });
}

/** The bytes of a file; none where there is no such file. */
export async function contentOf(world: World, fileId: string | null): Promise<Buffer> {
  if (fileId === null) return Buffer.alloc(0);
  const response = await fetch(`${world.service.url}/v1/files/${fileId}/content`);
  assert.equal(response.status, 200);
  return Buffer.from(await response.arrayBuffer());
}

/** The lines of a result file. */
export async function resultLines(world: World, fileId: string | null): Promise<Buffer[]> {
  const bytes = await contentOf(world, fileId);
  const lines = bytes.toString('latin1').split('\n');
  assert.equal(lines.pop(), '', 'a result file ends with a line end');
  return lines.map((line) => Buffer.from(line, 'latin1'));
}

/** One line of an input file; `customId` and `body` are JSON. */
export function inputLine(customId: string, body: string | Uint8Array): Buffer {
  return Buffer.concat([
    Buffer.from(`{"custom_id":${customId},"method":"POST","url":"/v1/chat/completions","body":`),
    Buffer.from(body),
    Buffer.from('}'),
  ]);
}

/** A file of lines. */
export function fileOf(lines: readonly Uint8Array[]): Buffer {
  return Buffer.concat(lines.flatMap((line) => [line, Buffer.from('\n')]));
}

/** Cuts `items` into groups of at most `size`. */
export function groupsOf<T>(items: readonly T[], size: number): T[][] {
  const groups: T[][] = [];
  for (let i = 0; i < items.length; i += size) groups.push(items.slice(i, i + size));
  return groups;
}
