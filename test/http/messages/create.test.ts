import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../../helpers/fake-clock.ts';
import { API_KEY, createTestApp, errorOf, expectNothingLeft, refusal } from '../../helpers/http-app.ts';
import { answer, createScriptedUpstream } from '../../helpers/scripted-upstream.ts';
import { listen, openRawClient, requestHead } from '../raw-client.ts';
import {
  aRequest,
  BATCHES,
  callMessages,
  create,
  createdMessageBatch,
  endOf,
  MESSAGE_BATCH_KEYS,
  messageErrorOf,
  messageRefusal,
  retrieve,
  startWorkingApp,
  VERSION,
} from './calls.ts';
import type { MessageBatchObject } from './calls.ts';

const NOW = Date.UTC(2026, 10, 23, 12, 0, 0, 7);

describe('POST /v1/messages/batches', () => {
  it('answers the whole object, with all requests processing', async () => {
    const testApp = createTestApp({ clock: createFakeClock(NOW) });
    const response = await create(testApp, { requests: ['a', 'b', 'c'].map((id) => aRequest(id)) });
    const batch = response.json<MessageBatchObject>();
    expect(response.statusCode).toBe(200);
    expect(Object.keys(batch)).toEqual(MESSAGE_BATCH_KEYS);
    expect(batch).toEqual({
      id: expect.stringMatching(/^msgbatch_[0-9a-f]{32}$/),
      type: 'message_batch',
      processing_status: 'in_progress',
      request_counts: { processing: 3, succeeded: 0, errored: 0, canceled: 0, expired: 0 },
      created_at: '2026-11-23T12:00:00.007Z',
      ended_at: null,
      expires_at: '2026-11-24T12:00:00.007Z',
      cancel_initiated_at: null,
      archived_at: null,
      results_url: null,
    });
    expect(await retrieve(testApp, batch.id)).toEqual(batch);
  });

  it('carries the headers of its own API and not those of the other one', async () => {
    const { headers } = await create(createTestApp(), { requests: [aRequest('a')] });
    expect(headers['request-id']).toMatch(/^req_[0-9a-f]{32}$/);
    expect(headers['content-type']).toBe('application/json');
    expect(headers).not.toHaveProperty('openai-version');
    expect(headers).not.toHaveProperty('openai-processing-ms');
    const other = await createTestApp().call({ url: '/v1/batches' });
    expect(other.headers).not.toHaveProperty('request-id');
    expect(other.headers).toHaveProperty('openai-version');
  });

  it('sends params byte for byte, save that line breaks between tokens become spaces', async () => {
    const upstream = createScriptedUpstream(() => answer({ ok: true }));
    const { testApp, worker } = await startWorkingApp(upstream);
    const params =
      '{ "model" :"m\\u006f",\r\n"n":9007199254740993,"dup":1,"dup":2 ,"lone":"\\ud800","s":"é🎉\\n" }';
    const body = `{"metadata":{},\n"requests":\n[ {"extra":1,"params" : ${params}\n,"custom_id":"a\\u002db"} ]}\n`;
    const { id } = (await create(testApp, body)).json<MessageBatchObject>();
    await endOf(testApp, id);
    await worker.stop();
    expect(upstream.requests).toEqual([
      expect.objectContaining({ url: '/v1/messages', model: 'mo', body: params.replaceAll(/[\r\n]/g, ' ') }),
    ]);
    const results = await callMessages(testApp, { url: `${BATCHES}/${id}/results` });
    expect(results.body).toBe(
      '{"custom_id":"a\\u002db","result":{"type":"succeeded","message":{"ok":true}}}\n',
    );
  });

  it('takes any content type, and keys as bearer too', async () => {
    const testApp = createTestApp();
    const payload = JSON.stringify({ requests: [aRequest('a')] });
    for (const type of ['application/json; charset=utf-8', 'text/plain', 'nonsense', '']) {
      const headers = { 'content-type': type, authorization: `Bearer ${API_KEY}`, ...VERSION };
      const response = await testApp.app.inject({ method: 'POST', url: BATCHES, headers, payload });
      expect(response.statusCode, response.body).toBe(200);
    }
  });

  it('does not hold the body: a batch of many megabytes arrives chunk by chunk', async () => {
    const testApp = createTestApp();
    const client = await openRawClient(await listen(testApp.app));
    const headers = { ...VERSION, 'transfer-encoding': 'chunked', connection: 'close' };
    await client.send(requestHead(`POST ${BATCHES}`, headers));
    const filler = 'x'.repeat(1000);
    await client.send(chunkOf('{"requests":['));
    for (let i = 0; i < 20; i++) {
      const requests = Array.from({ length: 500 }, (_, n) =>
        JSON.stringify(aRequest(`request-${i}-${n}`, { filler })),
      );
      await client.send(chunkOf(`${i === 0 ? '' : ','}${requests.join(',')}`));
    }
    await client.send(`${chunkOf(']}')}0\r\n\r\n`);
    await client.closed;
    expect(client.received()).toMatch(/^HTTP\/1\.1 200 /);
    expect(client.received()).toContain('"request_counts":{"processing":10000,');
  });

  it('keeps its input as a file, of exactly one line a request', async () => {
    const testApp = createTestApp();
    await createdMessageBatch(testApp, ['a', 'b']);
    const { data } = (await testApp.call({ url: '/v1/files' })).json<{ data: { id: string }[] }>();
    expect(data).toEqual([expect.objectContaining({ purpose: 'batch', filename: 'message_batch.jsonl' })]);
    const content = await testApp.call({ url: `/v1/files/${data[0]?.id}/content` });
    const lines = content.body.trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(
      ['a', 'b'].map((custom_id) => {
        return { custom_id, method: 'POST', url: '/v1/messages', body: aRequest(custom_id).params };
      }),
    );
  });

  it('is not bound by the limits of the other API’s batches', async () => {
    const upstream = createScriptedUpstream(() => answer({}));
    const settings = { maxBatchLines: 1, maxBatchBytes: 100, endpoints: ['/v1/embeddings'] };
    const { testApp, worker } = await startWorkingApp(upstream, { settings });
    const { id } = await createdMessageBatch(testApp, ['a', 'b', 'c']);
    expect(await endOf(testApp, id)).toMatchObject({ request_counts: { succeeded: 3 } });
    await worker.stop();
  });

  it('is the only way to its endpoint', async () => {
    const testApp = createTestApp({ settings: { endpoints: ['/v1/embeddings'] } });
    const payload = { input_file_id: 'file-a', endpoint: '/v1/messages', completion_window: '24h' };
    expect(errorOf(await testApp.call({ method: 'POST', url: '/v1/batches', payload }))).toEqual(
      refusal(400, {
        message: "Invalid value: '/v1/messages'. Supported values are: '/v1/embeddings'.",
        param: 'endpoint',
        code: 'invalid_value',
      }),
    );
  });
});

