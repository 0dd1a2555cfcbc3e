import { describe, expect, it, vi } from 'vitest';
import type { ChunkRun, Committer } from '../../src/engine/index.ts';
import type { Lane } from '../../src/worker/lane.ts';
import type { Lanes } from '../../src/worker/lanes.ts';
import type { ModelLimits } from '../../src/worker/model-limits.ts';
import { createModelReturns } from '../../src/worker/model-returns.ts';
import { createRecordingLog } from '../helpers/recording-log.ts';
import { createMemoryStorage } from '../../src/adapters/memory/index.ts';
import { createTestEngine } from '../helpers/test-engine.ts';

describe('chunks of models without slots', () => {
  it('are stopped, then their results stored, then given back, again and again until that succeeds', async () => {
    const calls: string[] = [];
    const run = { model: 'm', ref: { batchId: 'b', chunkNumber: 0, epoch: 1 } } as ChunkRun;
    const other = { model: 'other' } as ChunkRun;
    const lane = { runs: new Set([run, other]), stopping: false } as unknown as Lane;
    const storage = createMemoryStorage();
    let fails = true;
    const releaseChunks = async () => {
      calls.push('release');
      if (fails) throw new Error('no connection');
    };
    const log = createRecordingLog();
    const { context: ctx } = createTestEngine({
      storage: { ...storage, store: { ...storage.store, releaseChunks } },
      log,
    });
    const lanes = { all: new Map([['b', lane]]), stopRun: () => calls.push('stop') } as unknown as Lanes;
    let without = [{ model: 'm' }];
    const limits = { withoutSlots: () => without } as unknown as ModelLimits;
    const committer = { flush: async () => void calls.push('flush') } as unknown as Committer;
    const onReturned = vi.fn<(run: ChunkRun) => void>();
    const returns = createModelReturns({ ctx, lanes, limits, committer, onReturned });

    returns.check();
    await returns.stop();
    expect(calls).toEqual(['stop', 'flush', 'release']);
    expect(log.entries).toHaveLength(1);
    expect(onReturned).not.toHaveBeenCalled();
    // It has slots again; but nothing of the chunk is sent any more.
    without = [];
    fails = false;
    returns.check();
    await returns.stop();
    expect(calls).toEqual(['stop', 'flush', 'release', 'flush', 'release']);
    expect(onReturned.mock.calls).toEqual([[run]]);
    returns.check();
    expect(calls).toHaveLength(5);
  });
});
