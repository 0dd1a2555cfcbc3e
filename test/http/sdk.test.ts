import { createHash } from 'node:crypto';
import { ReadableStream } from 'node:stream/web';
import OpenAI, { AuthenticationError, BadRequestError, ConflictError, NotFoundError, toFile } from 'openai';
import { describe, expect, it } from 'vitest';
import { createWorker } from '../../src/worker/index.ts';
import { API_KEY, createTestApp, JSONL } from '../helpers/http-app.ts';
import type { TestApp } from '../helpers/http-app.ts';
import { CHAT, inputLine } from '../helpers/test-engine.ts';
import { listen } from './raw-client.ts';

async function openClient(testApp: TestApp, apiKey = API_KEY): Promise<OpenAI> {
  const port = await listen(testApp.app);
  return new OpenAI({ apiKey, baseURL: `http://127.0.0.1:${port}/v1` });
}

function batchFile(name = 'input.jsonl', text = JSONL) {
  return toFile(Buffer.from(text), name);
}

describe('the official Node SDK', () => {
  it('uploads, finds, downloads and deletes files', async () => {
    const client = await openClient(createTestApp());
    const file = await client.files.create({
      file: await batchFile(),
      purpose: 'batch',
      expires_after: { anchor: 'created_at', seconds: 3600 },
    });
    expect(file).toMatchObject({ object: 'file', filename: 'input.jsonl', bytes: JSONL.length });
    expect(file.expires_at).toBe(file.created_at + 3600);
    expect(await client.files.retrieve(file.id)).toEqual(file);
    expect(await client.files.waitForProcessing(file.id)).toEqual(file);
    expect(await (await client.files.content(file.id)).text()).toBe(JSONL);
    expect(await client.files.delete(file.id)).toEqual({ object: 'file', id: file.id, deleted: true });
  });

  it('uploads a stream whose length nobody knows', async () => {
    const client = await openClient(createTestApp());
    const stream = ReadableStream.from([Buffer.from(JSONL), Buffer.from(JSONL)]);
    const file = await client.files.create({ file: new Response(stream), purpose: 'batch' });
    expect(file.bytes).toBe(2 * JSONL.length);
  });

  it('uploads a file in parts that it sends at the same time', async () => {
    const client = await openClient(createTestApp());
    const whole = Buffer.from(JSONL.repeat(1000));
    const upload = await client.uploads.create({
      filename: 'input.jsonl',
      purpose: 'batch',
      bytes: whole.length,
      mime_type: 'application/jsonl',
      expires_after: { anchor: 'created_at', seconds: 3600 },
    });
    expect(upload).toMatchObject({ object: 'upload', status: 'pending', file: null });
    expect(upload.expires_at).toBe(upload.created_at + 3600);
    const size = Math.ceil(whole.length / 5);
    const parts = await Promise.all(
      [0, 1, 2, 3, 4].map(async (i) => {
        const data = await toFile(whole.subarray(i * size, (i + 1) * size), 'part');
        return await client.uploads.parts.create(upload.id, { data });
      }),
    );
    for (const part of parts) expect(part).toMatchObject({ object: 'upload.part', upload_id: upload.id });
    const part_ids = parts.map((part) => part.id);
    await expect(client.uploads.complete(upload.id, { part_ids: part_ids.slice(1) })).rejects.toBeInstanceOf(
      BadRequestError,
    );
    const md5 = createHash('md5').update(whole).digest('hex');
    const completed = await client.uploads.complete(upload.id, { part_ids, md5 });
    expect(completed).toMatchObject({ id: upload.id, status: 'completed' });
    const file = completed.file as OpenAI.FileObject;
    expect(await client.files.retrieve(file.id)).toEqual(file);
    expect(file.expires_at).toBe(file.created_at + 3600);
    expect(await (await client.files.content(file.id)).text()).toBe(whole.toString());
    await expect(client.uploads.cancel(upload.id)).rejects.toBeInstanceOf(BadRequestError);
  });

  it('cancels an upload', async () => {
    const client = await openClient(createTestApp());
    const upload = await client.uploads.create({
      filename: 'f',
      purpose: 'user_data',
      bytes: 1,
      mime_type: 'text/plain',
    });
    expect(await client.uploads.cancel(upload.id)).toEqual({ ...upload, status: 'cancelled' });
    const data = await toFile(Buffer.from('x'), 'part');
    await expect(client.uploads.parts.create(upload.id, { data })).rejects.toBeInstanceOf(BadRequestError);
    await expect(client.uploads.complete('upload_unknown', { part_ids: [] })).rejects.toBeInstanceOf(
      NotFoundError,
    );
  });

  it('pages through all files and batches', async () => {
    const client = await openClient(createTestApp());
    const [files, batches] = [new Set<string>(), new Set<string>()];
    for (let i = 0; i < 5; i++) {
      const file = await client.files.create({ file: await batchFile(`${i}.jsonl`), purpose: 'batch' });
      files.add(file.id);
      const request = { input_file_id: file.id, endpoint: CHAT, completion_window: '24h' } as const;
      batches.add((await client.batches.create(request)).id);
    }
    const listed = { files: new Set<string>(), batches: new Set<string>() };
    for await (const file of client.files.list({ limit: 2 })) listed.files.add(file.id);
    for await (const batch of client.batches.list({ limit: 2 })) listed.batches.add(batch.id);
    expect(listed).toEqual({ files, batches });
  });

  it('runs a batch to its end and reads its output', async () => {
    const testApp = createTestApp();
    const client = await openClient(testApp);
    const worker = createWorker({ engine: testApp.engine });
    await worker.start();
    const input = await client.files.create({
      file: await batchFile('input.jsonl', `${inputLine('a')}\n${inputLine('b')}\n`),
      purpose: 'batch',
    });
    const { id } = await client.batches.create({
      input_file_id: input.id,
      endpoint: CHAT,
      completion_window: '24h',
      metadata: { team: 'x' },
    });
    await expect.poll(async () => (await client.batches.retrieve(id)).status).toBe('completed');
    await worker.stop();
    const batch = await client.batches.retrieve(id);
    expect(batch.request_counts).toEqual({ total: 2, completed: 2, failed: 0 });
    const output = await (await client.files.content(batch.output_file_id as string)).text();
    expect(output.trim().split('\n')).toHaveLength(2);
    await expect(client.batches.cancel(id)).rejects.toBeInstanceOf(ConflictError);
  });

  it('knows the errors by their classes and members', async () => {
    const testApp = createTestApp();
    const client = await openClient(testApp);
    await expect(client.batches.retrieve('batch_unknown')).rejects.toMatchObject({
      constructor: NotFoundError,
      status: 404,
      type: 'invalid_request_error',
      param: null,
      code: null,
      requestID: expect.stringMatching(/^req_/),
    });
    await expect(
      client.files.create({ file: await batchFile('x', 'no JSON'), purpose: 'batch' }),
    ).rejects.toThrow(BadRequestError);
    const stranger = new OpenAI({ apiKey: 'sk-wrong', baseURL: client.baseURL });
    await expect(stranger.files.list()).rejects.toMatchObject({
      constructor: AuthenticationError,
      code: 'invalid_api_key',
    });
  });

  it('does not try again what cannot succeed', async () => {
    const testApp = createTestApp();
    const client = await openClient(testApp);
    const file = await client.files.create({ file: await batchFile(), purpose: 'batch' });
    await client.batches.create({ input_file_id: file.id, endpoint: CHAT, completion_window: '24h' });
    await expect(client.files.delete(file.id)).rejects.toBeInstanceOf(ConflictError);
    const deletes = testApp.logLines.filter((line) => line.includes('"method":"DELETE"'));
    expect(deletes).toHaveLength(1);
  });

  it('sees the answer to a file that is too large', async () => {
    const client = await openClient(createTestApp({ settings: { maxFileBytes: 1024 } }));
    const file = await toFile(Buffer.alloc(8 * 1024 * 1024), 'large.bin');
    await expect(client.files.create({ file, purpose: 'user_data' })).rejects.toMatchObject({ status: 413 });
  });
});
