import { describe, expect, it, vi } from 'vitest';
import { createMemoryStorage } from '../../src/adapters/memory/index.ts';
import { encodeLineIndex } from '../../src/engine/run/chunk.ts';
import type { NewChunk } from '../../src/engine/index.ts';
import { createLineChecker } from '../../src/engine/input/line.ts';
import type { RightLine } from '../../src/engine/input/line.ts';
import { createClaims } from '../../src/worker/claims.ts';
import { createLanes } from '../../src/worker/lanes.ts';
import { createModelLimits } from '../../src/worker/model-limits.ts';
import { createModelWindows } from '../../src/worker/model-windows.ts';
import { createSuspects } from '../../src/worker/suspects.ts';
import { createUpstreamGates } from '../../src/worker/upstream-gates.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import { createRecordingLog } from '../helpers/recording-log.ts';
import { startBatch } from '../helpers/store-fixtures.ts';
import { createTestEngine, inputLine } from '../helpers/test-engine.ts';

const MB = 1024 * 1024;
/** What is never claimed beyond, and how far one claim of 8 chunks may go over it. */
const CAP = 256 * MB;
const ONE_CLAIM = 8 * 4.5 * MB;

/** A line of some `bytes` bytes. */
function lineOf(bytes: number): Buffer {
  return Buffer.from(inputLine('a', { body: JSON.stringify({ model: 'm', n: 'x'.repeat(bytes - 100) }) }));
}

/** Claims into lanes, without slots: the test itself takes lines. All lines are `line`, the same bytes over and over. */
function setUp({ line = lineOf(200), slots = new Map<string, number>() } = {}) {
  const storage = createMemoryStorage();
  const content = Buffer.alloc(Math.max(1, Math.floor((5 * MB) / line.length)) * line.length, line);
  const readRange = async (_sha256: string, _start: number, length: number) => content.subarray(0, length);
  const clock = createFakeClock();
  const log = createRecordingLog();
  const engine = createTestEngine({
    storage: { ...storage, blobs: { ...storage.blobs, readRange } },
    clock,
    log,
  });
  const windows = createModelWindows({ maxConcurrency: 64 });
  const limits = createModelLimits({ clock, limits: slots, onExpired() {} });
  const granted = [...slots].map(([model, count]) => ({ model, slots: count, share: count }));
  limits.grant({ validMs: Infinity, isNew: false, slots: granted }, [], 0);
  const lanes = createLanes(createSuspects(), windows, limits);
  const gates = createUpstreamGates({ clock, log, firstPauseMs: 500, onOpen() {} });
  const onRuns = vi.fn<Parameters<typeof createClaims>[0]['onRuns']>((runs) => {
    for (const run of runs) lanes.addRun(run);
  });
  const ctx = engine.context;
  const claims = createClaims({
    ctx,
    worker: 'w',
    lanes,
    gates,
    windows,
    limits,
    maxConcurrency: 64,
    mayHold: () => true,
    onRuns,
  });

  /** `count` chunks of `lines` lines each. */
  async function start(
    count: number,
    { lines = 256, model = (_chunk: number): string => 'm' } = {},
  ): Promise<void> {
    const chunks = Array.from({ length: count }, (_, number): NewChunk => {
      const numbers = Array.from({ length: lines }, (_, place) => number * lines + place + 1);
      const offsets = numbers.map((n) => (n - 1) * line.length);
      const lengths = numbers.map(() => line.length);
      const checked = createLineChecker({}).check(line, 0, line.length);
      const index = encodeLineIndex({
        numbers,
        offsets,
        lengths,
        parts: numbers.map(() => checked as RightLine),
      });
      const bytes = lines * line.length;
      return { number, model: model(number), lineCount: lines, firstLine: number * lines + 1, bytes, index };
    });
    await startBatch(storage.store, {}, chunks);
  }

  return {
    lanes,
    gates,
    windows,
    claims,
    start,
    /** Chunks that are held. */
    held: () => [...lanes.all.values()].reduce((sum, { runs }) => sum + runs.size, 0),
    take: (count: number) => {
      for (let i = 0; i < count; i++) if (lanes.takeNext(() => true) === null) return;
    },
  };
}

/** Takes all lines, none of which ever ends, and claims more, until nothing more comes. */
async function exhaust({ claims, held, take }: ReturnType<typeof setUp>): Promise<void> {
  for (let before = -1; held() > before;) {
    before = held();
    claims.noteWork();
    await claims.refill();
    take(Infinity);
  }
}

