import { describe, expect, it } from 'vitest';
import { createWorker } from '../../src/worker/index.ts';
import { createTestApp, errorOf, refusal, uploadFile } from '../helpers/http-app.ts';
import type { TestApp } from '../helpers/http-app.ts';
import { CHAT, inputLine } from '../helpers/test-engine.ts';
import { BATCH_KEYS, createdBatch } from './batch-calls.ts';
import type { BatchObject } from './batch-calls.ts';
import { aboveMaximum, belowMinimum, wrongType } from './refusals.ts';

async function foreignBatch({ engine }: TestApp): Promise<string> {
  const request = { owner: 'other', inputFileId: 'file-x', endpoint: CHAT, completionWindow: '24h' };
  return (await engine.batches.create(request)).id;
}

describe('GET /v1/batches', () => {
  it('lists newest first, page by page, in the whole envelope', async () => {
    const testApp = createTestApp();
    const empty = (await testApp.call({ url: '/v1/batches' })).json<object>();
    expect(empty).toEqual({ object: 'list', data: [], first_id: null, last_id: null, has_more: false });
    const batches: BatchObject[] = [];
    for (let i = 0; i < 3; i++) batches.unshift(await createdBatch(testApp));
    await foreignBatch(testApp);
    const page = (await testApp.call({ url: '/v1/batches?limit=2' })).json<object>();
    expect(page).toEqual({
      object: 'list',
      data: batches.slice(0, 2),
      first_id: batches[0]?.id,
      last_id: batches[1]?.id,
      has_more: true,
    });
    const rest = await testApp.call({ url: `/v1/batches?limit=2&after=${batches[1]?.id}` });
    expect(rest.json()).toMatchObject({ data: batches.slice(2), has_more: false });
  });

  it('lists 20 unless asked otherwise', async () => {
    const testApp = createTestApp();
    for (let i = 0; i < 21; i++) await createdBatch(testApp);
    expect((await testApp.call({ url: '/v1/batches' })).json<{ data: unknown[] }>().data).toHaveLength(20);
    expect(
      (await testApp.call({ url: '/v1/batches?limit=100' })).json<{ data: unknown[] }>().data,
    ).toHaveLength(21);
  });

  it.each([
    ['101', aboveMaximum('limit', 100, 101)],
    ['99999999999999999999', aboveMaximum('limit', 100, '100000000000000000000')],
    ['0', belowMinimum('limit', 1, 0)],
    ['-1', belowMinimum('limit', 1, -1)],
    ['abc', wrongType('limit', 'an integer', 'a string')],
    ['1.5', wrongType('limit', 'an integer', 'a string')],
    ['1e2', wrongType('limit', 'an integer', 'a string')],
    ['0x10', wrongType('limit', 'an integer', 'a string')],
    [' 5', wrongType('limit', 'an integer', 'a string')],
  ])('refuses limit=%s', async (limit, error) => {
    const response = await createTestApp().call({ url: `/v1/batches?limit=${encodeURIComponent(limit)}` });
    expect(errorOf(response)).toEqual(refusal(400, error));
  });

  it('does not know another owner’s batch to go on from', async () => {
    const testApp = createTestApp();
    for (const after of ['batch_unknown', await foreignBatch(testApp)]) {
      const response = await testApp.call({ url: `/v1/batches?after=${after}` });
      expect(errorOf(response)).toEqual(refusal(404, { message: `No batch found with id '${after}'.` }));
    }
  });
});

