import { afterEach, describe, expect, it, vi } from 'vitest';
import { createMemoryStorage } from '../../src/adapters/memory/index.ts';
import { isTerminal } from '../../src/engine/index.ts';
import type { Engine, Store, Upstream } from '../../src/engine/index.ts';
import { createWorker } from '../../src/worker/index.ts';
import type { Worker } from '../../src/worker/index.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import { createRecordingLog } from '../helpers/recording-log.ts';
import { answer, createScriptedUpstream, unreachable } from '../helpers/scripted-upstream.ts';
import { anOwner } from '../helpers/store-fixtures.ts';
import {
  createTestEngine,
  inputLine,
  inputLines,
  OWNER,
  readResults,
  submit,
} from '../helpers/test-engine.ts';
import type { TestEngineOptions } from '../helpers/test-engine.ts';

const workers: Worker[] = [];

afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));
});

async function startWorker(engine: Engine, maxConcurrency = 64): Promise<Worker> {
  const worker = createWorker({ engine, maxConcurrency });
  workers.push(worker);
  await worker.start();
  return worker;
}

async function startEngine(options: TestEngineOptions, maxConcurrency?: number): Promise<Engine> {
  const engine = createTestEngine(options);
  await startWorker(engine, maxConcurrency);
  return engine;
}

async function ended(engine: Engine, id: string) {
  return await vi.waitFor(
    async () => {
      const batch = await engine.batches.get(OWNER, id);
      expect(isTerminal(batch.status), batch.status).toBe(true);
      return batch;
    },
    { timeout: 10_000, interval: 5 },
  );
}

