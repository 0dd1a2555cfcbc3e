import Anthropic from '@anthropic-ai/sdk';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startUpstreamServer } from '../helpers/upstream-server.ts';
import type { Script } from '../helpers/upstream-server.ts';
import { endOf as endOfOther, chatLines, startTestService, submitBatch } from './test-service.ts';

const SECRET = `whsec_${Buffer.alloc(32, 9).toString('base64')}`;

async function startUpstream(script: Script) {
  const upstream = await startUpstreamServer(script);
  onTestFinished(() => upstream.close());
  return upstream;
}

function anthropic(baseURL: string, apiKey = 'unused'): Anthropic {
  return new Anthropic({ baseURL, apiKey, authToken: null, maxRetries: 0 });
}

function requestsOf(count: number) {
  return Array.from({ length: count }, (_, n) => {
    const messages = [{ role: 'user' as const, content: `question ${n}` }];
    return { custom_id: `request-${n}`, params: { model: 'test-model', max_tokens: 100, messages } };
  });
}

async function endOf({ messages }: Anthropic, id: string) {
  await expect
    .poll(async () => (await messages.batches.retrieve(id)).processing_status, {
      timeout: 30_000,
      interval: 20,
    })
    .toBe('ended');
  return await messages.batches.retrieve(id);
}

describe('a program that uses the Anthropic SDK', () => {
  it('sends its requests to a server of the same API, through a restart, and reads their results', async () => {
    const upstream = await startUpstream((request) => {
      const { messages } = request.json() as { messages: { content: string }[] };
      if (messages[0]?.content === 'question 7') {
        const error = { type: 'invalid_request_error', message: 'not this one' };
        return { status: 400, body: { type: 'error', error }, headers: { 'request-id': 'req_upstream' } };
      }
      return { body: { type: 'message', content: [{ type: 'text', text: messages[0]?.content }] } };
    });
    const env = {
      UPSTREAM_BASE_URL: upstream.baseUrl,
      UPSTREAM_API_KEY: 'upstream-key',
      UPSTREAM_FORMAT: 'anthropic',
      API_KEYS: 'client-key',
    };
    const first = await startTestService(env);
    const created = await anthropic(first.url, 'client-key').messages.batches.create({
      requests: requestsOf(500),
    });
    await first.stop();
    const { url } = await startTestService({ ...env, DATA_DIR: first.dataDir });
    const client = anthropic(url, 'client-key');
    const batch = await endOf(client, created.id);
    expect(batch.request_counts).toEqual({
      processing: 0,
      succeeded: 499,
      errored: 1,
      canceled: 0,
      expired: 0,
    });
    const results = new Map<string, Anthropic.Messages.MessageBatchResult>();
    for await (const { custom_id, result } of await client.messages.batches.results(created.id)) {
      results.set(custom_id, result);
    }
    expect(results.size).toBe(500);
    expect(results.get('request-3')).toMatchObject({ message: { content: [{ text: 'question 3' }] } });
    expect(results.get('request-7')).toEqual({
      type: 'errored',
      error: {
        type: 'error',
        error: { type: 'invalid_request_error', message: 'not this one' },
        request_id: 'req_upstream',
      },
    });
    const sent = upstream.requests[0];
    expect(sent).toMatchObject({ method: 'POST', path: '/v1/messages' });
    expect(sent?.headers).toMatchObject({
      'x-api-key': 'upstream-key',
      'anthropic-version': '2023-06-01',
      'idempotency-key': expect.stringMatching(/^batch_req_[0-9a-f]{32}$/),
    });
    expect(sent?.headers).not.toHaveProperty('authorization');
  });

  it('is told of its batch by webhooks under the id that it knows, beside batches of the other API', async () => {
    const receiver = await startUpstream(() => ({}));
    const service = await startTestService({
      WEBHOOK_SIGNING_SECRET: SECRET,
      WEBHOOK_URLS: `${receiver.origin}/all`,
      PUBLIC_BASE_URL: 'https://batch.example.com',
    });
    const client = anthropic(service.url);
    const requests = requestsOf(2).map((request) => {
      return { ...request, params: { ...request.params, model: 'echo' } };
    });
    const { id } = await client.messages.batches.create({ requests });
    const other = await submitBatch(service.client, chatLines(1, 'echo'));
    expect((await endOf(client, id)).results_url).toBe(
      `https://batch.example.com/v1/messages/batches/${id}/results`,
    );
    await endOfOther(service.client, other.id);
    await expect.poll(() => receiver.requests.length, { timeout: 10_000 }).toBe(6);
    const events = receiver.requests.map(
      (request) => request.json() as { type: string; data: { id: string } },
    );
    const typesOf = (batchId: string) =>
      new Set(events.filter(({ data }) => data.id === batchId).map(({ type }) => type));
    const types = new Set(['batch.queued', 'batch.in_progress', 'batch.completed']);
    expect([typesOf(id), typesOf(other.id)]).toEqual([types, types]);
    expect(events.find(({ type, data }) => data.id === id && type === 'batch.completed')?.data).toMatchObject(
      {
        request_counts: { total: 2, completed: 2, failed: 0 },
      },
    );
  });
});
