import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import OpenAI from 'openai';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startUpstreamServer } from '../helpers/upstream-server.ts';
import type { Script } from '../helpers/upstream-server.ts';
import {
  chatLines,
  endOf,
  resultsOf,
  startTestService,
  submitBatch,
  temporaryFolder,
} from './test-service.ts';

const SECRET = `whsec_${Buffer.alloc(32, 9).toString('base64')}`;

async function startUpstream(script: Script) {
  const upstream = await startUpstreamServer(script);
  onTestFinished(() => upstream.close());
  return upstream;
}

describe('a program that uses the official SDK', () => {
  it('uploads the input of a batch in parts, larger than a file in one piece may be', async () => {
    const upstream = await startUpstream(() => ({ body: { object: 'chat.completion' } }));
    const { client } = await startTestService({
      UPSTREAM_BASE_URL: upstream.baseUrl,
      MAX_FILE_BYTES: '1KiB',
      MAX_UPLOAD_BYTES: '1MiB',
    });
    const whole = Buffer.from(chatLines(300));
    const announced = { filename: 'input.jsonl', purpose: 'batch', mime_type: 'text/jsonl' } as const;
    const tooLarge = client.uploads.create({ ...announced, bytes: 1024 * 1024 + 1 });
    await expect(tooLarge).rejects.toMatchObject({ status: 400, param: 'bytes' });
    const upload = await client.uploads.create({ ...announced, bytes: whole.length });
    const size = Math.ceil(whole.length / 4);
    const parts = await Promise.all(
      [0, 1, 2, 3].map(async (i) => {
        const data = await OpenAI.toFile(whole.subarray(i * size, (i + 1) * size), 'part');
        return await client.uploads.parts.create(upload.id, { data });
      }),
    );
    const { file } = await client.uploads.complete(upload.id, {
      part_ids: parts.map((part) => part.id),
      md5: createHash('md5').update(whole).digest('hex'),
    });
    expect(await (await client.files.content(file?.id ?? '')).text()).toBe(whole.toString());
    const { id } = await client.batches.create({
      input_file_id: file?.id ?? '',
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
    });
    expect((await endOf(client, id)).request_counts).toEqual({ total: 300, completed: 300, failed: 0 });
  });

  it('uploads a stream, runs a batch, and downloads the answers in input order', async () => {
    const upstream = await startUpstream((request) => ({
      body: {
        object: 'chat.completion',
        heard: request.json(),
        usage: { prompt_tokens: 2, completion_tokens: 3 },
      },
      headers: { 'x-request-id': 'req_upstream' },
    }));
    const { client } = await startTestService({
      UPSTREAM_BASE_URL: upstream.baseUrl,
      UPSTREAM_API_KEY: 'upstream-key',
    });
    const path = join(await temporaryFolder(), 'input.jsonl');
    await writeFile(path, chatLines(300));
    const file = await client.files.create({ file: createReadStream(path), purpose: 'batch' });
    expect(file).toMatchObject({ filename: 'input.jsonl', purpose: 'batch', status: 'processed' });
    expect((await client.files.waitForProcessing(file.id)).id).toBe(file.id);

    const created = await client.batches.create({
      input_file_id: file.id,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
      metadata: { team: 'search' },
    });
    expect(created.status).toBe('validating');
    const batch = await endOf(client, created.id);
    expect(batch).toMatchObject({
      status: 'completed',
      model: 'test-model',
      metadata: { team: 'search' },
      request_counts: { total: 300, completed: 300, failed: 0 },
      usage: { input_tokens: 600, output_tokens: 900, total_tokens: 1500 },
    });
    expect(batch.error_file_id).toBeNull();
    const results = await resultsOf(client, batch.output_file_id);
    expect(results.map((line) => line.custom_id)).toEqual(
      Array.from({ length: 300 }, (_, i) => `line-${i + 1}`),
    );
    expect(results[4]).toMatchObject({
      response: {
        status_code: 200,
        request_id: 'req_upstream',
        body: { heard: { messages: [{ content: 'question 5' }] } },
      },
      error: null,
    });
    const sent = upstream.requests[0];
    expect(sent).toMatchObject({ method: 'POST', path: '/v1/chat/completions' });
    expect(sent?.headers).toMatchObject({
      authorization: 'Bearer upstream-key',
      'content-type': 'application/json',
      'idempotency-key': expect.stringMatching(/^batch_req_[0-9a-f]{32}$/),
    });
  });

  it('pages through all files and batches', async () => {
    const { client } = await startTestService();
    const files: string[] = [];
    for (let i = 0; i < 25; i++) {
      const source = await OpenAI.toFile(Buffer.from(`{"n":${i}}`), `${i}.jsonl`);
      files.push((await client.files.create({ file: source, purpose: 'batch' })).id);
    }
    const batches: string[] = [];
    for (let i = 0; i < 25; i++) {
      const created = await client.batches.create({
        input_file_id: 'file-unknown',
        endpoint: '/v1/embeddings',
        completion_window: '24h',
      });
      batches.push(created.id);
    }
    const paged: string[] = [];
    for await (const file of client.files.list({ limit: 10, order: 'asc' })) paged.push(file.id);
    expect(paged).toEqual(files);
    paged.length = 0;
    for await (const batch of client.batches.list({ limit: 10 })) paged.push(batch.id);
    expect(paged).toEqual(batches.toReversed());
  });

  it('cancels a running batch within seconds and keeps what was finished', async () => {
    let answers = 0;
    const upstream = await startUpstream(() => (answers++ < 5 ? {} : 'hang'));
    const { client } = await startTestService({ UPSTREAM_BASE_URL: upstream.baseUrl, MAX_CONCURRENCY: '4' });
    const { id } = await submitBatch(client, chatLines(50));
    await expect
      .poll(async () => (await client.batches.retrieve(id)).request_counts?.completed, { timeout: 10_000 })
      .toBe(5);
    expect((await client.batches.cancel(id)).status).toBe('cancelling');
    const batch = await endOf(client, id);
    expect(batch).toMatchObject({
      status: 'cancelled',
      request_counts: { total: 50, completed: 5, failed: 45 },
    });
    expect(await resultsOf(client, batch.output_file_id)).toHaveLength(5);
    const errors = await resultsOf(client, batch.error_file_id);
    expect(errors).toHaveLength(45);
    expect(errors[0]?.error).toMatchObject({ code: 'batch_cancelled' });
    await expect(client.batches.cancel(id)).resolves.toMatchObject({ status: 'cancelled' });
  });

  it('learns of faults with their line numbers', async () => {
    const { client } = await startTestService();
    const lines = chatLines(3, 'echo').split('\n');
    lines[1] = '{"custom_id":"line-1","method":"GET","url":"/v1/embeddings"';
    const { id } = await submitBatch(client, lines.join('\n'));
    const batch = await endOf(client, id);
    expect(batch.status).toBe('failed');
    expect(batch.errors?.data).toEqual([
      {
        code: 'invalid_json_line',
        line: 2,
        message: 'This line is not parseable as valid JSON.',
        param: null,
      },
    ]);
  });

  it('is told to set UPSTREAM_BASE_URL where only echo answers', async () => {
    const { client } = await startTestService();
    const batch = await endOf(client, (await submitBatch(client, chatLines(1, 'gpt-4o'))).id);
    expect(batch.errors?.data?.[0]).toMatchObject({
      code: 'model_not_found',
      message: expect.stringContaining('UPSTREAM_BASE_URL'),
      line: 1,
    });
  });

  it('gets the errors of its classes', async () => {
    const { client, url } = await startTestService({ API_KEYS: 'right-key' });
    await expect(client.files.retrieve('file-none')).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    await expect(client.batches.retrieve('x')).rejects.toBeInstanceOf(OpenAI.BadRequestError);
    const stranger = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'wrong-key', maxRetries: 0 });
    await expect(stranger.files.list()).rejects.toMatchObject({
      status: 401,
      code: 'invalid_api_key',
      requestID: expect.stringMatching(/^req_[0-9a-f]{32}$/),
    });
  });
});

