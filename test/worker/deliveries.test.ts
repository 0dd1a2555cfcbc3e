import { afterEach, describe, expect, it, vi } from 'vitest';
import { createMemoryStorage } from '../../src/adapters/memory/index.ts';
import type { Store, WebhookOutcome, WebhookRequest, WebhookSender } from '../../src/engine/index.ts';
import { createWorker } from '../../src/worker/index.ts';
import type { Worker } from '../../src/worker/index.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import { createTestEngine, inputLines, OWNER, submit } from '../helpers/test-engine.ts';
import type { TestEngineOptions } from '../helpers/test-engine.ts';

const settings = {
  webhookSigningSecret: 'a secret of some length',
  webhookUrls: ['http://ops.example/hook'],
};
const workers: Worker[] = [];

afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));
});

interface FakeSender extends WebhookSender {
  readonly sent: (WebhookRequest & { readonly type: string })[];
}

function createSender(respond: (attempt: number, url: string) => WebhookOutcome | 'hang'): FakeSender {
  const sent: FakeSender['sent'] = [];
  return {
    sent,
    check: (url) => (url.includes('private') ? 'a private address' : null),
    async send(request, signal) {
      sent.push({ ...request, type: JSON.parse(request.body).type });
      const outcome = respond(sent.length, request.url);
      if (outcome !== 'hang') return outcome;
      return await new Promise((resolve) =>
        signal.addEventListener('abort', () => resolve({ kind: 'aborted' })),
      );
    },
    close: async () => {},
  };
}

async function start(options: TestEngineOptions) {
  const engine = createTestEngine({ settings, ...options });
  const worker = createWorker({ engine });
  workers.push(worker);
  await worker.start();
  return { engine, worker };
}

const ok: WebhookOutcome = { kind: 'answered', status: 200, retryAfter: null, body: '' };

