import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createMemoryStorage } from '../../src/adapters/memory/index.ts';
import type { Engine, Store } from '../../src/engine/index.ts';
import { createWorker } from '../../src/worker/index.ts';
import type { Worker } from '../../src/worker/index.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import type { FakeClock } from '../helpers/fake-clock.ts';
import { createRecordingLog } from '../helpers/recording-log.ts';
import { answer, createScriptedUpstream } from '../helpers/scripted-upstream.ts';
import { createTestEngine, inputLines, OWNER, submit } from '../helpers/test-engine.ts';

const ACCUSED = 'accused-1';

/** Stopped at the end of the test, with what is in flight aborted. */
async function startWorker(engine: Engine, clock: FakeClock): Promise<Worker> {
  const worker = createWorker({ engine, maxConcurrency: 8 });
  await worker.start();
  onTestFinished(async () => {
    const stopped = vi.fn<() => void>();
    void worker.stop().then(stopped);
    await vi.waitFor(() => {
      clock.advance(1);
      expect(stopped).toHaveBeenCalled();
    });
  });
  return worker;
}

/** A storage in which two processes have died while they tried the one line of a batch alone. */
async function accusedStorage(clock: FakeClock) {
  const storage = createMemoryStorage();
  // Prepares the batch and claims none of its chunks.
  const store = { ...storage.store, claimChunks: async () => [] };
  const engine = createTestEngine({ storage: { ...storage, store }, clock });
  const preparing = await startWorker(engine, clock);
  const { id } = await submit(engine, inputLines(1, 'accused-'));
  await vi.waitFor(async () => expect((await engine.batches.get(OWNER, id)).status).toBe('in_progress'));
  await preparing.stop();
  const query = {
    worker: 'dead',
    limit: 1,
    perModel: 1,
    held: [],
    oneEachExcept: null,
    above: new Map(),
  };
  for (let deaths = 0; deaths < 2; deaths++) {
    const [claim] = await storage.store.claimChunks({ ...query, now: clock.now() });
    if (claim === undefined) return expect.unreachable();
    const { number: chunkNumber, epoch } = claim.chunk;
    await storage.store.markTrying({ batchId: id, chunkNumber, epoch }, 0);
    await storage.store.releaseDeadLeases(clock.now());
  }
  return { storage, id };
}

/** That batch in a new process, beside a batch of free lines whose chunk is claimed as well. */
async function accusedBesideOthers(options: { readonly failures?: number } = {}) {
  const clock = createFakeClock();
  const { storage, id } = await accusedStorage(clock);
  let failures = options.failures ?? 0;
  const notes: (number | null)[] = [];
  const claimed = new Set<string>();
  const store: Store = {
    ...storage.store,
    async claimChunks(query) {
      const claims = await storage.store.claimChunks(query);
      for (const { batch } of claims) claimed.add(batch.id);
      return claims;
    },
    async markTrying(ref, place) {
      if (failures-- > 0) throw new Error('the disk is full');
      notes.push(place);
      return await storage.store.markTrying(ref, place);
    },
  };
  const upstream = createScriptedUpstream(() => 'hold');
  const log = createRecordingLog();
  const engine = createTestEngine({ storage: { ...storage, store }, upstream, clock, log });
  const worker = await startWorker(engine, clock);
  const free = await submit(engine, inputLines(3, 'free-'));
  await vi.waitFor(() => expect([...claimed]).toEqual(expect.arrayContaining([id, free.id])));
  const sent = () => upstream.requests.map(({ body }) => JSON.parse(body).n as string);
  return { clock, engine, worker, upstream, log, notes, sent, id };
}

describe('the turn of a line that may have killed the process', () => {
  it('is waited for by all others, also while the store cannot note it', async () => {
    const { clock, sent, upstream, log, notes } = await accusedBesideOthers({ failures: 3 });
    for (let failures = 1; failures <= 3; failures++) {
      await vi.waitFor(() =>
        expect(log.entries.filter(({ level }) => level === 'error')).toHaveLength(failures),
      );
      expect(sent()).toEqual([]);
      clock.advance(1000);
    }
    await vi.waitFor(() => expect(sent()).toEqual([ACCUSED]));
    expect(notes).toEqual([0]);
    upstream.held[0]?.settle(answer({}));
    await vi.waitFor(() => {
      clock.advance(20);
      expect(sent()).toEqual([ACCUSED, 'free-1', 'free-2', 'free-3']);
    });
  });

  it('does not begin, and holds nothing up, where the worker stops before the store can note it', async () => {
    const { clock, worker, sent, log } = await accusedBesideOthers({ failures: Infinity });
    await vi.waitFor(() => expect(log.entries.map(({ level }) => level)).toContain('error'));
    await worker.stop({ graceMs: 30_000 });
    expect([sent(), clock.timers]).toEqual([[], 0]);
  });

  it('ends after a minute: the note is withdrawn and others go on, and so does the line', async () => {
    const { clock, engine, sent, upstream, notes, id } = await accusedBesideOthers();
    await vi.waitFor(() => expect(sent()).toEqual([ACCUSED]));
    clock.advance(59_999);
    expect([sent(), notes]).toEqual([[ACCUSED], [0]]);
    clock.advance(1);
    await vi.waitFor(() => expect(sent()).toHaveLength(4));
    expect(notes).toEqual([0, null]);
    upstream.held[0]?.settle(answer({}));
    await vi.waitFor(async () => {
      clock.advance(20);
      expect((await engine.batches.get(OWNER, id)).counts.completed).toBe(1);
    });
    expect(notes).toEqual([0, null]);
  });

  it('goes on while the line waits for a retry; one that comes after it is noted anew', async () => {
    const { clock, sent, upstream, notes } = await accusedBesideOthers();
    await vi.waitFor(() => expect(sent()).toEqual([ACCUSED]));
    for (const sends of [2, 3]) {
      upstream.held[0]?.settle(answer({}, 503, { retryAfter: '25' }));
      clock.advance(24_999);
      expect(sent()).toHaveLength(sends - 1);
      clock.advance(1);
      await vi.waitFor(() => expect(sent()).toHaveLength(sends));
    }
    expect([sent(), notes]).toEqual([[ACCUSED, ACCUSED, ACCUSED], [0]]);
    upstream.held[0]?.settle(answer({}, 503, { retryAfter: '25' }));
    clock.advance(10_000);
    // The turn is over before the wait is.
    await vi.waitFor(() => expect(sent().slice(3)).toEqual(['free-1', 'free-2', 'free-3']));
    expect(notes).toEqual([0, null]);
    clock.advance(15_000);
    await vi.waitFor(() => expect(sent().slice(6)).toEqual([ACCUSED]));
    expect(notes).toEqual([0, null, 0]);
  });

  it('is given up at once where the worker stops while the line waits for a retry', async () => {
    const { clock, worker, sent, upstream } = await accusedBesideOthers();
    await vi.waitFor(() => expect(sent()).toEqual([ACCUSED]));
    upstream.held[0]?.settle(answer({}, 503, { retryAfter: '25' }));
    await worker.stop({ graceMs: 30_000 });
    expect([sent(), clock.timers]).toEqual([[ACCUSED], 0]);
  });
});