describe('what lies between client and model', () => {
  const oddBody =
    '{ "model" :"m\\u006f", "n":9007199254740993,"dup":1,  "dup":2 ,"lone":"\\ud800","huge":1e400,"s":"\u00e9\u{1f600}" }';
  const oddAnswer = '{ "n" : 9007199254740993 , "lone":"\\udc00","huge":-1e999,\t"dup":1,"dup":2}';

  it('is not touched: the body goes out and the answer comes back byte for byte', async () => {
    const upstream = await startUpstream(() => ({ body: oddAnswer }));
    const { client } = await startTestService({ UPSTREAM_BASE_URL: upstream.baseUrl });
    const line = `{"custom_id":"odd \\u00e9","method":"POST","url":"/v1/chat/completions","body":${oddBody}}\r\n`;
    const batch = await endOf(client, (await submitBatch(client, line)).id);
    expect(upstream.requests[0]?.body.toString()).toBe(oddBody);
    const output = await (await client.files.content(batch.output_file_id ?? '')).text();
    expect(output).toContain(`"body":${oddAnswer}}`);
    expect(output).toContain('"custom_id":"odd \\u00e9"');
  });
});

describe('a webhook', () => {
  it('tells of the end, verifies with the SDK, and is delivered though its receiver was down at first', async () => {
    const received: { body: string; headers: Headers }[] = [];
    let down = true;
    const receiver = await startUpstream((request) => {
      if (down) return { status: 503, headers: { 'retry-after': '1' } };
      received.push({ body: request.body.toString(), headers: new Headers({ ...request.headers }) });
      return { status: 204, body: '' };
    });
    const env = { WEBHOOK_SIGNING_SECRET: SECRET, WEBHOOK_URLS: `${receiver.origin}/all` };
    const { client, logs } = await startTestService(env);
    const { id } = await submitBatch(client, chatLines(2, 'echo'));
    const batch = await endOf(client, id);
    await expect.poll(() => receiver.requests.length).toBeGreaterThanOrEqual(3);
    down = false;
    await expect.poll(() => received.length, { timeout: 15_000 }).toBeGreaterThanOrEqual(3);
    const events = await Promise.all(
      received.map(({ body, headers }) => client.webhooks.unwrap(body, headers, SECRET)),
    );
    expect(new Set(events.map((event) => event.type as string))).toEqual(
      new Set(['batch.queued', 'batch.in_progress', 'batch.completed']),
    );
    const end = events.find((event) => event.type === 'batch.completed');
    expect(end?.data).toMatchObject({ id, output_file_id: batch.output_file_id });
    expect(logs.join('')).not.toContain(SECRET);
  });

  it('to a private address is refused at create, unless that is allowed', async () => {
    const { client } = await startTestService({ WEBHOOK_SIGNING_SECRET: SECRET });
    const options = { webhook_url: 'http://169.254.169.254/latest/meta-data' };
    await expect(submitBatch(client, chatLines(1, 'echo'), options)).rejects.toMatchObject({
      status: 400,
      param: 'webhook_url',
    });
    const receiver = await startUpstream(() => ({}));
    const lenient = await startTestService({ WEBHOOK_SIGNING_SECRET: SECRET, WEBHOOK_ALLOW_PRIVATE: 'true' });
    await submitBatch(lenient.client, chatLines(1, 'echo'), { webhook_url: `${receiver.origin}/mine` });
    await expect.poll(() => receiver.requests.length).toBe(1);
    expect(receiver.requests[0]?.json()).toMatchObject({ type: 'batch.completed' });
  });
});