describe('claims of chunks for a worker', () => {
  it('go on while the chunks that are held merely wait, however many of a batch these are', async () => {
    const world = setUp();
    await world.start(30);
    await exhaust(world);
    expect(world.held()).toBe(30);
  });

  it('hold twelve chunks with lines left of a model, and another one as soon as one of them has none', async () => {
    const { claims, start, held, take } = setUp({ line: lineOf(MB) });
    await start(20, { lines: 3 });
    await claims.refill();
    expect(held()).toBe(12);
    take(2);
    claims.refillIfHungry();
    await claims.refill();
    expect(held()).toBe(12);
    take(1);
    claims.refillIfHungry();
    await vi.waitFor(() => expect(held()).toBe(13));
  });

  it('take the next chunk of a batch that has run dry, also while others have lines in plenty', async () => {
    const { claims, windows, start, lanes, take } = setUp();
    windows.noteAnswer('m');
    await start(9);
    await start(20, { lines: 10 });
    await claims.refill();
    const small = [...lanes.all.values()].at(-1);
    const left = () => lanes.countUntaken().find(({ batchId }) => batchId === small?.batch.id)?.chunks ?? 0;
    while (left() > 0) take(1);
    expect(lanes.readyLines).toBeGreaterThan(64 + 256);
    claims.refillIfHungry();
    await vi.waitFor(() => expect(left()).toBe(1));
  });

  it('hold one chunk with lines left of a model whose upstream is down, and go on with others', async () => {
    const { claims, gates, windows, start, lanes } = setUp();
    gates.noteUnreachable('down', 'connect ECONNREFUSED');
    windows.noteAnswer('up');
    await start(20, { model: (chunk) => (chunk < 15 ? 'down' : 'up') });
    await claims.refill();
    const untaken = new Map(lanes.countUntaken().map(({ model, chunks }) => [model, chunks]));
    expect(untaken.get('down')).toBe(1);
    expect(untaken.get('up')).toBe(5);
  });
});

describe('chunks of a model with a limit', () => {
  it('are held one at a time of a batch while its lines are enough for the slots', async () => {
    const { claims, windows, start, held, take } = setUp({ slots: new Map([['m', 100]]) });
    windows.noteAnswer('m');
    await start(20);
    await claims.refill();
    expect(held()).toBe(1);
    take(56);
    claims.refillIfHungry();
    await claims.refill();
    expect(held()).toBe(1);
    // Fewer than twice the slots are left.
    take(1);
    claims.refillIfHungry();
    await vi.waitFor(() => expect(held()).toBe(2));
  });

  it('are no more than the slots and one, and their lines keep none of other models from being claimed', async () => {
    const { claims, windows, start, lanes } = setUp({ slots: new Map([['m', 2]]) });
    for (const model of ['m', 'other']) windows.noteAnswer(model);
    for (let batch = 0; batch < 4; batch++) await start(3);
    await start(8, { model: (chunk) => (chunk === 0 ? 'm' : 'other') });
    await claims.refill();
    const chunksOf = (model: string) =>
      lanes.countUntaken().reduce((sum, held) => sum + (held.model === model ? held.chunks : 0), 0);
    expect(chunksOf('m')).toBe(3);
    expect(chunksOf('other')).toBeGreaterThan(1);
  });
});

describe('the memory that claims may hold', () => {
  it('has an end where lines are ready but cannot go', async () => {
    const { claims, gates, start, lanes } = setUp({ line: lineOf(16_000) });
    gates.noteUnreachable('m', 'connect ECONNREFUSED');
    for (let batch = 0; batch < 80; batch++) await start(3);
    await claims.refill();
    expect(lanes.heldBytes).toBeGreaterThanOrEqual(CAP);
    expect(lanes.heldBytes).toBeLessThan(CAP + ONE_CLAIM);
  });

  it('has an end where all lines wait for something', async () => {
    const world = setUp({ line: lineOf(16_000) });
    for (let batch = 0; batch < 8; batch++) await world.start(20);
    await exhaust(world);
    expect(world.lanes.heldBytes).toBeGreaterThanOrEqual(CAP);
    expect(world.lanes.heldBytes).toBeLessThan(CAP + ONE_CLAIM);
  });

  it('counts what a line takes besides its bytes, which is more where lines are short', async () => {
    const { claims, start, lanes } = setUp();
    await start(1);
    await claims.refill();
    expect(lanes.heldBytes).toBeGreaterThan(256 * 500);
  });

  it('goes to one chunk of each batch while it lasts, also of those behind a large one', async () => {
    const { claims, start, held } = setUp({ line: lineOf(16_000) });
    await start(20);
    await claims.refill();
    const before = held();
    for (let batch = 0; batch < 3; batch++) await start(5);
    await claims.refill();
    expect(held()).toBe(before + 3);
  });
});

describe('a batch of thousands of models', () => {
  it('has no more than some hundred claimed at once that have not answered yet; other batches get a chunk', async () => {
    const { claims, start, held, windows, lanes } = setUp();
    await start(2000, { lines: 1, model: (chunk) => `m${chunk}` });
    await claims.refill();
    const first = held();
    expect(first).toBeGreaterThan(500);
    expect(first).toBeLessThan(530);
    await start(2, { model: () => 'other' });
    await claims.refill();
    expect(held()).toBe(first + 1);
    for (const { model } of lanes.countUntaken().slice(0, 100)) windows.noteAnswer(model);
    await claims.refill();
    expect(held()).toBeGreaterThan(first + 90);
  });
});
