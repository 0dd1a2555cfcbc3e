/** A part of the storage fails: what it has to do with is tried again, and the rest goes on. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createMemoryStorage } from '../../src/adapters/memory/index.ts';
import type { BlobStore, Engine, Store } from '../../src/engine/index.ts';
import { createWorker } from '../../src/worker/index.ts';
import type { Worker } from '../../src/worker/index.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import type { FakeClock } from '../helpers/fake-clock.ts';
import { createRecordingLog } from '../helpers/recording-log.ts';
import { createScriptedUpstream } from '../helpers/scripted-upstream.ts';
import { createTestEngine, inputLine, inputLines, OWNER, submit } from '../helpers/test-engine.ts';
import type { TestEngineOptions } from '../helpers/test-engine.ts';

const workers: Worker[] = [];

afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));
});

async function start(engine: Engine): Promise<Worker> {
  const worker = createWorker({ engine });
  workers.push(worker);
  await worker.start();
  return worker;
}

const fullDisk = () =>
  Promise.reject(Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' }));

/** Storage in memory whose `verbs` fail while `state.full`. */
function createFullStorage(verbs: readonly (keyof Store)[]) {
  const storage = createMemoryStorage();
  const state = { full: true };
  const store = new Proxy(storage.store, {
    get: (target, name) =>
      state.full && (verbs as readonly (string | symbol)[]).includes(name)
        ? fullDisk
        : (Reflect.get(target, name) as unknown),
  });
  return { state, storage: { ...storage, store } };
}

/** Storage in memory that cannot read the first line of some blobs. */
function createIllStorage() {
  const storage = createMemoryStorage();
  const unreadable = new Set<string>();
  const readRange: BlobStore['readRange'] = async (key, start, length) => {
    if (unreadable.has(key) && start === 0)
      throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' });
    return await storage.blobs.readRange(key, start, length);
  };
  return { unreadable, storage: { ...storage, blobs: { ...storage.blobs, readRange } } };
}

/** Waits for that, moving the clock on. */
async function isCompleted(engine: Engine, id: string, clock: FakeClock): Promise<void> {
  await vi.waitFor(
    async () => {
      clock.advance(100);
      expect((await engine.batches.get(OWNER, id)).status).toBe('completed');
    },
    { timeout: 10_000, interval: 5 },
  );
}

describe('a step that fails', () => {
  it('has ended its batch all the same where only the result log cannot be removed', async () => {
    const clock = createFakeClock();
    const log = createRecordingLog();
    const storage = createMemoryStorage();
    const results = { ...storage.results, drop: fullDisk };
    const engine = createTestEngine({ storage: { ...storage, results }, clock, log });
    await start(engine);
    const { id } = await submit(engine, inputLines(3));
    await isCompleted(engine, id, clock);
    await vi.waitFor(() =>
      expect(log.entries.filter(({ level }) => level !== 'info')).toMatchObject([
        { level: 'warn', message: 'the result log of an ended batch cannot be removed' },
      ]),
    );
  });

  it('is done once there is room again, also where it could not even be given back', async () => {
    const clock = createFakeClock();
    const log = createRecordingLog();
    const { state, storage } = createFullStorage(['finishBatch', 'releaseBatchStep']);
    const engine = createTestEngine({ storage, clock, log });
    await start(engine);
    const { id } = await submit(engine, inputLines(3));
    await vi.waitFor(
      () => {
        clock.advance(100);
        expect(log.entries.some(({ message }) => message.endsWith('could not be given back'))).toBe(true);
      },
      { timeout: 10_000, interval: 5 },
    );
    state.full = false;
    await isCompleted(engine, id, clock);
  });

  it('does not keep others from being done, however often it fails', async () => {
    const clock = createFakeClock();
    const memory = createMemoryStorage();
    const damaged = new Set<string>();
    const results = {
      ...memory.results,
      read: (batchId: string, position: number, length: number) =>
        damaged.has(batchId)
          ? Promise.reject(new Error('EIO: i/o error, read'))
          : memory.results.read(batchId, position, length),
    };
    const engine = createTestEngine({ storage: { ...memory, results }, clock });
    for (let n = 0; n < 6; n++) damaged.add((await submit(engine, inputLines(2))).id);
    await start(engine);
    await vi.waitFor(async () => {
      clock.advance(100);
      for (const id of damaged) expect((await engine.batches.get(OWNER, id)).status).toBe('finalizing');
    });
    await isCompleted(engine, (await submit(engine, inputLines(2))).id, clock);
  });
});

