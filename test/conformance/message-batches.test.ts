/** Message Batches: each call, each field, each state and each kind of result, through the official SDK. */
import Anthropic from '@anthropic-ai/sdk';
import { afterEach, describe, expect, it } from 'vitest';
import { createGate, KEY, messageErrorOf, messageRefusal, useService } from './service.ts';
import {
  deletedMessageBatch,
  messageBatchObject,
  messageErrorEnvelope,
  messageResultLine,
} from './shapes.ts';

type MessageBatch = Anthropic.Messages.Batches.MessageBatch;
type Result = Anthropic.Messages.Batches.MessageBatchResult;

const NONE = { processing: 0, succeeded: 0, errored: 0, canceled: 0, expired: 0 };
const DAY_MS = 86_400_000;
const gate = createGate();

/** Two requests at a time, so that most of a batch that is held has not been sent. */
const service = useService(
  { UPSTREAM_FORMAT: 'anthropic', MAX_CONCURRENCY: '2', MAX_RETRIES: '0', REQUEST_TIMEOUT_MS: '10000' },
  async (request) => {
    const { messages } = request.json() as { messages: { content: string }[] };
    const what = messages[0]?.content ?? '';
    if (what === 'hold') await gate.wait();
    if (what === 'refuse') {
      const error = { type: 'invalid_request_error', message: 'max_tokens: Field required' };
      return { status: 400, body: { type: 'error', error }, headers: { 'request-id': 'req_of_the_model' } };
    }
    if (what === 'break') return { status: 500, body: 'broken' };
    return {
      body: { id: 'msg_1', type: 'message', content: [{ type: 'text', text: `${what} – déjà vu 💡` }] },
    };
  },
);

// A case that fails must not hold up those behind it, nor must what is sent after it has let go.
afterEach(() => gate.release());

const batches = () => service.anthropic.messages.batches;

function request(customId: string, content = 'answer') {
  const messages = [{ role: 'user' as const, content }];
  return { custom_id: customId, params: { model: 'm', max_tokens: 10, messages } };
}

const create = (...contents: readonly string[]): Promise<MessageBatch> =>
  batches().create({ requests: contents.map((content, n) => request(`${content}-${n}`, content)) });

async function end(id: string): Promise<MessageBatch> {
  let batch = await batches().retrieve(id);
  await expect
    .poll(async () => (batch = await batches().retrieve(id)).processing_status, {
      timeout: 20_000,
      interval: 20,
    })
    .toBe('ended');
  messageBatchObject.parse(batch);
  return batch;
}

/** The results by their custom_ids. */
async function resultsOf(id: string): Promise<Record<string, Result>> {
  const results: Record<string, Result> = {};
  for await (const line of await batches().results(id)) {
    messageResultLine.parse(line);
    results[line.custom_id] = line.result;
  }
  return results;
}

/** A batch of which one request was answered, two are in flight until the gate is opened, and four have not been sent. */
async function createHeld(): Promise<MessageBatch> {
  const batch = await create('answer', ...Array<string>(6).fill('hold'));
  await expect.poll(() => gate.waiting, { timeout: 10_000 }).toBe(2);
  return batch;
}

