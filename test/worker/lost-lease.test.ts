/** A worker that others may take for dead, or that has lost track of what it holds. */
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createMemoryStorage } from '../../src/adapters/memory/index.ts';
import type { ClaimChunksQuery, Engine, NewSegment, WorkerLease } from '../../src/engine/index.ts';
import { createWorker } from '../../src/worker/index.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import type { FakeClock } from '../helpers/fake-clock.ts';
import { createRecordingLog } from '../helpers/recording-log.ts';
import { answer, createScriptedUpstream } from '../helpers/scripted-upstream.ts';
import { claim } from '../helpers/store-fixtures.ts';
import { createTestEngine, inputLines, OWNER, readResults, submit } from '../helpers/test-engine.ts';

const LINES = 40;

/** A worker over a store in memory whose lease and commits go as the test says. */
async function setUp(script: Parameters<typeof createScriptedUpstream>[0] = () => answer({})) {
  const storage = createMemoryStorage();
  const state = {
    lease: { validMs: 30_000, isNew: false, slots: [] } as WorkerLease,
    isAway: false,
    /** True: another worker is the one that lives. */
    isReplaced: false,
    claims: 0,
    /** True: claims say that a process died of a chunk's first line. */
    isSuspect: false,
    /** So many commits are made and then told as failures. */
    lostAnswers: 0,
  };
  const store = {
    ...storage.store,
    async renewLease(worker: string) {
      if (state.isAway) throw new Error('no connection');
      // In memory the last one that renews is the one that lives.
      if (!state.isReplaced) await storage.store.renewLease(worker);
      return state.lease;
    },
    async claimChunks(query: ClaimChunksQuery) {
      state.claims++;
      const claims = await storage.store.claimChunks(query);
      if (!state.isSuspect) return claims;
      const trying = { place: 0, deaths: 1 };
      return claims.map((claimed) => ({ ...claimed, chunk: { ...claimed.chunk, crashes: 1, trying } }));
    },
    async commitSegments(segments: readonly NewSegment[], now: number) {
      const fenced = await storage.store.commitSegments(segments, now);
      if (state.lostAnswers-- > 0) throw new Error('connection lost');
      return fenced;
    },
  };
  const clock = createFakeClock();
  const log = createRecordingLog();
  const upstream = createScriptedUpstream(script);
  const engine = createTestEngine({ storage: { ...storage, store }, upstream, clock, log });
  const worker = createWorker({ engine, maxConcurrency: 8 });
  await worker.start();
  onTestFinished(async () => {
    const stopped = worker.stop();
    for (const attempt of upstream.held) attempt.settle({ kind: 'aborted' });
    clock.advance(1);
    await stopped;
  });
  return { engine, storage, state, clock, log, upstream };
}

async function completed(engine: Engine, id: string, clock: FakeClock): Promise<void> {
  await vi.waitFor(
    async () => {
      clock.advance(100);
      expect((await engine.batches.get(OWNER, id)).status).toBe('completed');
    },
    { timeout: 10_000, interval: 5 },
  );
  const batch = await engine.batches.get(OWNER, id);
  const ids = (await readResults(engine, batch.outputFileId)).map((line) => line.custom_id);
  expect(ids).toEqual(Array.from({ length: LINES }, (_, i) => `line-${i + 1}`));
}

