/** A worker with models that have a limit, on a clock that the test moves. */
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createMemoryStorage } from '../../src/adapters/memory/index.ts';
import { isTerminal } from '../../src/engine/index.ts';
import type {
  ChunkRef,
  ClaimedChunk,
  ClaimChunksQuery,
  ModelDemand,
  WorkerLease,
} from '../../src/engine/index.ts';
import { createWorker } from '../../src/worker/index.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import { createRecordingLog } from '../helpers/recording-log.ts';
import { answer, createScriptedUpstream } from '../helpers/scripted-upstream.ts';
import type { ReceivedRequest } from '../helpers/scripted-upstream.ts';
import { createTestEngine, inputLine, OWNER, readResults, submit } from '../helpers/test-engine.ts';

/** A worker whose lease answers as the test says, and an upstream that holds every request. */
async function setUp({
  modelConcurrency = new Map([['m', 8]]),
  maxConcurrency = 64,
  script = () => 'hold',
}: {
  readonly modelConcurrency?: ReadonlyMap<string, number>;
  readonly maxConcurrency?: number;
  readonly script?: Parameters<typeof createScriptedUpstream>[0];
} = {}) {
  const storage = createMemoryStorage();
  const state = {
    fails: false,
    renewals: 0,
    /** What claims say that a process died of. */
    trying: null as ClaimedChunk['trying'],
    answer: async (demands: readonly ModelDemand[]): Promise<WorkerLease> => ({
      validMs: 30_000,
      isNew: false,
      slots: demands.map(({ model, limit }) => ({ model, slots: limit, share: limit })),
    }),
  };
  const released: ChunkRef[] = [];
  /** The models of the chunks that were claimed. */
  const claimed: string[] = [];
  const store = {
    ...storage.store,
    async renewLease(worker: string, demands: readonly ModelDemand[] = []) {
      if (state.fails) throw new Error('no connection');
      await storage.store.renewLease(worker);
      const lease = await state.answer(demands);
      state.renewals++;
      return lease;
    },
    async claimChunks(query: ClaimChunksQuery) {
      const claims = await storage.store.claimChunks(query);
      claimed.push(...claims.map(({ chunk }) => chunk.model));
      const { trying } = state;
      if (trying === null) return claims;
      return claims.map((claim) => ({ ...claim, chunk: { ...claim.chunk, crashes: 1, trying } }));
    },
    async releaseChunks(chunks: readonly ChunkRef[]) {
      released.push(...chunks);
      await storage.store.releaseChunks(chunks);
    },
  };
  const clock = createFakeClock();
  const log = createRecordingLog();
  const upstream = createScriptedUpstream(script);
  const engine = createTestEngine({ storage: { ...storage, store }, clock, log, upstream });
  const worker = createWorker({ engine, maxConcurrency, modelConcurrency });
  await worker.start();
  onTestFinished(async () => {
    state.fails = false;
    let stopped = false;
    const stopping = worker.stop().finally(() => (stopped = true));
    while (!stopped) {
      clock.advance(100);
      await new Promise(setImmediate);
    }
    await stopping;
  });
  const give = (slots: number, share = slots) => {
    state.answer = async (demands) => ({
      validMs: 30_000,
      isNew: false,
      slots: demands.map(({ model }) => ({ model, slots, share })),
    });
  };
  let met = 0;
  /** Requests that were sent, those of `meet` not counted. */
  const sent = (model = 'm') =>
    upstream.requests.slice(met).filter((request) => request.model === model).length;
  const inFlight = (model?: string) =>
    upstream.held.filter(({ request }) => model === undefined || request.model === model).length;
  /** Moves the clock on until what is expected is so. */
  const soon = async (check: () => unknown) =>
    await vi.waitFor(
      async () => {
        clock.advance(100);
        await check();
      },
      { timeout: 10_000, interval: 5 },
    );
  /** Waits for the next renewal of the lease. */
  const renewed = async () => {
    const before = state.renewals;
    await soon(() => expect(state.renewals).toBeGreaterThan(before));
    await new Promise(setImmediate);
  };
  /** All answer, so that none is on trial. */
  const meet = async (...models: string[]) => {
    await submit(
      engine,
      models.flatMap((model) => lines(1, model, `first-${model}`)),
    );
    await soon(() => {
      answerAll(upstream);
      expect(new Set(upstream.requests.map(({ model }) => model))).toEqual(new Set(models));
      expect(upstream.held).toEqual([]);
    });
    met = upstream.requests.length;
  };
  return {
    engine,
    upstream,
    clock,
    log,
    state,
    give,
    inFlight,
    soon,
    released,
    claimed,
    renewed,
    meet,
    sent,
  };
}