describe('the request slots', () => {
  it('are all used, and never more', async () => {
    const upstream = createScriptedUpstream(() => 'hold');
    const engine = await startEngine({ upstream }, 7);
    const { id } = await submit(engine, inputLines(40));
    for (let sent = 7; sent <= 40; sent += 7) {
      await vi.waitFor(() => expect(upstream.held).toHaveLength(Math.min(7, 40 - sent + 7)));
      for (const attempt of upstream.held) attempt.settle(answer({}));
    }
    await vi.waitFor(() => {
      for (const attempt of upstream.held) attempt.settle(answer({}));
      expect(upstream.requests).toHaveLength(40);
    });
    await ended(engine, id);
    expect(upstream.peak).toBe(7);
  });

  it('go to a small batch that arrives behind a large one', async () => {
    const upstream = createScriptedUpstream(() => 'hold');
    const engine = await startEngine({ upstream }, 4);
    await submit(engine, inputLines(3000, 'large-'));
    await vi.waitFor(() => expect(upstream.held).toHaveLength(4));
    const small = await submit(engine, inputLines(10, 'small-'));
    let answered = 0;
    await vi.waitFor(
      async () => {
        for (const attempt of upstream.held) {
          attempt.settle(answer({}));
          answered++;
        }
        expect((await engine.batches.get(OWNER, small.id)).status).toBe('completed');
      },
      { timeout: 10_000, interval: 5 },
    );
    expect(answered).toBeLessThan(1500);
  });

  it.each([
    { weight: 1, least: 28, most: 50 },
    { weight: 3, least: 8, most: 25 },
  ])(
    'are shared by owners, whatever their batches are like: weight $weight',
    async ({ weight, least, most }) => {
      const storage = createMemoryStorage();
      await storage.store.putOwner(anOwner({ name: 'other', weight }));
      const upstream = createScriptedUpstream(() => 'hold');
      const engine = await startEngine({ storage, upstream }, 8);
      for (let i = 0; i < 4; i++) await submit(engine, inputLines(300, 'many-'), { priority: 9 });
      await vi.waitFor(() => expect(upstream.held).toHaveLength(8));
      // Chunks of a few lines, as large lines make them.
      const filler = 'x'.repeat(900_000);
      const large = Array.from({ length: 40 }, (_, i) =>
        inputLine(`a${i}`, { body: JSON.stringify({ model: 'm', filler }) }),
      );
      const other = await submit(engine, large, { owner: 'other' });
      await vi.waitFor(async () =>
        expect((await engine.batches.get('other', other.id)).status).toBe('in_progress'),
      );
      const isOther = ({ body }: { readonly body: string }) => body.length > 900_000;
      let many = 0;
      while (upstream.requests.filter(isOther).length < 40) {
        const [oldest] = upstream.held;
        if (oldest === undefined) break;
        if (!isOther(oldest.request) && upstream.requests.some(isOther)) many++;
        oldest.settle(answer({}));
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(many).toBeGreaterThan(least);
      expect(many).toBeLessThan(most);
    },
  );

  it('go to a higher priority first', async () => {
    const upstream = createScriptedUpstream(() => 'hold');
    const engine = await startEngine({ upstream }, 1);
    const normal = await submit(engine, inputLines(5, 'normal-'));
    await vi.waitFor(() => expect(upstream.held).toHaveLength(1));
    const urgent = await submit(engine, inputLines(5, 'urgent-'), { priority: 1 });
    await vi.waitFor(async () =>
      expect((await engine.batches.get(OWNER, urgent.id)).status).toBe('in_progress'),
    );
    await vi.waitFor(() => {
      upstream.held[0]?.settle(answer({}));
      expect(upstream.requests).toHaveLength(10);
    });
    upstream.held[0]?.settle(answer({}));
    await ended(engine, normal.id);
    const order = upstream.requests.map(({ body }) => JSON.parse(body).n as string);
    // At most what was taken before the urgent batch was known goes before it.
    expect(order.findIndex((n) => n.startsWith('urgent-'))).toBeLessThanOrEqual(2);
    expect(order.slice(-3).every((n) => n.startsWith('normal-'))).toBe(true);
  });
});

describe('retries', () => {
  it('are made for transient answers, and the last answer stands when they are used up', async () => {
    const upstream = createScriptedUpstream(({ body }, attempt) => {
      if (JSON.parse(body).n === 'line-1') return attempt <= 2 ? answer({}, 503) : answer({ attempt });
      return answer({ overloaded: attempt }, 529);
    });
    const engine = await startEngine({ upstream, settings: { maxRetries: 3 } });
    const batch = await ended(engine, (await submit(engine, inputLines(2))).id);
    expect((await readResults(engine, batch.outputFileId))[0]?.response?.body).toEqual({ attempt: 3 });
    expect((await readResults(engine, batch.errorFileId))[0]?.response).toMatchObject({
      status_code: 529,
      body: { overloaded: 4 },
    });
    expect(upstream.requests).toHaveLength(3 + 4);
    expect(new Set(upstream.requests.map((request) => request.idempotencyKey)).size).toBe(2);
  });

  it('hold no slot while they wait', async () => {
    const clock = createFakeClock();
    const upstream = createScriptedUpstream(({ body }, attempt) =>
      JSON.parse(body).n === 'line-1' && attempt === 1 ? answer({}, 429, { retryAfter: '300' }) : answer({}),
    );
    const engine = await startEngine({ upstream, clock }, 1);
    const { id } = await submit(engine, inputLines(5));
    await vi.waitFor(async () => {
      clock.advance(100);
      expect((await engine.batches.get(OWNER, id)).counts.completed).toBe(4);
    });
    clock.advance(300_000);
    await vi.waitFor(async () => {
      clock.advance(100);
      expect((await engine.batches.get(OWNER, id)).status).toBe('completed');
    });
  });

  it('end in a line with the code where there never was an answer', async () => {
    const message = 'The upstream did not answer within 5 ms.';
    const upstream = createScriptedUpstream(() => ({ kind: 'failed', code: 'request_timeout', message }));
    const engine = await startEngine({ upstream, settings: { maxRetries: 1 } });
    const batch = await ended(engine, (await submit(engine, inputLines(1))).id);
    expect((await readResults(engine, batch.errorFileId))[0]).toMatchObject({
      response: null,
      error: { code: 'request_timeout', message },
    });
    expect(upstream.requests).toHaveLength(2);
  });
});

describe('an upstream that is down', () => {
  it('costs no line its retries: the batch waits and goes on when it is back', async () => {
    const clock = createFakeClock();
    let down = true;
    const upstream = createScriptedUpstream(() => (down ? unreachable : answer({})));
    const engine = await startEngine({ upstream, clock, settings: { retryBaseMs: 500, maxRetries: 2 } }, 8);
    const { id } = await submit(engine, inputLines(20));
    const soon = { timeout: 10_000, interval: 5 };
    await vi.waitFor(() => {
      clock.advance(1000);
      expect(upstream.requests.length).toBeGreaterThan(12);
    }, soon);
    expect(await engine.batches.get(OWNER, id)).toMatchObject({
      status: 'in_progress',
      counts: { failed: 0 },
    });
    down = false;
    await vi.waitFor(async () => {
      clock.advance(1000);
      expect(await engine.batches.get(OWNER, id)).toMatchObject({
        status: 'completed',
        counts: { completed: 20 },
      });
    }, soon);
  });

  it('for one model leaves the others running', async () => {
    const upstream = createScriptedUpstream(({ model }) => (model === 'dead' ? unreachable : answer({})));
    const engine = await startEngine({ upstream, settings: { retryBaseMs: 60_000 } }, 4);
    const lines = Array.from({ length: 12_000 }, (_, i) =>
      inputLine(`l${i}`, { model: i % 2 === 0 ? 'dead' : 'alive' }),
    );
    const { id } = await submit(engine, lines);
    await vi.waitFor(async () => expect((await engine.batches.get(OWNER, id)).counts.completed).toBe(6000), {
      timeout: 10_000,
    });
  });
});

describe('a chunk that another worker has now', () => {
  it('leaves no gate behind, also where its last request finds the upstream unreachable', async () => {
    const clock = createFakeClock();
    const storage = createMemoryStorage();
    let isLost = false;
    const store: Store = {
      ...storage.store,
      claimChunks: async (query) => (isLost ? [] : await storage.store.claimChunks(query)),
    };
    const scripted = createScriptedUpstream(() => 'hold');
    const upstream: Upstream = {
      ...scripted,
      send(request, settle) {
        scripted.send(request, settle);
        return () => setImmediate(settle, unreachable);
      },
    };
    const log = createRecordingLog();
    const settings = { retryBaseMs: 3_600_000 };
    const engine = await startEngine({ storage: { ...storage, store }, upstream, clock, log, settings });
    await submit(engine, inputLines(2));
    await vi.waitFor(() => expect(scripted.held).toHaveLength(2));
    isLost = true;
    await storage.store.renewLease('another');
    await storage.store.releaseDeadLeases(clock.now());
    scripted.held[0]?.settle(answer({}));
    await vi.waitFor(() => {
      clock.advance(20);
      expect(log.entries.map((entry) => entry.message)).toContain(
        'upstream cannot be reached; its lines wait',
      );
    });
    // The ticker's and the lease's; for two seconds that of the chunk, which is given back.
    await vi.waitFor(() => {
      clock.advance(500);
      expect(clock.timers).toBe(2);
    });
  });
});

describe('a model that never answers', () => {
  it('holds a fiftieth of the slots beside one that does, wherever their lines stand in the file', async () => {
    let deadBesideAlive = 0;
    const upstream = createScriptedUpstream(({ model }) => {
      if (model !== 'alive') return 'hold';
      deadBesideAlive = upstream.held.length;
      return answer({});
    });
    const engine = await startEngine({ upstream }, 100);
    // Far more lines of the dead one, and before those of the other.
    const lines = Array.from({ length: 9000 }, (_, i) =>
      inputLine(`l${i}`, { model: i < 6000 ? 'dead' : 'alive' }),
    );
    const { id } = await submit(engine, lines);
    await vi.waitFor(async () => expect((await engine.batches.get(OWNER, id)).counts.completed).toBe(3000), {
      timeout: 10_000,
    });
    expect(deadBesideAlive).toBe(2);
  });
});

describe('storage that fails', () => {
  it('loses nothing: results are kept and nothing new is sent until it works again', async () => {
    const storage = createMemoryStorage();
    let full = true;
    const results = {
      ...storage.results,
      append: (batchId: string, parts: readonly Uint8Array[]) =>
        full
          ? Promise.reject(Object.assign(new Error('no space'), { code: 'ENOSPC' }))
          : storage.results.append(batchId, parts),
    };
    const clock = createFakeClock();
    const log = createRecordingLog();
    const upstream = createScriptedUpstream();
    const engine = await startEngine({ storage: { ...storage, results }, clock, log, upstream }, 2);
    const { id } = await submit(engine, inputLines(1000));
    await vi.waitFor(() => {
      clock.advance(20);
      expect(log.entries.filter((entry) => entry.level === 'error')).toHaveLength(1);
    });
    const sent = upstream.requests.length;
    clock.advance(5000);
    expect(upstream.requests.length).toBeLessThanOrEqual(sent + 2);
    full = false;
    await vi.waitFor(
      async () => {
        clock.advance(500);
        expect(await engine.batches.get(OWNER, id)).toMatchObject({
          status: 'completed',
          counts: { completed: 1000 },
        });
      },
      { timeout: 10_000, interval: 5 },
    );
    expect(upstream.requests).toHaveLength(1000);
  });

  it('delays a finalize, which is then done again from the start', async () => {
    const storage = createMemoryStorage();
    const clock = createFakeClock();
    let failures = 2;
    const store = {
      ...storage.store,
      finishBatch: (finish: Parameters<typeof storage.store.finishBatch>[0]) =>
        failures-- > 0 ? Promise.reject(new Error('disk')) : storage.store.finishBatch(finish),
    };
    const engine = await startEngine({ storage: { ...storage, store }, clock });
    const { id } = await submit(engine, inputLines(10));
    await vi.waitFor(async () => {
      clock.advance(500);
      expect((await engine.batches.get(OWNER, id)).status).toBe('completed');
    });
    expect(failures).toBe(-1);
  });
});

describe('a stop', () => {
  it('lets requests in flight end within the grace, commits them, and gives the rest back', async () => {
    const storage = createMemoryStorage();
    const upstream = createScriptedUpstream(() => 'hold');
    const engine = createTestEngine({ storage, upstream });
    const worker = await startWorker(engine, 2);
    const { id } = await submit(engine, inputLines(5));
    await vi.waitFor(() => expect(upstream.held).toHaveLength(2));
    const stopped = worker.stop({ graceMs: 60_000 });
    for (const attempt of upstream.held) attempt.settle(answer({}));
    await stopped;
    expect(upstream.requests).toHaveLength(2);
    expect((await engine.batches.get(OWNER, id)).counts.completed).toBe(2);

    const next = createScriptedUpstream();
    const engineAgain = createTestEngine({ storage, upstream: next });
    await startWorker(engineAgain);
    const batch = await ended(engineAgain, id);
    expect(batch.counts).toEqual({ total: 5, completed: 5, failed: 0 });
    expect(next.requests).toHaveLength(3);
  });

  it('aborts what is still in flight after the grace', async () => {
    const clock = createFakeClock();
    const upstream = createScriptedUpstream(() => 'hold');
    const engine = createTestEngine({ upstream, clock });
    const worker = await startWorker(engine);
    await submit(engine, inputLines(3));
    await vi.waitFor(() => {
      clock.advance(10);
      expect(upstream.held).toHaveLength(3);
    });
    const stopped = worker.stop({ graceMs: 1000 });
    await vi.waitFor(() => {
      clock.advance(500);
      expect(upstream.held).toEqual([]);
    });
    await stopped;
    expect(clock.timers).toBe(0);
  });
});

describe('after a crash', () => {
  /** A worker that is never stopped, as if its process had died; its engine is cut off from the storage. */
  async function crash(
    storage: ReturnType<typeof createMemoryStorage>,
    options: TestEngineOptions,
    lines: string[],
  ) {
    const cut = { off: false };
    const store = new Proxy(storage.store, {
      get: (target, name) => (cut.off ? () => new Promise(() => {}) : (Reflect.get(target, name) as unknown)),
    });
    const engine = createTestEngine({ ...options, storage: { ...storage, store } });
    await createWorker({ engine, maxConcurrency: 64 }).start();
    const batch = lines.length === 0 ? null : await submit(engine, lines);
    return { engine, batch, die: () => (cut.off = true) };
  }

  it('only undone lines are sent again, and each line has one result', async () => {
    const storage = createMemoryStorage();
    const upstream = createScriptedUpstream(({ body }) => (/[02468]"/.test(body) ? answer({}) : 'hold'));
    const { engine, batch, die } = await crash(storage, { upstream }, inputLines(60));
    if (batch === null) return expect.unreachable();
    await vi.waitFor(async () =>
      expect((await engine.batches.get(OWNER, batch.id)).counts.completed).toBe(30),
    );
    die();
    const next = createScriptedUpstream();
    const engineAgain = createTestEngine({ storage, upstream: next });
    await startWorker(engineAgain);
    const finished = await ended(engineAgain, batch.id);
    const results = await readResults(engineAgain, finished.outputFileId);
    expect(results.map((line) => line.custom_id)).toEqual(
      inputLines(60).map((line) => JSON.parse(line).custom_id),
    );
    expect(next.requests).toHaveLength(30);
    expect(next.requests.every(({ body }) => /[13579]"/.test(body))).toBe(true);
  });

  it('a process that is killed again and again for other reasons convicts no line', async () => {
    const storage = createMemoryStorage();
    let id = '';
    for (let deaths = 0; deaths < 5; deaths++) {
      // Each process answers a few more lines, then hangs with others in flight until it dies.
      let answers = 0;
      const upstream = createScriptedUpstream(() => (answers++ < deaths ? answer({}) : 'hold'));
      const { batch, die } = await crash(storage, { upstream }, deaths === 0 ? inputLines(40) : []);
      id = batch?.id ?? id;
      await vi.waitFor(() => expect(upstream.held.length).toBeGreaterThan(0));
      die();
    }
    const engine = createTestEngine({ storage });
    await startWorker(engine);
    expect((await ended(engine, id)).counts).toEqual({ total: 40, completed: 40, failed: 0 });
  });

  it.each([
    ['each time', 1],
    ['when it is sent again', 2],
  ])(
    'a line that kills the process %s gets an error line once three died while they tried it, and the batch ends',
    async (_when, deadly) => {
      const storage = createMemoryStorage();
      const isPoison = (body: string) => JSON.parse(body).n === 'line-3';
      let deaths = 0;
      let id = '';
      // When the first one died, all lines were in flight.
      for (; deaths < 4; deaths++) {
        const upstream = createScriptedUpstream(({ body }, attempt) => {
          if (!isPoison(body)) return answer({});
          return attempt === deadly ? 'hold' : answer({}, 503);
        });
        const { batch, die } = await crash(storage, { upstream }, deaths === 0 ? inputLines(5) : []);
        id = batch?.id ?? id;
        await vi.waitFor(() => expect(upstream.held).toHaveLength(1));
        die();
      }
      const upstream = createScriptedUpstream();
      const engine = createTestEngine({ storage, upstream });
      await startWorker(engine);
      const batch = await ended(engine, id);
      expect(batch.counts).toEqual({ total: 5, completed: 4, failed: 1 });
      const [line] = await readResults(engine, batch.errorFileId);
      expect(line).toMatchObject({ custom_id: 'line-3', error: { code: 'request_crashed' } });
      expect(upstream.requests.some(({ body }) => isPoison(body))).toBe(false);
    },
  );

  it('that a line is given up is stored before the next suspect is sent, which may be deadly too', async () => {
    const storage = createMemoryStorage();
    let id = '';
    let deaths = 0;
    for (let alive = false; !alive;) {
      const process = { die: (): unknown => null, died: false };
      const upstream = createScriptedUpstream(({ body }) => {
        if (!/line-[23]"/.test(body)) return answer({});
        process.died = true;
        process.die();
        return 'hold';
      });
      const { engine, batch, die } = await crash(storage, { upstream }, deaths === 0 ? inputLines(5) : []);
      process.die = die;
      id = batch?.id ?? id;
      await vi.waitFor(async () => {
        if (!process.died) expect(isTerminal((await engine.batches.get(OWNER, id)).status)).toBe(true);
      });
      alive = !process.died;
      if (!alive) expect(++deaths).toBeLessThan(10);
    }
    const batch = await createTestEngine({ storage }).batches.get(OWNER, id);
    expect(batch.counts).toEqual({ total: 5, completed: 3, failed: 2 });
  });
});