describe('webhooks', () => {
  it('tell configured URLs every event, a batch’s own URL only its end, each with its id and signature', async () => {
    const webhooks = createSender(() => ok);
    const { engine } = await start({ webhooks });
    const { id } = await submit(engine, inputLines(2), { webhookUrl: 'https://mine.example/' });
    await vi.waitFor(() => expect(webhooks.sent).toHaveLength(4));
    const seen = webhooks.sent.map(({ url, type, trusted }) => `${url} ${type} ${trusted}`).toSorted();
    expect(seen).toEqual([
      'http://ops.example/hook batch.completed true',
      'http://ops.example/hook batch.in_progress true',
      'http://ops.example/hook batch.queued true',
      'https://mine.example/ batch.completed false',
    ]);
    const [ops, mine] = webhooks.sent.filter(({ type }) => type === 'batch.completed');
    expect(ops?.headers['webhook-id']).toBe(mine?.headers['webhook-id']);
    const batch = await engine.batches.get(OWNER, id);
    expect(JSON.parse(mine?.body ?? '')).toEqual({
      id: mine?.headers['webhook-id'],
      object: 'event',
      created_at: Math.floor((batch.completedAt ?? 0) / 1000),
      type: 'batch.completed',
      data: {
        id,
        request_counts: { total: 2, completed: 2, failed: 0 },
        output_file_id: batch.outputFileId,
        error_file_id: null,
      },
    });
  });

  it('are tried again on the schedule, also by the next process, with the same id and a fresh timestamp', async () => {
    const clock = createFakeClock();
    const storage = createMemoryStorage();
    const failing = createSender(() => ({ kind: 'failed', message: 'connection refused' }));
    const first = await start({ webhooks: failing, clock, storage });
    await first.engine.batches.create({
      owner: OWNER,
      inputFileId: 'file-unknown',
      endpoint: '/v1/embeddings',
      completionWindow: '24h',
    });
    await vi.waitFor(() => {
      clock.advance(10);
      expect(failing.sent).toHaveLength(2);
    });
    await first.worker.stop();

    const working = createSender(() => ok);
    await start({ webhooks: working, clock, storage });
    clock.advance(3000);
    await Promise.resolve();
    expect(working.sent).toEqual([]);
    await vi.waitFor(() => {
      clock.advance(1000);
      expect(working.sent).toHaveLength(2);
    });
    for (const again of working.sent) {
      const before = failing.sent.find(({ type }) => type === again.type);
      expect(again.headers['webhook-id']).toBe(before?.headers['webhook-id']);
      expect(Number(again.headers['webhook-timestamp'])).toBeGreaterThanOrEqual(
        Number(before?.headers['webhook-timestamp']) + 5,
      );
    }
  });

  it('do not wait for a receiver that never answers, however many are sent to it', async () => {
    const webhooks = createSender((_attempt, url) => (url.startsWith('http://slow') ? 'hang' : ok));
    const { engine } = await start({ webhooks, settings: { ...settings, webhookUrls: [] } });
    for (let n = 0; n < 70; n++)
      await submit(engine, inputLines(1), { webhookUrl: `http://slow.example/${n}` });
    await vi.waitFor(() => expect(webhooks.sent).toHaveLength(8));
    await submit(engine, inputLines(1), { webhookUrl: 'http://quick.example/' });
    await vi.waitFor(() => expect(webhooks.sent.at(-1)?.url).toBe('http://quick.example/'));
    expect(webhooks.sent).toHaveLength(9);
  });

  it('are sent again where neither their end nor their return can be stored, and count as under way until then', async () => {
    const clock = createFakeClock();
    const storage = createMemoryStorage();
    let full = true;
    const fail = () => Promise.reject(new Error('database or disk is full'));
    const claimDeliveries = vi.fn<Store['claimDeliveries']>((...query) =>
      storage.store.claimDeliveries(...query),
    );
    const releaseDeliveries = vi.fn(fail);
    const store = new Proxy(storage.store, {
      get: (target, name) => {
        if (name === 'claimDeliveries') return claimDeliveries;
        if (full && name === 'settleDelivery') return fail;
        if (full && name === 'releaseDeliveries') return releaseDeliveries;
        return Reflect.get(target, name) as unknown;
      },
    });
    const webhooks = createSender(() => ok);
    const { engine } = await start({
      webhooks,
      clock,
      storage: { ...storage, store },
      settings: { ...settings, webhookUrls: [] },
    });
    const url = 'https://mine.example/hook';
    await submit(engine, inputLines(1), { webhookUrl: url });
    const advance = { timeout: 10_000, interval: 5 };
    await vi.waitFor(() => {
      clock.advance(100);
      expect(releaseDeliveries.mock.calls.length).toBeGreaterThan(1);
    }, advance);
    expect(webhooks.sent).toHaveLength(1);
    claimDeliveries.mockClear();
    await vi.waitFor(() => {
      clock.advance(100);
      expect(claimDeliveries.mock.lastCall?.[3]?.held).toEqual([url]);
    }, advance);
    full = false;
    await vi.waitFor(() => {
      clock.advance(100);
      expect(webhooks.sent).toHaveLength(2);
    }, advance);
  });

  it('are given back without counting where a stop aborts them', async () => {
    const clock = createFakeClock();
    const storage = createMemoryStorage();
    const webhooks = createSender(() => 'hang');
    const { engine, worker } = await start({ webhooks, clock, storage });
    await submit(engine, inputLines(1));
    await vi.waitFor(() => {
      clock.advance(10);
      expect(webhooks.sent.length).toBeGreaterThan(0);
    });
    await worker.stop();
    const due = await storage.store.claimDeliveries('test', clock.now(), 10);
    expect(due.length).toBeGreaterThan(0);
    expect(due.every((delivery) => delivery.attempts === 0)).toBe(true);
  });

  it('are refused at create for an address that may not be called, or without a secret', async () => {
    const engine = createTestEngine({ webhooks: createSender(() => ok), settings });
    await expect(
      submit(engine, inputLines(1), { webhookUrl: 'http://private.example' }),
    ).rejects.toMatchObject({
      code: 'invalid_value',
      param: 'webhook_url',
      message: "Invalid 'webhook_url': a private address.",
    });
    const unsigned = createTestEngine({ webhooks: createSender(() => ok) });
    await expect(submit(unsigned, inputLines(1), { webhookUrl: 'http://x.example' })).rejects.toMatchObject({
      message: expect.stringContaining('WEBHOOK_SIGNING_SECRET'),
    });
  });
});
