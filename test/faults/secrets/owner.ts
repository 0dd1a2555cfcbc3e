/** What a client with a key does, well and badly. */
import assert from 'node:assert/strict';
import { isTerminal } from '../harness/ledger.ts';
import type { BatchObject } from '../harness/ledger.ts';
import { waitFor } from '../harness/wait.ts';
import type { Canaries } from './canaries.ts';
import { MANNERS } from './peers.ts';
import type { Answer, Request, Visitor } from './wire.ts';

const BOUNDARY = 'form-of-the-owner';

export interface Owner {
  send(what: string, request: Request): Promise<Answer>;
  /** Uploads text under a telling name. */
  upload(text: string): Promise<string>;
  /** Creates a batch with telling metadata. Its end is told to `webhookUrl`. */
  create(fileId: string, more?: Readonly<Record<string, unknown>>): Promise<string>;
  /** Waits for the end of these, and answers them as they are then. */
  endOf(ids: readonly string[]): Promise<readonly BatchObject[]>;
}

/** `credentials`: the headers of all its requests; default: with the administrator's key. */
export function createOwner(
  visitor: Visitor,
  canaries: Canaries,
  credentials: Readonly<Record<string, string>> = bearer(`sk-${canaries.apiKey.text}`),
): Owner {
  const send: Owner['send'] = async (what, request) =>
    await visitor.send(what, { ...request, headers: { ...credentials, ...request.headers } });
  return {
    send,
    async upload(text) {
      const answer = await send('an upload', uploadOf(text, `in-${canaries.filename.text}.jsonl`));
      assert.equal(answer.status, 200, answer.text);
      return String(answer.json()['id']);
    },
    async create(fileId, more = {}) {
      const answer = await send('a create', createOf(canaries, { input_file_id: fileId, ...more }));
      assert.equal(answer.status, 200, answer.text);
      return String(answer.json()['id']);
    },
    async endOf(ids) {
      const seen = async (id: string): Promise<BatchObject> =>
        (await send('a batch', { target: `/v1/batches/${id}` })).json() as unknown as BatchObject;
      for (const id of ids)
        await waitFor(`the end of ${id}`, async () => isTerminal((await seen(id)).status));
      return await Promise.all(ids.map(seen));
    },
  };
}

/** The header that a key is sent in. */
export const bearer = (key: string): Readonly<Record<string, string>> => ({ authorization: `Bearer ${key}` });

export function uploadOf(text: string, filename: string, purpose = 'batch'): Request {
  return formOf('/v1/files', {
    'name="purpose"': purpose,
    [`name="file"; filename="${filename}"`]: text,
  });
}

/** A part of an upload. */
export function partOf(uploadId: string, text: string): Request {
  return formOf(`/v1/uploads/${uploadId}/parts`, { 'name="data"; filename="part"': text });
}

