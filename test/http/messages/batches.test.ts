import { describe, expect, it } from 'vitest';
import { createTestApp, errorOf, expectNothingLeft, refusal } from '../../helpers/http-app.ts';
import type { TestApp } from '../../helpers/http-app.ts';
import { answer, createScriptedUpstream } from '../../helpers/scripted-upstream.ts';
import { CHAT } from '../../helpers/test-engine.ts';
import {
  aRequest,
  BATCHES,
  callMessages,
  create,
  createdMessageBatch,
  endOf,
  messageErrorOf,
  messageRefusal,
  retrieve,
  resultsOf,
  startWorkingApp,
} from './calls.ts';
import type { MessageBatchObject } from './calls.ts';

const UNKNOWN = `msgbatch_${'0'.repeat(32)}`;

function notFound(id: string): object {
  return messageRefusal(404, 'not_found_error', `No Message Batch found with id '${id}'.`);
}

/** Ids that lead to no Message Batch of the caller. */
async function unknownIds({ engine }: TestApp): Promise<string[]> {
  const request = { inputFileId: 'file-x', completionWindow: '24h' };
  const messages = { ...request, endpoint: '/v1/messages', format: 'anthropic' } as const;
  const foreign = await engine.batches.create({ ...messages, owner: 'other' });
  const openai = await engine.batches.create({ ...request, endpoint: CHAT, owner: 'default' });
  const asMessages = (id: string): string => id.replace('batch_', 'msgbatch_');
  return [UNKNOWN, 'msgbatch_x', 'x', foreign.id, openai.id, asMessages(foreign.id), asMessages(openai.id)];
}

interface List {
  readonly data: readonly MessageBatchObject[];
  readonly has_more: boolean;
}

describe('GET /v1/messages/batches', () => {
  const list = async (testApp: TestApp, query = ''): Promise<List> =>
    (await callMessages(testApp, { url: `${BATCHES}${query}` })).json<List>();

  it('lists newest first, page by page and back, in the whole envelope', async () => {
    const testApp = createTestApp();
    expect(await list(testApp)).toEqual({ data: [], has_more: false, first_id: null, last_id: null });
    const batches: MessageBatchObject[] = [];
    for (let i = 0; i < 5; i++) batches.unshift(await createdMessageBatch(testApp));
    await unknownIds(testApp);
    const ids = batches.map(({ id }) => id);
    const page = await list(testApp, '?limit=2');
    expect(page).toEqual({ data: batches.slice(0, 2), has_more: true, first_id: ids[0], last_id: ids[1] });
    expect(await list(testApp, `?limit=3&after_id=${ids[1]}`)).toEqual({
      data: batches.slice(2),
      has_more: false,
      first_id: ids[2],
      last_id: ids[4],
    });
    expect(await list(testApp, `?limit=2&before_id=${ids[4]}`)).toEqual({
      data: batches.slice(2, 4),
      has_more: true,
      first_id: ids[2],
      last_id: ids[3],
    });
    expect(await list(testApp, `?before_id=${ids[2]}&after_id=`)).toMatchObject({
      data: batches.slice(0, 2),
      has_more: false,
    });
  });

  it('lists 20 unless asked otherwise, up to 1000', async () => {
    const testApp = createTestApp();
    const requests = [aRequest('a')];
    for (let i = 0; i < 21; i++) await create(testApp, { requests });
    expect((await list(testApp)).data).toHaveLength(20);
    expect((await list(testApp, '?limit=')).data).toHaveLength(20);
    expect((await list(testApp, '?limit=1000')).data).toHaveLength(21);
  });

  it.each([
    ['limit=1001', 'limit: Input should be less than or equal to 1000'],
    ['limit=0', 'limit: Input should be greater than or equal to 1'],
    ['limit=-5', 'limit: Input should be greater than or equal to 1'],
    ['limit=1.5', 'limit: Input should be a valid integer'],
    ['limit=ten', 'limit: Input should be a valid integer'],
    ['limit=1&limit=2', 'limit: Input should be a valid string'],
    ['after_id=a&after_id=b', 'after_id: Input should be a valid string'],
    ['after_id=a&before_id=b', 'before_id: Only one of before_id and after_id can be given'],
  ])('refuses ?%s', async (query, message) => {
    const response = await callMessages(createTestApp(), { url: `${BATCHES}?${query}` });
    expect(messageErrorOf(response)).toEqual(messageRefusal(400, 'invalid_request_error', message));
  });

  it.each(['after_id', 'before_id'])('does not know an unknown %s', async (name) => {
    const testApp = createTestApp();
    await createdMessageBatch(testApp);
    for (const id of await unknownIds(testApp)) {
      const response = await callMessages(testApp, { url: `${BATCHES}?${name}=${id}` });
      expect(messageErrorOf(response)).toEqual(notFound(id));
    }
  });
});

