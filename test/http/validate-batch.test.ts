import { describe, expect, it } from 'vitest';
import type { TokenCounter } from '../../src/engine/index.ts';
import { createTestApp, errorOf, KEY_OWNER, refusal, uploadFile } from '../helpers/http-app.ts';
import type { TestApp } from '../helpers/http-app.ts';
import { createScriptedUpstream } from '../helpers/scripted-upstream.ts';
import { bytesOf, CHAT, inputLine, inputLines } from '../helpers/test-engine.ts';
import { endedBatch } from './ended-batches.ts';
import { listen, openRawClient, requestHead, requestLines } from './raw-client.ts';
import { missing, wrongType } from './refusals.ts';

const COUNTER: TokenCounter = { method: 'tens', count: async () => 10, close: async () => {} };

async function validate(testApp: TestApp, body: object) {
  return await testApp.call({ method: 'POST', url: '/v1/batches/validate', payload: body });
}

/** Uploads a file and validates it. */
async function validated(testApp: TestApp, content: string): Promise<Record<string, unknown>> {
  const input_file_id = await uploadFile(testApp, { content });
  const response = await validate(testApp, { input_file_id, endpoint: CHAT });
  expect(response.statusCode, response.body).toBe(200);
  return response.json<Record<string, unknown>>();
}

const text = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');

describe('POST /v1/batches/validate', () => {
  it('says what a right file holds, and creates nothing', async () => {
    const testApp = createTestApp({ tokens: COUNTER });
    const content = text([
      inputLine('a', { model: 'x' }),
      inputLine('b', { model: 'y' }),
      inputLine('c', { model: 'y' }),
    ]);
    expect(await validated(testApp, content)).toEqual({
      object: 'batch.validation',
      valid: true,
      errors: null,
      request_counts: { total: 3 },
      bytes: content.length,
      models: [
        { model: 'y', requests: 2 },
        { model: 'x', requests: 1 },
      ],
      token_estimate: { method: 'tens', sampled_requests: 3, input_tokens: 30, is_estimate: true },
    });
    expect((await testApp.call({ url: '/v1/batches' })).json()).toMatchObject({ data: [] });
  });

  it('tells the very errors that a batch would have', async () => {
    const upstream = createScriptedUpstream(undefined, (model) => (model === 'x' ? 'Set X.' : null));
    const testApp = createTestApp({ upstream, tokens: COUNTER });
    const content = text([
      inputLine('a'),
      '{"custom_id":"b"}',
      '',
      inputLine('a'),
      'no JSON',
      inputLine('c', { model: 'x' }),
      `{"custom_id":"d","method":"GET","url":"${CHAT}","body":{"model":"m"}}`,
    ]);
    const validation = await validated(testApp, content);
    const batch = await endedBatch(testApp, content);
    expect(batch.status).toBe('failed');
    expect(validation).toMatchObject({
      valid: false,
      errors: batch['errors'],
      request_counts: { total: 6 },
      models: [{ model: 'm', requests: 1 }],
      token_estimate: { sampled_requests: 1, input_tokens: 10 },
    });
    expect(batch['errors']).toMatchObject({ object: 'list', data: { length: 5 } });
  });

  it('keeps the limits of the settings', async () => {
    const settings = { maxBatchLines: 2, oneModelPerBatch: true };
    const testApp = createTestApp({ settings });
    const lines = [inputLine('a', { model: 'x' }), inputLine('b', { model: 'y' }), inputLine('c')];
    expect(await validated(testApp, text(lines))).toMatchObject({
      errors: { data: [{ code: 'mismatched_model' }, { code: 'too_many_tasks' }] },
    });
  });

  it('checks the lines against the endpoint that is named', async () => {
    const testApp = createTestApp();
    const input_file_id = await uploadFile(testApp, { content: text(inputLines(1)) });
    const response = await validate(testApp, { input_file_id, endpoint: '/v1/embeddings' });
    expect(response.json()).toMatchObject({
      valid: false,
      errors: { data: [{ code: 'invalid_url', line: 1 }] },
    });
  });

  it('tells that a file has another purpose', async () => {
    const testApp = createTestApp({ tokens: COUNTER });
    const input_file_id = await uploadFile(testApp, { content: text(inputLines(1)), purpose: 'user_data' });
    expect((await validate(testApp, { input_file_id, endpoint: CHAT })).json()).toMatchObject({
      valid: false,
      errors: { data: [{ code: 'invalid_request', param: 'file_id', line: null }] },
      token_estimate: null,
    });
  });

  it('lists a hundred models and says how many more there are; long names are cut', async () => {
    const lines = Array.from({ length: 150 }, (_, i) =>
      inputLine(`${i}`, { model: `${i}`.padStart(300, 'm') }),
    );
    const validation = await validated(createTestApp(), text(lines));
    expect(validation['models']).toHaveLength(100);
    expect(validation).toMatchObject({
      more_models: 50,
      models: expect.arrayContaining([{ model: `${'m'.repeat(200)}…`, requests: 1 }]),
    });
  });

  it('has no estimate where nothing can count', async () => {
    expect((await validated(createTestApp(), text(inputLines(1))))['token_estimate']).toBeNull();
  });
});