/** A form of these fields, each by what its disposition says. */
function formOf(target: string, fields: Readonly<Record<string, string>>): Request {
  const parts = Object.entries(fields).map(
    ([head, content]) => `--${BOUNDARY}\r\nContent-Disposition: form-data; ${head}\r\n\r\n${content}\r\n`,
  );
  return {
    method: 'POST',
    target,
    headers: { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` },
    body: `${parts.join('')}--${BOUNDARY}--\r\n`,
  };
}

/** A create with telling metadata. */
export function createOf(canaries: Canaries, more: Readonly<Record<string, unknown>>): Request {
  return postJson('/v1/batches', {
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
    metadata: { note: canaries.metadata.text, [canaries.metadata.text]: 'note' },
    ...more,
  });
}

export function postJson(target: string, body: unknown): Request {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return { method: 'POST', target, headers: { 'content-type': 'application/json' }, body: text };
}

/** A line whose model says how the upstream treats it. */
export function lineOf({ customId, prompt }: Canaries, manner: string, n: number, more: object = {}): string {
  const messages = [{ role: 'user', content: `${prompt.text} ${n}` }];
  const custom_id = `id-${customId.text}-${n}`;
  return JSON.stringify({
    custom_id,
    method: 'POST',
    url: '/v1/chat/completions',
    body: { model: manner, messages },
    ...more,
  });
}

/** One line for each of the upstream's manners. */
export function goodInput(canaries: Canaries, manners: readonly string[] = MANNERS): string {
  return manners.map((manner, n) => `${lineOf(canaries, manner, n)}\n`).join('');
}

/** The first line is a good one, so that the upload is accepted and the batch fails. */
export function badInput(canaries: Canaries): string {
  const { prompt, customId } = canaries;
  const line = (more: object): string => lineOf(canaries, 'answers', 1, more);
  const lines = [
    line({}),
    line({}),
    `{"custom_id":"${customId.text}","prompt":"${prompt.text}"`,
    prompt.text,
    `["${prompt.text}"]`,
    `{"a":"${prompt.text}\u0001"}`,
    line({ custom_id: undefined }),
    line({ custom_id: `${customId.text}-${'x'.repeat(80)}` }),
    line({ method: 'GET' }),
    line({ url: `/v1/embeddings` }),
    line({ body: { messages: prompt.text } }),
    line({ body: prompt.text }),
    line({ body: { model: 'answers', stream: true, messages: prompt.text } }),
    line({ body: { model: 'answers', prompt: prompt.text.repeat(3000) } }),
  ];
  return lines.map((text) => `${text}\n`).join('');
}

/** Calls that are refused, with something in each that nobody else may hear of. */
export async function makeMistakes(owner: Owner, canaries: Canaries, fileId: string): Promise<void> {
  const { prompt, metadata, webhookUrlToken, webhookPassword, filename, customId } = canaries;
  const name = `${filename.text}.jsonl`;
  const refused = async (what: string, request: Request): Promise<void> => {
    const { status, text } = await owner.send(what, request);
    assert.ok(status >= 400 && status < 500, `${what} is answered ${text.slice(0, 200)}`);
  };
  await refused('not JSON', uploadOf(prompt.text, name));
  await refused('empty', uploadOf('', name));
  await refused('a bad purpose', uploadOf(prompt.text, name, 'poetry'));
  await refused('too large', uploadOf(goodInput(canaries).repeat(200), name));
  const whole = uploadOf(goodInput(canaries), name);
  await refused('a cut form', { ...whole, body: String(whole.body).slice(0, -40) });
  await refused('a file as text', { ...whole, body: String(whole.body).replace(/; filename="[^"]*"/, '') });
  await refused('a file of another name', {
    ...whole,
    body: String(whole.body).replace('name="file"', 'name="blob"'),
  });
  await refused('no form', { ...whole, headers: { 'content-type': 'application/x-ndjson' } });

  const create = (what: string, more: Readonly<Record<string, unknown>>): Promise<void> =>
    refused(what, createOf(canaries, { input_file_id: fileId, ...more }));
  await refused(
    'not JSON',
    postJson('/v1/batches', `{"metadata": {"note": "${metadata.text}" ${prompt.text}`),
  );
  await refused('a list', postJson('/v1/batches', [metadata.text]));
  await create('a long value', { metadata: { note: metadata.text.repeat(40) } });
  await create('a value of another type', { metadata: { note: [metadata.text] } });
  await create('too many values', {
    metadata: Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`n${n}`, metadata.text])),
  });
  await create('no file', { input_file_id: undefined });
  await create('a bad window', { completion_window: '1 year' });
  for (const webhook_url of [
    `http://user:${webhookPassword.text}@127.0.0.1/${webhookUrlToken.text}`,
    `http://${webhookPassword.text}@127.0.0.1/`,
    `ftp://127.0.0.1/${webhookUrlToken.text}`,
    webhookUrlToken.text,
    `http://127.0.0.1/${webhookUrlToken.text.repeat(80)}`,
  ]) {
    await create('a webhook', { webhook_url });
  }
  await refused('a prompt in the query', { target: `/v1/batches?limit=0&after=&note=${prompt.text}` });
  await refused('an unknown id', { target: `/v1/files/file-none?custom_id=${customId.text}` });
  await refused('an unknown page', { target: `/v1/files?after=file-none&note=${metadata.text}` });
  await refused('a range', { target: `/v1/files/${fileId}/content`, headers: { range: 'bytes=99999999-' } });
  await refused('a delete', { method: 'DELETE', target: `/v1/files/file-none`, body: prompt.text });
}