describe('one Message Batch', () => {
  it.each([
    ['GET', ''],
    ['GET', '/results'],
    ['POST', '/cancel'],
    ['DELETE', ''],
  ] as const)(
    '%s …%s does not find unknown, other owners’ and the other API’s batches',
    async (method, suffix) => {
      const testApp = createTestApp();
      for (const id of await unknownIds(testApp)) {
        const response = await callMessages(testApp, { method, url: `${BATCHES}/${id}${suffix}` });
        expect(messageErrorOf(response)).toEqual(notFound(id));
      }
    },
  );

  it('is canceled, twice alike', async () => {
    const testApp = createTestApp();
    const { id } = await createdMessageBatch(testApp, ['a', 'b']);
    const first = await callMessages(testApp, {
      method: 'POST',
      url: `${BATCHES}/${id}/cancel`,
      payload: '{',
    });
    expect([first.statusCode, first.json()]).toEqual([
      200,
      expect.objectContaining({
        processing_status: 'canceling',
        cancel_initiated_at: expect.stringMatching(/Z$/),
        request_counts: { processing: 2, succeeded: 0, errored: 0, canceled: 0, expired: 0 },
        results_url: null,
      }),
    ]);
    const second = await callMessages(testApp, { method: 'POST', url: `${BATCHES}/${id}/cancel` });
    expect([second.statusCode, second.json()]).toEqual([200, first.json()]);
  });

  it('has ended: a cancel is refused', async () => {
    const { testApp, worker } = await startWorkingApp(createScriptedUpstream(() => answer({})));
    const { id } = await createdMessageBatch(testApp);
    await endOf(testApp, id);
    await worker.stop();
    const response = await callMessages(testApp, { method: 'POST', url: `${BATCHES}/${id}/cancel` });
    expect(messageErrorOf(response)).toEqual(
      messageRefusal(
        400,
        'invalid_request_error',
        `Message Batch '${id}' cannot be canceled: its processing has ended.`,
      ),
    );
  });

  it('is only about to end: a cancel changes nothing', async () => {
    const testApp = createTestApp();
    const { id } = await createdMessageBatch(testApp);
    const batchId = id.replace('msgbatch_', 'batch_');
    const { store } = testApp.engine.context;
    const cancelBatch = store.cancelBatch.bind(store);
    const refused = async () => ({ kind: 'refused', status: 'finalizing' }) as const;
    store.cancelBatch = async (owner, asked, now) =>
      asked === batchId ? await refused() : await cancelBatch(owner, asked, now);
    const response = await callMessages(testApp, { method: 'POST', url: `${BATCHES}/${id}/cancel` });
    expect([response.statusCode, response.json()]).toEqual([200, await retrieve(testApp, id)]);
  });

  it('keeps its input while it runs, which is refused with the id that the client knows', async () => {
    const testApp = createTestApp();
    const { id } = await createdMessageBatch(testApp);
    const { data } = (await testApp.call({ url: '/v1/files' })).json<{ data: { id: string }[] }>();
    const response = await testApp.call({ method: 'DELETE', url: `/v1/files/${data[0]?.id}` });
    expect(response.statusCode).toBe(409);
    expect(response.json<{ error: object }>().error).toMatchObject({
      message: expect.stringContaining(`the input of batch '${id}'`),
    });
  });

  it('is deleted with its files, once it has ended', async () => {
    const script = createScriptedUpstream(({ body }) => answer({}, body.includes('bad') ? 400 : 200));
    const { testApp, worker } = await startWorkingApp(script);
    const { id } = await createdMessageBatch(testApp);
    const batch = (await create(testApp, { requests: [aRequest('a'), aRequest('b', { x: 'bad' })] })).json<{
      id: string;
    }>();
    await endOf(testApp, batch.id);
    await endOf(testApp, id);
    await worker.stop();
    for (const ended of [batch.id, id]) {
      const response = await callMessages(testApp, { method: 'DELETE', url: `${BATCHES}/${ended}` });
      expect([response.statusCode, response.json()]).toEqual([
        200,
        { id: ended, type: 'message_batch_deleted' },
      ]);
      const again = await callMessages(testApp, { method: 'DELETE', url: `${BATCHES}/${ended}` });
      expect(messageErrorOf(again)).toEqual(notFound(ended));
    }
    expect((await callMessages(testApp, { url: BATCHES })).json()).toMatchObject({ data: [] });
    await expectNothingLeft(testApp);
  });

  it('is not deleted while it runs', async () => {
    const testApp = createTestApp();
    const before = await createdMessageBatch(testApp);
    const response = await callMessages(testApp, { method: 'DELETE', url: `${BATCHES}/${before.id}` });
    expect(messageErrorOf(response)).toEqual(
      messageRefusal(
        400,
        'invalid_request_error',
        `Message Batch '${before.id}' cannot be deleted: its processing has not ended. Cancel it first.`,
      ),
    );
    expect(await retrieve(testApp, before.id)).toEqual(before);
  });

  it('can be deleted again where that broke off, and leaves an input that another batch reads', async () => {
    let fails = true;
    const broken = Object.assign(new Error('broken'), { code: 'EIO' });
    const { testApp, worker } = await startWorkingApp(
      createScriptedUpstream(() => answer({})),
      {
        store: (store) => ({
          deleteBatch: async (owner, id) => {
            if (fails) throw broken;
            return await store.deleteBatch(owner, id);
          },
        }),
      },
    );
    const { id } = await createdMessageBatch(testApp);
    await endOf(testApp, id);
    await worker.stop();
    const { data } = (await testApp.call({ url: '/v1/files?purpose=batch' })).json<{
      data: { id: string }[];
    }>();
    const payload = { input_file_id: data[0]?.id, endpoint: CHAT, completion_window: '24h' };
    await testApp.call({ method: 'POST', url: '/v1/batches', payload });
    const remove = () => callMessages(testApp, { method: 'DELETE', url: `${BATCHES}/${id}` });
    expect(messageErrorOf(await remove())).toMatchObject({ status: 503 });
    fails = false;
    expect((await remove()).statusCode).toBe(200);
    expect((await testApp.call({ url: '/v1/files' })).json()).toMatchObject({ data: [{ id: data[0]?.id }] });
  });
});