describe('an input that cannot be read', () => {
  const ok = { kind: 'answered' as const, status: 200, retryAfter: null, body: '' };

  async function startWithUnreadable({
    lines = inputLines(3, 'bad-'),
    ...options
  }: TestEngineOptions & { readonly lines?: readonly string[] } = {}) {
    const clock = createFakeClock();
    const log = createRecordingLog();
    const { unreadable, storage } = createIllStorage();
    const engine = createTestEngine({ storage, clock, log, ...options });
    const bad = await submit(engine, lines);
    unreadable.add((await engine.files.get(OWNER, bad.inputFileId)).blob.key);
    const worker = await start(engine);
    return { clock, log, engine, worker, storage, unreadable, bad };
  }

  it('delays only its own batch, which goes on once it can be read', async () => {
    const sent: string[] = [];
    const webhooks = {
      check: () => null,
      send: async ({ body }: { readonly body: string }) => {
        sent.push(JSON.parse(body).type);
        return ok;
      },
      close: async () => {},
    };
    const settings = { webhookSigningSecret: 'a secret', webhookUrls: ['http://ops.example/'] };
    const { clock, engine, bad, unreadable } = await startWithUnreadable({ webhooks, settings });
    const good = await submit(engine, inputLines(600, 'good-'));
    await isCompleted(engine, good.id, clock);
    await vi.waitFor(() => expect(sent).toContain('batch.completed'));
    expect((await engine.batches.get(OWNER, bad.id)).status).toBe('in_progress');
    unreadable.clear();
    await isCompleted(engine, bad.id, clock);
  });

  it('delays only the chunk that it is in', async () => {
    const models = ['one', 'one', 'two', 'two', 'three'];
    const { clock, engine, bad } = await startWithUnreadable({
      lines: models.map((model, i) => inputLine(`line-${i}`, { model })),
    });
    await vi.waitFor(
      async () => {
        clock.advance(1);
        expect((await engine.batches.get(OWNER, bad.id)).counts.completed).toBe(3);
      },
      { timeout: 10_000, interval: 1 },
    );
    // Sooner than anything is tried again.
    expect(clock.monotonic()).toBeLessThan(2000);
  });

  it('is tried again after pauses that grow, and told of each time', async () => {
    const { clock, log } = await startWithUnreadable();
    const tries = () => log.entries.filter(({ message }) => message.startsWith('chunks cannot be read'));
    await vi.waitFor(() => {
      clock.advance(100);
      expect(tries()).toHaveLength(1);
    });
    await vi.waitFor(
      () => {
        clock.advance(100);
        expect(tries()).toHaveLength(4);
      },
      { timeout: 10_000, interval: 1 },
    );
    // 2 + 4 + 8 s at the least.
    expect(clock.monotonic()).toBeGreaterThanOrEqual(14_000);
  });

  it('is given back by a stop, uncounted', async () => {
    const { clock, log, worker, storage } = await startWithUnreadable();
    await vi.waitFor(() => {
      clock.advance(100);
      expect(log.entries.some(({ message }) => message.startsWith('chunks cannot be read'))).toBe(true);
    });
    await worker.stop();
    expect(clock.timers).toBe(0);
    const claims = await storage.store.claimChunks({
      worker: 'next',
      now: clock.now(),
      limit: 8,
      perModel: 8,
      held: [],
      oneEachExcept: null,
      above: new Map(),
    });
    expect(claims.map(({ chunk }) => chunk.crashes)).toEqual([0]);
  });
});

describe('a part of looking for work that fails', () => {
  it('keeps no other part from being done', async () => {
    const clock = createFakeClock();
    const { storage } = createFullStorage(['expireBatches', 'findStoppedBatches']);
    const engine = createTestEngine({ storage, clock });
    await start(engine);
    await isCompleted(engine, (await submit(engine, inputLines(3))).id, clock);
  });
});

describe('a stop while the store fails', () => {
  it('tries to give all batches back, and rejects', async () => {
    const memory = createMemoryStorage();
    const released: string[] = [];
    const store: Store = {
      ...memory.store,
      releaseChunks: async (chunks) => {
        released.push(...chunks.map(({ batchId }) => batchId));
        if (released.length === 1) throw new Error('disk');
        await memory.store.releaseChunks(chunks);
      },
    };
    const upstream = createScriptedUpstream(() => 'hold');
    const engine = createTestEngine({ storage: { ...memory, store }, upstream });
    const worker = createWorker({ engine });
    await worker.start();
    const ids = [];
    for (const name of ['a-', 'b-', 'c-']) ids.push((await submit(engine, inputLines(1, name))).id);
    await vi.waitFor(() => expect(upstream.held).toHaveLength(3));
    await expect(worker.stop()).rejects.toThrow('disk');
    expect(released.toSorted()).toEqual(ids.toSorted());
  });
});
