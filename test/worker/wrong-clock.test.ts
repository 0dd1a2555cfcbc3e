/** A wall clock that jumps, back or forth, for a while or for good, while batches run. */
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createMemoryStorage } from '../../src/adapters/memory/index.ts';
import { isTerminal } from '../../src/engine/index.ts';
import type { WebhookSender } from '../../src/engine/index.ts';
import { STEADY_MS } from '../../src/engine/steady-clock.ts';
import { createWorker } from '../../src/worker/index.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import type { FakeClock } from '../helpers/fake-clock.ts';
import { answer, createScriptedUpstream } from '../helpers/scripted-upstream.ts';
import { createTestEngine, inputLines, OWNER, submit } from '../helpers/test-engine.ts';
import type { TestEngineOptions } from '../helpers/test-engine.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const JUMPS = [HOUR, -HOUR, 400 * DAY, -400 * DAY];

async function start(clock: FakeClock, options: TestEngineOptions = {}) {
  const upstream = createScriptedUpstream(() => 'hold');
  const engine = createTestEngine({ clock, upstream, ...options });
  const worker = createWorker({ engine });
  await worker.start();
  onTestFinished(async () => {
    let hasStopped = false;
    const stopped = worker.stop().then(() => (hasStopped = true));
    while (!hasStopped) {
      clock.advance(1);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await stopped;
  });
  const statusOf = async (id: string) => (await engine.batches.get(OWNER, id)).status;
  /** Runs until the batch has ended or `ms` have passed. */
  const run = async (ms: number, id: string) => {
    for (let passed = 0; passed < ms; passed += 1000) {
      clock.advance(1000);
      // The worker's look around takes some turns.
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
      const { status } = await engine.batches.get(OWNER, id);
      if (isTerminal(status)) return status;
    }
    return await statusOf(id);
  };
  const untilSent = async (lines: number) =>
    await vi.waitFor(() => {
      clock.advance(1);
      expect(upstream.held).toHaveLength(lines);
    });
  return { engine, upstream, run, untilSent };
}

describe('a wall clock that jumps', () => {
  it.each(JUMPS)('by %d ms and back ends no batch and removes no file', async (ms) => {
    const clock = createFakeClock();
    const { engine, upstream, run, untilSent } = await start(clock);
    const spare = await submit(engine, inputLines(1, 'spare-'));
    await untilSent(1);
    upstream.held[0]?.settle(answer({}));
    await run(5000, spare.id);
    const { id, inputFileId } = await submit(engine, inputLines(3));
    await untilSent(3);

    clock.setWall(clock.now() + ms);
    expect(await run(90_000, id)).toBe('in_progress');
    expect((await engine.files.list({ owner: OWNER, order: 'asc', limit: 10 })).data).toHaveLength(3);
    // One that is created meanwhile is neither harmed now nor when the clock is right again.
    const meanwhile = await submit(engine, inputLines(2, 'meanwhile-'));
    await untilSent(5);
    clock.setWall(clock.now() - ms);
    expect(await run(90_000, id)).toBe('in_progress');
    expect(await run(1000, meanwhile.id)).toBe('in_progress');
    await engine.files.get(OWNER, inputFileId);
    await engine.files.get(OWNER, spare.inputFileId);

    for (const attempt of upstream.held) attempt.settle(answer({}));
    expect(await run(5000, id)).toBe('completed');
    expect(await run(5000, meanwhile.id)).toBe('completed');
    const listed = (await engine.batches.list({ owner: OWNER, limit: 10 })).data;
    expect(listed.map((batch) => batch.id)).toEqual([meanwhile.id, id, spare.id]);
    for (const { createdAt, inProgressAt, finalizingAt, completedAt } of listed) {
      const times = [createdAt, inProgressAt, finalizingAt, completedAt].map(Number);
      expect(times).toEqual(times.toSorted((a, b) => a - b));
    }
  });

  it('beyond a deadline for good lets it pass once it was steady, but not that of a batch made since', async () => {
    const clock = createFakeClock();
    const { engine, run, untilSent } = await start(clock);
    const { id } = await submit(engine, inputLines(1));
    await untilSent(1);
    clock.setWall(clock.now() + 3 * DAY);
    const since = await submit(engine, inputLines(1, 'since-'));
    await untilSent(2);
    expect(await run(STEADY_MS - 10_000, id)).toBe('in_progress');
    expect(await run(30_000, id)).toBe('expired');
    expect(await run(60_000, since.id)).toBe('in_progress');
  });

  it('forth for good does not shorten the life of results that were written while it was in doubt', async () => {
    const clock = createFakeClock();
    const { engine, upstream, run, untilSent } = await start(clock);
    const { id } = await submit(engine, inputLines(1), { outputExpiresAfterSeconds: 3600 });
    await untilSent(1);
    clock.setWall(clock.now() + 2 * HOUR);
    upstream.held[0]?.settle(answer({}));
    expect(await run(5000, id)).toBe('completed');
    const { outputFileId } = await engine.batches.get(OWNER, id);
    const other = await submit(engine, inputLines(1));
    await run(STEADY_MS + 120_000, other.id);
    await engine.files.get(OWNER, outputFileId ?? '');
  });

  it.each([...JUMPS, 0])('by %d ms moves no retry of a webhook within the process', async (ms) => {
    const clock = createFakeClock();
    const sentAt: number[] = [];
    const webhooks: WebhookSender = {
      check: () => null,
      send: async () => {
        sentAt.push(clock.monotonic());
        return { kind: 'answered', status: 500, retryAfter: null, body: '' };
      },
      close: async () => {},
    };
    const settings = {
      webhookUrls: ['http://ops.example/'],
      webhookSigningSecret: 'a secret of some length',
    };
    const { engine, run } = await start(clock, { webhooks, settings });
    const { id } = await submit(engine, inputLines(1));
    await run(7000, id);
    const [queued] = sentAt;
    expect(sentAt.length).toBeGreaterThanOrEqual(2);
    clock.setWall(clock.now() + ms);
    sentAt.length = 0;
    // The second retry is due five minutes after the first one, which was due after five seconds.
    await run(280_000, id);
    expect(sentAt).toEqual([]);
    await run(60_000, id);
    expect((sentAt[0] ?? 0) - (queued ?? 0)).toBeGreaterThan(304_000);
    expect(sentAt.length).toBeGreaterThanOrEqual(2);
  });

  it('back by a year before a start does not put webhooks off by a year', async () => {
    const clock = createFakeClock();
    const storage = createMemoryStorage();
    const sent: string[] = [];
    const webhooks: WebhookSender = {
      check: () => null,
      send: async (request) => {
        sent.push(request.body);
        return { kind: 'answered', status: sent.length === 1 ? 500 : 200, retryAfter: null, body: '' };
      },
      close: async () => {},
    };
    const settings = {
      webhookUrls: ['http://ops.example/'],
      webhookSigningSecret: 'a secret of some length',
    };
    const first = await start(clock, { storage, webhooks, settings });
    const { id } = await submit(first.engine, inputLines(1));
    await first.run(2000, id);
    expect(sent.length).toBeGreaterThan(0);
    const wrong = sent[0];
    clock.setWall(clock.now() - 365 * DAY);
    const second = await start(clock, { storage, webhooks, settings });
    await second.run(10_000, id);
    expect(sent.filter((body) => body === wrong)).toHaveLength(2);
  });
});