describe('the other API', () => {
  it('does not list Message Batches, nor find them under any path', async () => {
    const testApp = createTestApp();
    const { id } = await createdMessageBatch(testApp);
    const batchId = id.replace('msgbatch_', 'batch_');
    expect((await testApp.call({ url: '/v1/batches' })).json()).toMatchObject({ data: [] });
    const unknown = refusal(404, { message: `No batch found with id '${batchId}'.` });
    expect(errorOf(await testApp.call({ url: `/v1/batches?after=${batchId}` }))).toEqual(unknown);
    for (const [method, suffix] of [
      ['GET', ''],
      ['POST', '/cancel'],
      ['GET', '/results'],
      ['GET', '/events'],
    ] as const) {
      const response = await testApp.call({ method, url: `/v1/batches/${batchId}${suffix}` });
      expect(errorOf(response)).toEqual(unknown);
    }
    expect((await testApp.call({ url: `/v1/batches/${id}` })).statusCode).toBe(400);
    expect(await retrieve(testApp, id)).toMatchObject({ processing_status: 'in_progress' });
  });
});

describe('results_url', () => {
  it.each([
    ['batch.example.com', 'http://batch.example.com'],
    ['127.0.0.1:8080', 'http://127.0.0.1:8080'],
    ['[::1]:80', 'http://[::1]:80'],
    ['a b', ''],
    ['evil.example.com/path?', ''],
    ['user@evil.example.com', ''],
    ['a"b', ''],
  ])('of a request to the host %j', async (host, base) => {
    const { testApp, worker } = await startWorkingApp(createScriptedUpstream(() => answer({})));
    const { id } = await createdMessageBatch(testApp);
    await endOf(testApp, id);
    await worker.stop();
    const response = await callMessages(testApp, { url: `${BATCHES}/${id}`, headers: { host } });
    expect(response.json()).toMatchObject({ results_url: `${base}/v1/messages/batches/${id}/results` });
  });

  it('begins with PUBLIC_BASE_URL where that is set', async () => {
    const messages = { publicBaseUrl: 'https://batch.example.com/prefix/' };
    const { testApp, worker } = await startWorkingApp(
      createScriptedUpstream(() => answer({})),
      { messages },
    );
    const { id } = await createdMessageBatch(testApp);
    expect((await endOf(testApp, id)).results_url).toBe(
      `https://batch.example.com/prefix/v1/messages/batches/${id}/results`,
    );
    await worker.stop();
    expect(await resultsOf(testApp, id)).toHaveLength(1);
  });
});