function chunkOf(text: string): string {
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
}

describe('what POST /v1/messages/batches refuses', () => {
  const params = aRequest('x').params;
  const long = 'x'.repeat(65);
  const pattern = "String should match pattern '^[a-zA-Z0-9_-]{1,64}$'";

  it.each<[unknown, string]>([
    [{}, '.custom_id: Field required'],
    [{ custom_id: null, params }, '.custom_id: Input should be a valid string'],
    [{ custom_id: 7, params }, '.custom_id: Input should be a valid string'],
    [{ custom_id: '', params }, `.custom_id: ${pattern}`],
    [{ custom_id: 'a b', params }, `.custom_id: ${pattern}`],
    [{ custom_id: 'é', params }, `.custom_id: ${pattern}`],
    [{ custom_id: 'a\n', params }, `.custom_id: ${pattern}`],
    [{ custom_id: long, params }, '.custom_id: String should have at most 64 characters'],
    [
      { custom_id: 'first', params },
      ".custom_id: 'first' is the custom_id of an earlier request; each must be unique",
    ],
    [{ custom_id: 'b' }, '.params: Field required'],
    [{ custom_id: 'b', params: [] }, '.params: Input should be an object'],
    [{ custom_id: 'b', params: null }, '.params: Input should be an object'],
    [{ custom_id: 'b', params: {} }, '.params.model: Field required'],
    [{ custom_id: 'b', params: { model: 5 } }, '.params.model: Input should be a valid string'],
    [
      { custom_id: 'b', params: { ...params, stream: true } },
      '.params.stream: Streaming is not supported in batches',
    ],
    ['b', ': Input should be an object'],
    [[], ': Input should be an object'],
    [null, ': Input should be an object'],
  ])('a request such as %j', async (request, message) => {
    const testApp = createTestApp();
    const response = await create(testApp, { requests: [aRequest('first'), request] });
    expect(messageErrorOf(response)).toEqual(
      messageRefusal(400, 'invalid_request_error', `requests.1${message}`),
    );
    await expectNothingLeft(testApp);
  });

  it.each([
    ['{"requests":[{"custom_id":"a" "b"}]}', "requests.0: not valid JSON: expected ',' or '}'"],
    ['{"requests":[01]}', 'requests.0: not valid JSON: expected nothing after the value'],
    ['{"requests":[]}', 'requests: List should have at least 1 item'],
    ['{}', 'requests: Field required'],
    ['{"requests":"x"}', 'requests: Input should be a valid list'],
    ['', 'The request body is not valid JSON: unexpected end at byte 0.'],
    ['{"requests":[{}', 'The request body is not valid JSON: unexpected end at byte 15.'],
  ])('a body such as %s', async (body, message) => {
    const testApp = createTestApp();
    const expected = body.includes('[{}') ? 'requests.0.custom_id: Field required' : message;
    expect(messageErrorOf(await create(testApp, body))).toEqual(
      messageRefusal(400, 'invalid_request_error', expected),
    );
    await expectNothingLeft(testApp);
  });

  it('bytes that are not UTF-8', async () => {
    const body = Buffer.from('{"requests":[{"custom_id":"a","params":{"model":"\xff"}}]}', 'latin1');
    expect(messageErrorOf(await create(createTestApp(), body))).toEqual(
      messageRefusal(400, 'invalid_request_error', 'requests.0: not valid JSON: invalid UTF-8'),
    );
  });

  it('stream: false and others are fine', async () => {
    const testApp = createTestApp();
    const requests = [aRequest('a', { stream: false }), aRequest('b', { stream: null })];
    expect((await create(testApp, { requests })).statusCode).toBe(200);
  });

  it('a model that the upstream refuses', async () => {
    const upstream = createScriptedUpstream(undefined, (model) => (model === 'no' ? 'Not this one.' : null));
    const testApp = createTestApp({ upstream });
    const response = await create(testApp, { requests: [aRequest('a'), aRequest('b', { model: 'no' })] });
    expect(messageErrorOf(response)).toEqual(
      messageRefusal(400, 'invalid_request_error', 'requests.1.params.model: Not this one.'),
    );
  });

  it('more requests than the limit', async () => {
    const testApp = createTestApp({ messages: { limits: { maxRequests: 2, maxBytes: 1e6 } } });
    await createdMessageBatch(testApp, ['a', 'b']);
    const before = await testApp.countBlobs();
    const response = await create(testApp, { requests: ['a', 'b', 'c'].map((id) => aRequest(id)) });
    expect(messageErrorOf(response)).toEqual(
      messageRefusal(413, 'request_too_large', 'requests: List should have at most 2 items'),
    );
    expect(await testApp.countBlobs()).toBe(before);
  });

  it('a body that says that it is larger than the limit, before it is read', async () => {
    const testApp = createTestApp();
    const client = await openRawClient(await listen(testApp.app));
    const head = requestHead(`POST ${BATCHES}`, {
      ...VERSION,
      'content-length': String(256 * 1024 * 1024 + 1),
    });
    await client.send(head);
    await expect.poll(() => client.received()).toMatch(/^HTTP\/1\.1 413 /);
    expect(client.received()).toContain('Request exceeds the maximum size of 268435456 bytes');
  });

  it('a body that turns out to be larger, while it arrives', async () => {
    const testApp = createTestApp({ messages: { limits: { maxRequests: 1e5, maxBytes: 100_000 } } });
    const client = await openRawClient(await listen(testApp.app));
    await client.send(requestHead(`POST ${BATCHES}`, { ...VERSION, 'transfer-encoding': 'chunked' }));
    const requests = Array.from({ length: 2000 }, (_, n) => JSON.stringify(aRequest(`r${n}`)));
    await client.send(chunkOf(`{"requests":[${requests.join(',')}`));
    await expect.poll(() => client.received()).toMatch(/^HTTP\/1\.1 413 /);
    expect(client.received()).toContain('"request_too_large"');
    await expectNothingLeft(testApp);
  });

  it('a body of which most is still to come: the client may send it all before it looks', async () => {
    const testApp = createTestApp();
    const client = await openRawClient(await listen(testApp.app));
    const rest = Buffer.alloc(16 * 1024 * 1024, ' ');
    const start = '{"requests":[7,';
    const length = String(start.length + rest.length);
    await client.send(requestHead(`POST ${BATCHES}`, { ...VERSION, 'content-length': length }) + start);
    await expect.poll(() => client.received()).toMatch(/^HTTP\/1\.1 400 /);
    expect(await client.send(rest)).toBe(true);
    await client.closed;
    expect(client.received()).toContain('requests.0: Input should be an object');
  });

  it('a request longer than a line may be, as sent or as the line that it becomes', async () => {
    const testApp = createTestApp({ settings: { maxLineBytes: 1000 } });
    const longer = aRequest('b', { filler: 'x'.repeat(1000) });
    const bytes = JSON.stringify(aRequest('b', { filler: '' })).length;
    const almost = aRequest('b', { filler: 'x'.repeat(1000 - bytes) });
    for (const request of [longer, almost]) {
      expect(messageErrorOf(await create(testApp, { requests: [aRequest('a'), request] }))).toEqual(
        messageRefusal(413, 'request_too_large', 'requests.1: A request may have at most 1000 bytes'),
      );
    }
    await expectNothingLeft(testApp);
  });

  it('what the limit of files forbids', async () => {
    const testApp = createTestApp({ settings: { maxFileBytes: 100 } });
    const response = await create(testApp, { requests: [aRequest('a', { filler: 'x'.repeat(100) })] });
    expect(response.statusCode).toBe(413);
    expect(response.json()).toMatchObject({ error: { type: 'request_too_large' } });
    await expectNothingLeft(testApp);
  });

  it('a client that leaves in the middle leaves nothing behind', async () => {
    const testApp = createTestApp();
    const client = await openRawClient(await listen(testApp.app));
    await client.send(requestHead(`POST ${BATCHES}`, { ...VERSION, 'content-length': '1000' }));
    await client.send(`{"requests":[${JSON.stringify(aRequest('a'))},`);
    await expect.poll(() => testApp.open.writers).toBe(1);
    client.socket.destroy();
    await expectNothingLeft(testApp);
    expect(testApp.logLines.filter((line) => line.includes('"level":50'))).toEqual([]);
  });

  it('nothing, where the batch cannot be stored: the file goes, too', async () => {
    const full = () => Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' }));
    const testApp = createTestApp({ store: () => ({ submitBatch: full }) });
    expect(messageErrorOf(await create(testApp, { requests: [aRequest('a')] }))).toEqual(
      messageRefusal(507, 'api_error', 'The server has no space left to store this.'),
    );
    await expectNothingLeft(testApp);
    expect((await testApp.call({ url: '/v1/files' })).json()).toMatchObject({ data: [] });
  });
});