describe('POST /v1/batches/validate refuses', () => {
  it.each<[object, Parameters<typeof refusal>[1]]>([
    [{ endpoint: CHAT }, missing('input_file_id')],
    [{ input_file_id: 'file-x' }, missing('endpoint')],
    [{ input_file_id: 5, endpoint: CHAT }, wrongType('input_file_id', 'a string', 'an integer')],
  ])('%j', async (body, error) => {
    expect(errorOf(await validate(createTestApp(), body))).toEqual(refusal(400, error));
  });

  it('an endpoint that no batch can have', async () => {
    const response = await validate(createTestApp(), { input_file_id: 'file-x', endpoint: '/v1/x' });
    expect([response.statusCode, response.json()]).toMatchObject([
      400,
      { error: { param: 'endpoint', code: 'invalid_value' } },
    ]);
  });

  it('unknown and other owners’ files, as their retrieval does', async () => {
    const testApp = createTestApp();
    const foreign = await testApp.engine.files.upload({
      owner: 'other',
      filename: 'x',
      purpose: 'batch',
      source: bytesOf(text(inputLines(1))),
    });
    for (const id of ['file-unknown', 'x', foreign.id]) {
      const response = await validate(testApp, { input_file_id: id, endpoint: CHAT });
      expect(errorOf(response)).toEqual(refusal(404, { message: `No such File object: ${id}`, param: 'id' }));
      expect(response.body).toBe((await testApp.call({ url: `/v1/files/${id}` })).body);
    }
  });

  it('a file that is deleted while it is read', async () => {
    let remove = async (): Promise<void> => {};
    const testApp = createTestApp({
      blobs: (blobs) => ({
        async *read(key, range) {
          await remove();
          yield* blobs.read(key, range);
        },
      }),
    });
    const id = await uploadFile(testApp, { content: text(inputLines(1)) });
    remove = () => testApp.engine.files.delete(KEY_OWNER, id);
    const response = await validate(testApp, { input_file_id: id, endpoint: CHAT });
    expect(errorOf(response)).toEqual(refusal(404, { message: `No such File object: ${id}`, param: 'id' }));
  });

  it('a third one at a time, until one has ended', async () => {
    let release = (): void => {};
    const released = new Promise<void>((resolve) => (release = resolve));
    const count = () => released.then(() => 1);
    const testApp = createTestApp({ tokens: { ...COUNTER, count } });
    const input_file_id = await uploadFile(testApp, { content: text(inputLines(1)) });
    const calls = Array.from({ length: 3 }, () => validate(testApp, { input_file_id, endpoint: CHAT }));
    const refused = await Promise.race(calls);
    expect(errorOf(refused)).toEqual(
      refusal(429, {
        message: 'Too many validations at a time: at most 2. Try again in a moment.',
        type: 'rate_limit_error',
      }),
    );
    expect(refused.headers['retry-after']).toBe('1');
    release();
    const statuses = (await Promise.all(calls)).map(({ statusCode }) => statusCode);
    expect(statuses.toSorted((a, b) => a - b)).toEqual([200, 200, 429]);
    expect((await validate(testApp, { input_file_id, endpoint: CHAT })).statusCode).toBe(200);
  });

  it('nothing else that begins like it: other methods take it for an id', async () => {
    const testApp = createTestApp();
    for (const [method, url] of [
      ['GET', '/v1/batches/validate'],
      ['DELETE', '/v1/batches/validate'],
      ['POST', '/v1/batches/validate/cancel'],
      ['POST', '/v1/batches/validate/retry'],
    ] as const) {
      const response = await testApp.call({ method, url });
      expect([response.statusCode, response.json()]).toMatchObject([400, { error: { param: 'batch_id' } }]);
    }
  });
});

describe('a client that leaves', () => {
  it('ends its validation, and makes room for another', async () => {
    let release = (): void => {};
    const released = new Promise<void>((resolve) => (release = resolve));
    let counts = 0;
    const count = async (): Promise<number> => {
      counts++;
      await released;
      return 1;
    };
    const testApp = createTestApp({ tokens: { ...COUNTER, count } });
    const input_file_id = await uploadFile(testApp, { content: text(inputLines(5)) });
    const port = await listen(testApp.app);
    const payload = JSON.stringify({ input_file_id, endpoint: CHAT });
    const headers = { 'content-type': 'application/json', 'content-length': String(payload.length) };
    for (let i = 1; i <= 2; i++) {
      const client = await openRawClient(port);
      await client.send(requestHead('POST /v1/batches/validate', headers) + payload);
      await expect.poll(() => counts).toBe(i);
      client.socket.destroy();
    }
    await expect.poll(() => requestLines(testApp).filter((line) => line['aborted'] === true)).toHaveLength(2);
    release();
    await expect
      .poll(async () => (await validate(testApp, { input_file_id, endpoint: CHAT })).statusCode)
      .toBe(200);
    // Each of those that left was counting its first line; the third one counted all five.
    expect(counts).toBe(2 + 5);
    expect(testApp.logLines.filter((line) => line.includes('request failed'))).toEqual([]);
  });
});