const lines = (count: number, model = 'm', prefix = model) =>
  Array.from({ length: count }, (_, i) => inputLine(`${prefix}${i}`, { model }));

function answerAll(upstream: ReturnType<typeof createScriptedUpstream>): void {
  for (const attempt of upstream.held) attempt.settle(answer({}));
}

describe('a worker with a model that has a limit', () => {
  it('has never more requests of it in flight than its slots, and sends other models beside it', async () => {
    const peaks = { m: 0, other: 0 };
    const open = { m: 0, other: 0 };
    const script = ({ model }: ReceivedRequest) => {
      const name = model as 'm' | 'other';
      peaks[name] = Math.max(peaks[name], ++open[name]);
      setImmediate(() => void open[name]--);
      return answer({});
    };
    const { engine, soon } = await setUp({ modelConcurrency: new Map([['m', 3]]), script });
    const { id } = await submit(engine, [...lines(700), ...lines(300, 'other')]);
    await soon(async () => expect((await engine.batches.get(OWNER, id)).status).toBe('completed'));
    expect(peaks.m).toBe(3);
    expect(peaks.other).toBeGreaterThan(3);
  });

  it('keeps all slots busy with other models, however many lines of it are ready', async () => {
    const { engine, inFlight, soon, meet } = await setUp({ modelConcurrency: new Map([['m', 2]]) });
    await meet('m', 'other');
    await submit(engine, lines(3000), { priority: 5 });
    await soon(() => expect(inFlight('m')).toBe(2));
    await submit(engine, lines(300, 'other'));
    await soon(() => expect([inFlight('m'), inFlight('other')]).toEqual([2, 62]));
  });

  it('goes on to claim other models while its own lines wait', async () => {
    const { engine, upstream, soon, meet, sent, inFlight } = await setUp({
      modelConcurrency: new Map([['m', 2]]),
    });
    await meet('m', 'other');
    await submit(engine, [...lines(3000), ...lines(900, 'other')]);
    await soon(() => {
      for (const attempt of upstream.held) if (attempt.request.model === 'other') attempt.settle(answer({}));
      expect(sent('other')).toBe(900);
    });
    expect([sent(), inFlight('m')]).toEqual([2, 2]);
  });

  it('does not retry a line that waits in its slot once that may be another worker’s', async () => {
    const script = () => answer({}, 500, { retryAfterMs: '50000' });
    const { engine, clock, state, soon, sent } = await setUp({ script });
    // A process died of the first line, so it is tried alone.
    state.trying = { place: 0, deaths: 1 };
    await submit(engine, lines(20));
    await soon(() => expect(sent()).toBe(1));
    state.fails = true;
    for (let i = 0; i < 45; i++) {
      clock.advance(1000);
      await new Promise(setImmediate);
    }
    expect(sent()).toBe(1);
    state.fails = false;
    await soon(() => expect(sent()).toBeGreaterThan(1));
  });

  it('sends nothing of it and aborts what is in flight where its lease could not be renewed, then goes on', async () => {
    const { engine, clock, state, upstream, inFlight, soon, log, meet, sent } = await setUp();
    await meet('m', 'other');
    const { id } = await submit(engine, [...lines(20), ...lines(5, 'other')]);
    await soon(() => expect([inFlight('m'), inFlight('other')]).toEqual([8, 5]));
    state.fails = true;
    clock.advance(30_000);
    await soon(() => expect([inFlight('m'), inFlight('other')]).toEqual([0, 5]));
    expect(log.entries.map(({ message }) => message)).toContainEqual(
      expect.stringMatching(/requests are aborted/),
    );
    for (let i = 0; i < 20; i++) {
      clock.advance(1000);
      await new Promise(setImmediate);
    }
    expect(sent()).toBe(8);
    state.fails = false;
    await soon(() => expect(inFlight('m')).toBe(8));
    await soon(async () => {
      answerAll(upstream);
      expect(isTerminal((await engine.batches.get(OWNER, id)).status)).toBe(true);
    });
    const batch = await engine.batches.get(OWNER, id);
    expect(batch.counts).toMatchObject({ total: 25, completed: 25 });
  });

  it('lets what is in flight end where it has fewer slots than before, and sends no more until it may', async () => {
    const { engine, give, upstream, inFlight, soon, renewed, sent } = await setUp();
    await submit(engine, lines(40));
    await soon(() => expect(inFlight()).toBe(8));
    give(3);
    await renewed();
    for (let left = 8; left > 3; left--) {
      expect(inFlight()).toBe(left);
      upstream.held[0]?.settle(answer({}));
      await new Promise(setImmediate);
    }
    expect([inFlight(), sent()]).toEqual([3, 8]);
    upstream.held[0]?.settle(answer({}));
    await soon(() => expect([inFlight(), sent()]).toEqual([3, 9]));
  });

  it('gives its chunks back once it has no slots and nothing in flight, and takes some when it has slots again', async () => {
    const { engine, give, upstream, inFlight, soon, released, renewed, sent } = await setUp();
    const { id } = await submit(engine, lines(20));
    await soon(() => expect(inFlight()).toBe(8));
    give(0);
    await renewed();
    for (let i = 0; i < 8; i++) {
      expect(released).toEqual([]);
      upstream.held[0]?.settle(answer({}));
      await new Promise(setImmediate);
    }
    await soon(() => expect(released).toMatchObject([{ batchId: id, chunkNumber: 0 }]));
    expect((await engine.batches.get(OWNER, id)).counts.completed).toBe(8);
    await renewed();
    expect(sent()).toBe(8);
    give(8);
    await soon(() => expect(inFlight()).toBe(8));
    await soon(async () => {
      answerAll(upstream);
      expect((await engine.batches.get(OWNER, id)).status).toBe('completed');
    });
    const batch = await engine.batches.get(OWNER, id);
    const results = await readResults(engine, batch.outputFileId);
    expect(new Set(results.map(({ custom_id: customId }) => customId)).size).toBe(20);
    expect(sent()).toBe(20);
  });

  it('claims nothing of it without slots, and other models all the same', async () => {
    const { engine, give, inFlight, soon, renewed, claimed } = await setUp();
    give(0);
    await renewed();
    await submit(engine, [...lines(20), ...lines(20, 'other')]);
    await soon(() => expect(inFlight('other')).toBe(20));
    expect(new Set(claimed)).toEqual(new Set(['other']));
  });

  it('shares its slots between owners', async () => {
    const { engine, upstream, soon } = await setUp({ modelConcurrency: new Map([['m', 4]]) });
    for (let i = 0; i < 3; i++) await submit(engine, lines(300, 'm', 'many'), { priority: 9 });
    await soon(() => expect(upstream.held).toHaveLength(4));
    await submit(engine, lines(300, 'm', 'few'), { owner: 'other' });
    const ofOther = ({ body }: ReceivedRequest) => body.includes('few');
    await soon(() => {
      answerAll(upstream);
      expect(upstream.requests.some(ofOther)).toBe(true);
    });
    const before = upstream.requests.length;
    await soon(() => {
      answerAll(upstream);
      expect(upstream.requests.length).toBeGreaterThan(before + 200);
    });
    const after = upstream.requests.slice(before);
    const share = after.filter(ofOther).length / after.length;
    expect(share).toBeGreaterThan(0.4);
    expect(share).toBeLessThan(0.6);
  });
});