describe('GET /v1/batches/{id} and POST /v1/batches/{id}/cancel', () => {
  const calls = [
    ['GET', ''],
    ['POST', '/cancel'],
  ] as const;

  it.each(calls)('%s…%s does not find unknown and other owners’ batches', async (method, suffix) => {
    const testApp = createTestApp();
    for (const id of ['batch_unknown', 'batch', `batch_${'x'.repeat(5000)}`, await foreignBatch(testApp)]) {
      const response = await testApp.call({ method, url: `/v1/batches/${id}${suffix}` });
      expect(errorOf(response)).toEqual(refusal(404, { message: `No batch found with id '${id}'.` }));
    }
  });

  it.each(calls)('%s…%s refuses ids of another kind', async (method, suffix) => {
    for (const id of ['file-abc', 'BATCH_1', '..%2f']) {
      const response = await createTestApp().call({ method, url: `/v1/batches/${id}${suffix}` });
      expect(errorOf(response)).toEqual(
        refusal(400, {
          message: `Invalid 'batch_id': '${decodeURIComponent(id)}'. Expected an ID that begins with 'batch'.`,
          param: 'batch_id',
          code: 'invalid_value',
        }),
      );
    }
  });

  it('answers what the create answered', async () => {
    const testApp = createTestApp();
    const batch = await createdBatch(testApp);
    expect((await testApp.call({ url: `/v1/batches/${batch.id}` })).json<unknown>()).toEqual(batch);
  });

  it('cancels, twice alike', async () => {
    const testApp = createTestApp();
    const { id } = await createdBatch(testApp);
    const first = await testApp.call({ method: 'POST', url: `/v1/batches/${id}/cancel` });
    expect([first.statusCode, first.json<BatchObject>().status]).toEqual([200, 'cancelling']);
    expect(first.json<BatchObject>()['cancelling_at']).toEqual(expect.any(Number));
    const second = await testApp.call({ method: 'POST', url: `/v1/batches/${id}/cancel` });
    expect([second.statusCode, second.json<unknown>()]).toEqual([200, first.json<unknown>()]);
  });

  it.each([
    ['application/json', ''],
    ['application/json', '{}'],
    ['application/json', '{ not json'],
    ['text/plain', 'x'],
    ['application/x-www-form-urlencoded', 'a=b'],
    ['nonsense', 'x'],
    [undefined, 'x'],
  ])('cancels whatever the body: type %s, body %j', async (type, payload) => {
    const testApp = createTestApp();
    const { id } = await createdBatch(testApp);
    const headers = type === undefined ? {} : { 'content-type': type };
    const response = await testApp.call({
      method: 'POST',
      url: `/v1/batches/${id}/cancel`,
      headers,
      payload,
    });
    expect([response.statusCode, response.json<BatchObject>().status]).toEqual([200, 'cancelling']);
  });

  it('does not cancel a completed batch, and asks the client not to retry', async () => {
    const testApp = createTestApp();
    const worker = createWorker({ engine: testApp.engine });
    await worker.start();
    const fileId = await uploadFile(testApp, { content: `${inputLine('a')}\n` });
    const { id } = await createdBatch(testApp, { input_file_id: fileId });
    const get = async () => (await testApp.call({ url: `/v1/batches/${id}` })).json<BatchObject>();
    await expect.poll(async () => (await get()).status).toBe('completed');
    await worker.stop();

    const response = await testApp.call({ method: 'POST', url: `/v1/batches/${id}/cancel` });
    expect(errorOf(response)).toEqual(
      refusal(409, { message: "Cannot cancel a batch with status 'completed'." }),
    );
    expect(response.headers['x-should-retry']).toBe('false');

    const batch = await get();
    expect(Object.keys(batch)).toEqual(BATCH_KEYS);
    expect(batch).toMatchObject({ model: 'm', request_counts: { total: 1, completed: 1, failed: 0 } });
    const output = await testApp.call({ url: `/v1/files/${batch.output_file_id}/content` });
    expect(JSON.parse(output.body)).toMatchObject({ custom_id: 'a', error: null });
    expect(output.headers['content-disposition']).toBe(`attachment; filename="${id}_output.jsonl"`);
    const outputs = await testApp.call({ url: '/v1/files?purpose=batch_output' });
    expect(outputs.json()).toMatchObject({ first_id: batch.output_file_id, has_more: false });
  });
});