describe('a create', () => {
  it('answers the whole object, with its keys in order and nothing set that is not known', async () => {
    const batch = await create('answer', 'refuse');
    expect(Object.keys(batch)).toEqual(Object.keys(messageBatchObject.shape));
    expect(messageBatchObject.parse(batch)).toMatchObject({
      processing_status: 'in_progress',
      request_counts: { ...NONE, processing: 2 },
      ended_at: null,
      cancel_initiated_at: null,
      archived_at: null,
      results_url: null,
    });
    expect(Date.parse(batch.expires_at) - Date.parse(batch.created_at)).toBeCloseTo(DAY_MS, -3);
    await end(batch.id);
  });

  it.each([
    ['the longest custom_id', { requests: [request('x'.repeat(64))] }],
    ['each kind of letter in a custom_id', { requests: [request('aZ09_-')] }],
    ['stream: false', { requests: [{ ...request('a'), params: { ...request('a').params, stream: false } }] }],
    ['members that it does not know', { requests: [{ ...request('a'), more: [1] }], metadata: { a: 1 } }],
  ])('takes %s', async (_name, body) => {
    const answer = await service.call('/v1/messages/batches', {
      method: 'POST',
      headers: { 'anthropic-version': '2023-06-01' },
      json: body,
    });
    expect(answer.status).toBe(200);
    await end(messageBatchObject.parse(answer.json).id);
  });

  it.each(['text/plain', 'application/octet-stream', 'application/json; charset=utf-8', 'nonsense'])(
    'takes its body for JSON where it claims to be %s',
    async (type) => {
      const answer = await service.call('/v1/messages/batches', {
        method: 'POST',
        headers: { 'anthropic-version': '2023-06-01', 'content-type': type },
        body: JSON.stringify({ requests: [request('a')] }),
      });
      expect(answer.status).toBe(200);
      await end(messageBatchObject.parse(answer.json).id);
    },
  );
});

describe('a batch', () => {
  it('that runs counts all of its requests as processing', async () => {
    const { id } = await create('answer', 'refuse', 'hold');
    await expect.poll(() => gate.waiting, { timeout: 10_000 }).toBe(1);
    expect(messageBatchObject.parse(await batches().retrieve(id))).toMatchObject({
      processing_status: 'in_progress',
      request_counts: { ...NONE, processing: 3 },
      ended_at: null,
      results_url: null,
    });
    gate.release();
    await end(id);
  });

  it('that has ended tells when, how many of its requests came to what, and where their results are', async () => {
    const { id, created_at: createdAt } = await create('answer', 'refuse', 'break', 'other');
    const batch = await end(id);
    expect(batch).toMatchObject({
      request_counts: { ...NONE, succeeded: 2, errored: 2 },
      cancel_initiated_at: null,
      results_url: `${service.url}/v1/messages/batches/${id}/results`,
    });
    expect(Date.parse(batch.ended_at ?? '')).toBeGreaterThanOrEqual(Date.parse(createdAt));
    // It never changes again.
    expect(await batches().retrieve(id)).toEqual(batch);
  });

  it('that runs has no results, and is not deleted', async () => {
    const { id } = await createHeld();
    await expect(batches().results(id)).rejects.toThrow();
    const results = await service.call(`/v1/messages/batches/${id}/results`, {
      headers: { 'anthropic-version': '2023-06-01' },
    });
    expect(messageErrorOf(results)).toEqual(
      messageRefusal(
        404,
        `Message Batch '${id}' has no results yet: its processing_status is 'in_progress'.`,
      ),
    );
    await expect(batches().delete(id)).rejects.toMatchObject({
      status: 400,
      apiMessage: `Message Batch '${id}' cannot be deleted: its processing has not ended. Cancel it first.`,
    });
    await batches().cancel(id);
    gate.release();
    await end(id);
  });

  it('that is canceled keeps what was answered', async () => {
    const { id } = await createHeld();
    const canceling = messageBatchObject.parse(await batches().cancel(id));
    expect(canceling).toMatchObject({
      processing_status: 'canceling',
      request_counts: { ...NONE, processing: 7 },
      ended_at: null,
      results_url: null,
    });
    expect(canceling.cancel_initiated_at).not.toBeNull();
    expect(await batches().cancel(id)).toEqual(canceling);
    gate.release();
    const batch = await end(id);
    expect(batch.request_counts).toEqual({ ...NONE, succeeded: 3, canceled: 4 });
    expect(batch.cancel_initiated_at).toBe(canceling.cancel_initiated_at);
    const types = Object.values(await resultsOf(id)).map(({ type }) => type);
    expect(types).toEqual([...Array(3).fill('succeeded'), ...Array(4).fill('canceled')]);
  });

  it('whose deadline passes keeps what was answered', async () => {
    const { id } = await createHeld();
    service.expire(id.replace('msgbatch_', 'batch_'));
    const batch = await end(id);
    expect(batch.request_counts).toEqual({ ...NONE, succeeded: 1, expired: 6 });
    expect(batch.cancel_initiated_at).toBeNull();
    const types = Object.values(await resultsOf(id)).map(({ type }) => type);
    expect(types).toEqual(['succeeded', ...Array(6).fill('expired')]);
  });

  it('is deleted once it has ended, with its files', async () => {
    const { id } = await create('answer', 'refuse');
    await end(id);
    expect(deletedMessageBatch.parse(await batches().delete(id)).id).toBe(id);
    await expect(batches().retrieve(id)).rejects.toBeInstanceOf(Anthropic.NotFoundError);
    await expect(batches().delete(id)).rejects.toBeInstanceOf(Anthropic.NotFoundError);
    const listed: string[] = [];
    for await (const batch of batches().list()) listed.push(batch.id);
    expect(listed).not.toContain(id);
  });

  it('is no batch of the other API', async () => {
    const { id } = await create('answer');
    const other = await service.submit(['{"custom_id":"a"}']);
    await expect(service.client.batches.retrieve(id.replace('msgbatch_', 'batch_'))).rejects.toMatchObject({
      status: 404,
    });
    for await (const batch of service.client.batches.list()) expect(batch.id).not.toBe(id.replace('msg', ''));
    for await (const batch of batches().list()) expect(batch.id).not.toBe(`msg${other.id}`);
    await end(id);
  });
});

