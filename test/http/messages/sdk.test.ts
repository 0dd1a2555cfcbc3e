import Anthropic, { AuthenticationError, BadRequestError, NotFoundError } from '@anthropic-ai/sdk';
import { describe, expect, it } from 'vitest';
import { createEchoUpstream } from '../../../src/adapters/upstream/index.ts';
import { API_KEY, createTestApp } from '../../helpers/http-app.ts';
import type { TestApp } from '../../helpers/http-app.ts';
import { listen } from '../raw-client.ts';
import { startWorkingApp } from './calls.ts';

async function openClient(testApp: TestApp, apiKey = API_KEY): Promise<Anthropic> {
  const port = await listen(testApp.app);
  return new Anthropic({ apiKey, authToken: null, baseURL: `http://127.0.0.1:${port}`, maxRetries: 0 });
}

function echoRequest(customId: string, content = 'Hello!') {
  const params = { model: 'echo', max_tokens: 100, messages: [{ role: 'user' as const, content }] };
  return { custom_id: customId, params };
}

describe('the Anthropic SDK', () => {
  it('runs a batch to its end and decodes its results', async () => {
    const { testApp, worker } = await startWorkingApp(createEchoUpstream());
    const { messages } = await openClient(testApp);
    const requests = Array.from({ length: 300 }, (_, n) => echoRequest(`request-${n}`, `question ${n}`));
    const created = await messages.batches.create({ requests });
    expect(created.request_counts.processing).toBe(300);
    await expect
      .poll(async () => (await messages.batches.retrieve(created.id)).processing_status, { timeout: 10_000 })
      .toBe('ended');
    await worker.stop();
    const answers = new Map<string, string>();
    for await (const { custom_id, result } of await messages.batches.results(created.id)) {
      if (result.type !== 'succeeded') return expect.unreachable();
      const [block] = result.message.content;
      answers.set(custom_id, block?.type === 'text' ? block.text : '');
      expect(result.message.usage).toMatchObject({ input_tokens: 2, output_tokens: 2 });
    }
    expect([...answers]).toEqual(requests.map(({ custom_id }, n) => [custom_id, `question ${n}`]));
    expect(await messages.batches.delete(created.id)).toEqual({
      id: created.id,
      type: 'message_batch_deleted',
    });
    await expect(messages.batches.retrieve(created.id)).rejects.toBeInstanceOf(NotFoundError);
  });

  it('pages through all batches, in both directions', async () => {
    const { messages } = await openClient(createTestApp());
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) {
      ids.unshift((await messages.batches.create({ requests: [echoRequest('a')] })).id);
    }
    const forth: string[] = [];
    for await (const { id } of messages.batches.list({ limit: 2 })) forth.push(id);
    expect(forth).toEqual(ids);
    const pages: string[][] = [];
    const last = ids.at(-1) ?? '';
    for await (const page of (await messages.batches.list({ limit: 3, before_id: last })).iterPages()) {
      pages.push(page.data.map(({ id }) => id));
    }
    expect(pages).toEqual([ids.slice(1, 4), ids.slice(0, 1)]);
  });

  it('cancels, and is told of what was canceled', async () => {
    const { testApp, worker } = await startWorkingApp(createEchoUpstream());
    await worker.stop();
    const { messages } = await openClient(testApp);
    const { id } = await messages.batches.create({ requests: [echoRequest('a')] });
    expect((await messages.batches.cancel(id)).processing_status).toBe('canceling');
    await expect(messages.batches.results(id)).rejects.toThrow('Has it finished processing? canceling');
    await expect(messages.batches.delete(id)).rejects.toBeInstanceOf(BadRequestError);
  });

  it('sees the answer to a body that is refused while most of it is still to come', async () => {
    const { messages } = await openClient(createTestApp());
    const requests = Array.from({ length: 32 }, () => echoRequest('same', 'x'.repeat(1024 * 1024)));
    await expect(messages.batches.create({ requests })).rejects.toMatchObject({
      status: 400,
      apiMessage: expect.stringMatching(/^requests\.1\.custom_id: /),
    });
  });

  it('knows the errors by their classes and members', async () => {
    const testApp = createTestApp();
    const client = await openClient(testApp);
    const twice = { requests: [echoRequest('a'), echoRequest('a')] };
    await expect(client.messages.batches.create(twice)).rejects.toMatchObject({
      constructor: BadRequestError,
      status: 400,
      type: 'invalid_request_error',
      apiMessage: expect.stringMatching(/^requests\.1\.custom_id: /),
      requestID: expect.stringMatching(/^req_/),
    });
    const { baseURL } = client;
    const stranger = new Anthropic({ apiKey: 'sk-wrong', authToken: null, baseURL, maxRetries: 0 });
    await expect(stranger.messages.batches.list()).rejects.toMatchObject({
      constructor: AuthenticationError,
      type: 'authentication_error',
    });
    const bearer = new Anthropic({ apiKey: null, authToken: API_KEY, baseURL });
    expect((await bearer.messages.batches.list()).data).toEqual([]);
  });
});
