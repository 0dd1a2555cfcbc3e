import { describe, expect, it, vi } from 'vitest';
import { createMemoryStorage } from '../../../src/adapters/memory/index.ts';
import { ChunkRun, createCommitter } from '../../../src/engine/index.ts';
import type { Engine, Fenced } from '../../../src/engine/index.ts';
import { prepareBatch } from '../../../src/engine/input/prepare.ts';
import { createFakeClock } from '../../helpers/fake-clock.ts';
import { createRecordingLog } from '../../helpers/recording-log.ts';
import { createTestEngine, inputLines, OWNER, submit } from '../../helpers/test-engine.ts';

const usage = { inputTokens: 1, cachedTokens: 0, outputTokens: 1, reasoningTokens: 0, totalTokens: 2 };
const result = (size = 10) => ({
  line: { size, writeTo: (target: Buffer, at: number) => void target.fill('x', at, at + size) },
  succeeded: true,
  usage,
});

/** A committer over the one claimed chunk of a batch of `lines` lines, and failures to be switched on. */
async function setUp(lines = 10) {
  const storage = createMemoryStorage();
  const clock = createFakeClock();
  const log = createRecordingLog();
  const fail = { append: false, commit: false };
  const full = () => Promise.reject(Object.assign(new Error('no space'), { code: 'ENOSPC' }));
  const results = {
    ...storage.results,
    append: vi.fn((batchId: string, parts: readonly Uint8Array[]) =>
      fail.append ? full() : storage.results.append(batchId, parts),
    ),
  };
  const store = {
    ...storage.store,
    commitSegments: vi.fn((...args: Parameters<typeof storage.store.commitSegments>) =>
      fail.commit ? full() : storage.store.commitSegments(...args),
    ),
  };
  const engine = createTestEngine({ storage: { ...storage, store, results }, clock, log });
  const { id } = await submit(engine, inputLines(lines));
  const run = await claimChunk(engine);
  const committed: [number, Fenced][] = [];
  /** Whether there was a backlog after each group. */
  const written: boolean[] = [];
  const committer = createCommitter({
    ctx: engine.context,
    onCommitted: (_run, count, fenced) => committed.push([count, fenced]),
    onWritten: () => written.push(committer.backlogged),
  });
  return { written, engine, id, run, clock, log, fail, store, results, committer, committed };
}

async function claimChunk(engine: Engine): Promise<ChunkRun> {
  const ctx = engine.context;
  const now = ctx.clock.now();
  const step = await ctx.store.claimBatchStep('w', now);
  if (step === null) throw new Error('there is no batch to prepare');
  await prepareBatch(ctx, step, new AbortController().signal);
  const limits = { limit: 1, perModel: 9, held: [], oneEachExcept: null, above: new Map() };
  const [claim] = await ctx.store.claimChunks({ worker: 'w', now, ...limits });
  if (claim === undefined) throw new Error('there is no chunk to claim');
  return await ChunkRun.open(ctx, claim, 0);
}

describe('finished lines', () => {
  it('gather for 20 ms and are committed as one segment, their usage summed', async () => {
    const { engine, id, run, clock, store, results, committer, committed } = await setUp();
    committer.add(run, 3, result());
    committer.add(run, 1, result(20));
    clock.advance(19);
    expect(results.append).not.toHaveBeenCalled();
    clock.advance(1);
    await vi.waitFor(() => expect(committed).toEqual([[2, 'ok']]));
    expect(results.append).toHaveBeenCalledOnce();
    expect(store.commitSegments.mock.calls[0]?.[0]).toMatchObject([
      { batchId: id, lines: { places: [3, 1], lengths: [10, 20], succeeded: [true, true] } },
    ]);
    const batch = await engine.batches.get(OWNER, id);
    expect(batch).toMatchObject({ counts: { completed: 2 }, usage: { totalTokens: 4 } });
    expect(clock.timers).toBe(0);
  });

  it('do not wait where they are many', async () => {
    const { run, committer, committed } = await setUp();
    committer.add(run, 0, result(1024 * 1024));
    await vi.waitFor(() => expect(committed).toEqual([[1, 'ok']]));
  });

  it('are committed by a flush where they were added before it, also while another one runs', async () => {
    const { run, committer, committed } = await setUp();
    committer.add(run, 0, result());
    const first = committer.flush();
    committer.add(run, 1, result());
    await Promise.all([first, committer.flush()]);
    expect(committed).toEqual([
      [1, 'ok'],
      [1, 'ok'],
    ]);
  });

  it('are not waited for by a flush that was begun before: under load it would never end', async () => {
    const { run, clock, committer, committed } = await setUp();
    committer.add(run, 0, result());
    const flushed = committer.flush();
    committer.add(run, 1, result());
    await flushed;
    expect(committed).toEqual([[1, 'ok']]);
    clock.advance(20);
    await vi.waitFor(() => expect(committed).toHaveLength(2));
  });

  it('are told as lost where another worker has the chunk', async () => {
    const { engine, run, committer, committed } = await setUp();
    await engine.context.store.renewLease('another');
    await engine.context.store.releaseDeadLeases(engine.context.clock.now());
    committer.add(run, 0, result());
    await committer.flush();
    expect(committed).toEqual([[1, 'lost']]);
  });
});

describe('storage that fails', () => {
  it('is tried again each second until it works, and meanwhile the committer is backlogged', async () => {
    const { run, clock, log, fail, results, committer, committed } = await setUp();
    fail.append = true;
    committer.add(run, 0, result());
    clock.advance(20);
    await vi.waitFor(() => expect(clock.timers).toBe(1));
    expect(committer.backlogged).toBe(true);
    clock.advance(1000);
    await vi.waitFor(() => expect(results.append).toHaveBeenCalledTimes(2));
    await vi.waitFor(() => expect(clock.timers).toBe(1));
    fail.append = false;
    clock.advance(1000);
    await vi.waitFor(() => expect(committed).toEqual([[1, 'ok']]));
    expect(committer.backlogged).toBe(false);
    expect(log.entries.filter((entry) => entry.level === 'error')).toHaveLength(1);
  });

  it('does not have the same bytes appended twice where only the commit failed', async () => {
    const { run, clock, fail, results, committer, committed } = await setUp();
    fail.commit = true;
    committer.add(run, 0, result());
    clock.advance(20);
    await vi.waitFor(() => expect(clock.timers).toBe(1));
    fail.commit = false;
    clock.advance(1000);
    await vi.waitFor(() => expect(committed).toEqual([[1, 'ok']]));
    expect(results.append).toHaveBeenCalledOnce();
  });

  it('lets a close end with its error, at once', async () => {
    const { run, clock, fail, committer } = await setUp();
    fail.append = true;
    committer.add(run, 0, result());
    clock.advance(20);
    await vi.waitFor(() => expect(clock.timers).toBe(1));
    await expect(committer.close()).rejects.toThrow('no space');
    expect(clock.timers).toBe(0);
  });
});

describe('more than can be written', () => {
  it('is a backlog until it is written', async () => {
    const { run, committer, written } = await setUp();
    for (let place = 0; place < 5; place++) committer.add(run, place, result(16 * 1024 * 1024));
    expect(committer.backlogged).toBe(true);
    await committer.flush();
    expect(committer.backlogged).toBe(false);
    // Whoever held requests back is told when they may go on.
    expect(written.at(-1)).toBe(false);
  });
});