describe('the results', () => {
  it('are one for each request, of the kind that its outcome has', async () => {
    const { id } = await create('answer', 'refuse', 'break');
    await end(id);
    const { 'answer-0': answer, 'refuse-1': refuse, 'break-2': broken } = await resultsOf(id);
    expect(answer).toEqual({
      type: 'succeeded',
      message: { id: 'msg_1', type: 'message', content: [{ type: 'text', text: 'answer – déjà vu 💡' }] },
    });
    expect(refuse).toEqual({
      type: 'errored',
      error: {
        type: 'error',
        error: { type: 'invalid_request_error', message: 'max_tokens: Field required' },
        request_id: 'req_of_the_model',
      },
    });
    if (broken?.type !== 'errored') return expect.unreachable();
    expect(messageErrorEnvelope.parse(broken.error).error.type).toBe('api_error');
  });

  it('are JSONL, a line break behind each line', async () => {
    const { id } = await create('answer', 'refuse');
    const { results_url: url } = await end(id);
    const { status, headers, text } = await service.call(new URL(url ?? '').pathname, {
      headers: { 'anthropic-version': '2023-06-01', accept: 'application/binary' },
    });
    expect([status, headers.get('content-type')]).toEqual([200, 'application/x-jsonl']);
    expect(headers.get('request-id')).toMatch(/^req_/);
    const lines = text.split('\n');
    expect(lines.pop()).toBe('');
    expect(lines.map((line) => messageResultLine.parse(JSON.parse(line)).custom_id)).toEqual([
      'answer-0',
      'refuse-1',
    ]);
  });
});

describe('a request', () => {
  it.each(['2023-06-01', '2026-10-21'])('may speak the version %s', async (version) => {
    const { status, headers } = await service.call('/v1/messages/batches', {
      headers: { 'anthropic-version': version },
    });
    expect(status).toBe(200);
    expect(headers.get('request-id')).toMatch(/^req_[0-9a-f]{32}$/);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect([...headers.keys()].filter((name) => name.startsWith('openai-'))).toEqual([]);
  });

  it.each([
    ['x-api-key', { apiKey: KEY, authToken: null }],
    ['a bearer', { apiKey: null, authToken: KEY }],
  ])('may send its key as %s', async (_name, keys) => {
    const client = new Anthropic({ ...keys, baseURL: service.url, maxRetries: 0 });
    expect((await client.messages.batches.list({ limit: 1 })).data).toHaveLength(1);
  });
});