describe('a worker', () => {
  it('goes on with a chunk whose commit was made, although it was told as a failure', async () => {
    let answers = 4;
    const { engine, state, clock, log } = await setUp(() => (answers-- > 0 ? answer({}) : 'hold'));
    state.lostAnswers = 1;
    const { id } = await submit(engine, inputLines(LINES));
    await vi.waitFor(() => {
      clock.advance(20);
      expect(log.entries.some(({ message }) => message.startsWith('results cannot be stored'))).toBe(true);
    });
    answers = Infinity;
    await completed(engine, id, clock);
    expect(log.entries.some(({ message }) => message.startsWith('a chunk was lost'))).toBe(true);
  });

  it('sends nothing once its lease may have ended, and goes on when it has a new one', async () => {
    const { engine, state, clock, upstream } = await setUp(() => 'hold');
    const settleAll = () => {
      for (const attempt of upstream.held) attempt.settle(answer({}));
    };
    const { id } = await submit(engine, inputLines(LINES));
    await vi.waitFor(() => expect(upstream.requests).toHaveLength(8));
    state.isAway = true;
    clock.advance(28_000);
    const { claims } = state;
    settleAll();
    await vi.waitFor(async () => {
      clock.advance(30);
      const { counts } = await engine.batches.get(OWNER, id);
      expect(counts.completed).toBe(8);
    });
    clock.advance(3000);
    expect(upstream.requests).toHaveLength(8);
    expect(state.claims).toBe(claims);
    state.isAway = false;
    await vi.waitFor(
      async () => {
        settleAll();
        clock.advance(500);
        expect((await engine.batches.get(OWNER, id)).status).toBe('completed');
      },
      { timeout: 10_000, interval: 5 },
    );
    expect(upstream.requests).toHaveLength(LINES);
  });

  it('gives up what it held when others have taken it for dead', async () => {
    const { engine, storage, state, clock, log, upstream } = await setUp(() => 'hold');
    const { id } = await submit(engine, inputLines(LINES));
    await vi.waitFor(() => expect(upstream.requests).toHaveLength(8));
    const first = [...upstream.held];
    // Another worker has the chunk.
    await storage.store.renewLease('other');
    await storage.store.releaseDeadLeases(clock.now());
    state.lease = { ...state.lease, isNew: true };
    clock.advance(10_000);
    await vi.waitFor(() =>
      expect(log.entries.some(({ message }) => message.startsWith('this worker was not heard of'))).toBe(
        true,
      ),
    );
    await vi.waitFor(() => expect(upstream.held.some((attempt) => first.includes(attempt))).toBe(false));
    state.lease = { ...state.lease, isNew: false };
    await vi.waitFor(() => {
      clock.advance(100);
      expect(upstream.requests.length).toBeGreaterThan(8);
    });
    expect((await engine.batches.get(OWNER, id)).status).toBe('in_progress');
  });

  it('sends no line of what others have by now, while it gives that up', async () => {
    const { engine, storage, state, clock, log, upstream } = await setUp(() => 'hold');
    // Two chunks: the requests of one are aborted before those of the other.
    await submit(engine, inputLines(LINES));
    await submit(engine, inputLines(LINES));
    await vi.waitFor(() => expect(upstream.requests).toHaveLength(8));
    state.isReplaced = true;
    await storage.store.renewLease('other');
    await storage.store.releaseDeadLeases(clock.now());
    expect(await claim(storage.store, { worker: 'other' })).toHaveLength(2);
    state.lease = { ...state.lease, isNew: true };
    clock.advance(10_000);
    await vi.waitFor(() => {
      clock.advance(500);
      expect(log.entries.filter(({ message }) => message.startsWith('a chunk was lost'))).toHaveLength(2);
      expect(upstream.held).toHaveLength(0);
    });
    expect(upstream.requests).toHaveLength(8);
  });

  it('does not retry a line that waits in its slot once others may have it', async () => {
    const { engine, state, clock, upstream } = await setUp(() => answer({}, 500, { retryAfterMs: '50000' }));
    state.isSuspect = true;
    await submit(engine, inputLines(LINES));
    await vi.waitFor(() => {
      clock.advance(100);
      expect(upstream.requests).toHaveLength(1);
    });
    state.isAway = true;
    for (let i = 0; i < 60; i++) {
      clock.advance(1000);
      await new Promise(setImmediate);
    }
    expect(upstream.requests).toHaveLength(1);
    state.isAway = false;
    await vi.waitFor(() => {
      clock.advance(1000);
      expect(upstream.requests.length).toBeGreaterThan(1);
    });
  });
});