describe('an upstream that is down at the start', () => {
  it('makes the batch wait, not fail', async () => {
    const upstream = await startUpstreamServer(() => ({}));
    const { baseUrl, port } = upstream;
    await upstream.close();
    const { client, logs } = await startTestService({
      UPSTREAM_BASE_URL: baseUrl,
      RETRY_BASE_MS: '10',
      MAX_RETRIES: '1',
    });
    const { id } = await submitBatch(client, chatLines(20));
    await expect.poll(() => logs.join('')).toContain('upstream cannot be reached');
    expect(await client.batches.retrieve(id)).toMatchObject({
      status: 'in_progress',
      request_counts: { failed: 0 },
    });
    const { createServer } = await import('node:http');
    const server = createServer((_request, response) => response.end('{}')).listen(port, '127.0.0.1');
    onTestFinished(() => void server.close());
    expect(await endOf(client, id)).toMatchObject({ status: 'completed', request_counts: { completed: 20 } });
    server.closeAllConnections();
  });
});

describe('the logs', () => {
  it('hold no key, no prompt and no answer', async () => {
    const canaries = {
      UPSTREAM_API_KEY: 'canary-upstream-key',
      API_KEYS: 'canary-api-key',
      WEBHOOK_SIGNING_SECRET: 'canary-signing-secret',
    };
    const upstream = await startUpstream((request) => ({
      status: request.body.includes('question 2') ? 400 : 200,
      body: { text: 'canary-answer' },
    }));
    const { client, logs, url } = await startTestService({
      UPSTREAM_BASE_URL: upstream.baseUrl,
      ...canaries,
    });
    const { id } = await submitBatch(client, chatLines(3).replaceAll('question', 'canary-prompt question'));
    await endOf(client, id);
    await fetch(`${url}/v1/files`, { headers: { authorization: 'Bearer canary-wrong-key' } });
    await fetch(`${url}/v1/batches`, {
      method: 'POST',
      headers: { authorization: 'Bearer canary-api-key', 'content-type': 'application/json' },
      body: '{"metadata": {"canary-metadata": 1}, broken',
    });
    expect(logs.length).toBeGreaterThan(5);
    expect(logs.filter((line) => line.includes('canary'))).toEqual([]);
  });
});
