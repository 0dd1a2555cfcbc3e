import { describe, expect } from 'vitest';
import { NO_LIMITS } from '../../src/engine/owner.ts';
import type { OverLimit, OwnerLimits } from '../../src/engine/owner.ts';
import type { Batch } from '../../src/engine/batch.ts';
import type { Store } from '../../src/engine/ports.ts';
import {
  aBatch,
  aFile,
  anEvent,
  batchIn,
  chunksOf,
  claimStepOf,
  createBatch,
  failOf,
  readBatch,
  startBatch,
  startOf,
  T0,
} from '../helpers/store-fixtures.ts';
import type { StoreIt } from './store-test.ts';

const OK = { kind: 'ok' };

function limitsOf(limits: Partial<OwnerLimits>): OwnerLimits {
  return { ...NO_LIMITS, ...limits };
}

function over(what: OverLimit['what'], max: number, used: number, added: number): OverLimit {
  return { kind: 'over_limit', what, max, used, added };
}

async function create(store: Store, limits: Partial<OwnerLimits>, fields: Partial<Batch> = {}) {
  const batch = aBatch(fields);
  return await store.createBatch(batch, anEvent(batch, 'batch.queued'), limitsOf(limits));
}

/** Fields of a batch of which this many lines are known. */
function withLines(total: number): Partial<Batch> {
  return { format: 'anthropic', counts: { total, completed: 0, failed: 0 } };
}

async function countBatches(store: Store): Promise<number> {
  const formats = ['openai', 'anthropic'] as const;
  const lists = formats.map((format) => store.listBatches('ann', undefined, 100, format));
  return (await Promise.all(lists)).reduce((sum, list) => sum + (list?.data.length ?? 0), 0);
}

/** What is inserted only where its owner has room for it. */
export function describeLimits(it: StoreIt): void {
  describe('limits of an owner', () => {
    describeLiveBatches(it);
    describeQueuedLines(it);
    describeStart(it);
    describeSubmissions(it);
  });
}

function describeLiveBatches(it: StoreIt): void {
  it('let so many batches be live, of whatever kind, and no more', async ({ store }) => {
    const limits = { maxLiveBatches: 3 };
    await batchIn(store, 'in_progress');
    await batchIn(store, 'cancelling');
    for (const end of ['completed', 'failed', 'expired', 'cancelled'] as const) await batchIn(store, end);
    await createBatch(store, { owner: 'bob' });
    expect(await create(store, limits, withLines(1))).toEqual(OK);
    const before = await countBatches(store);
    expect(await create(store, limits)).toEqual(over('liveBatches', 3, 3, 1));
    expect(await create(store, { maxLiveBatches: 0 })).toEqual(over('liveBatches', 0, 3, 1));
    expect(await countBatches(store)).toBe(before);
    expect(await create(store, limits, { owner: 'bob' })).toEqual(OK);
    expect(await create(store, { maxLiveBatches: null })).toEqual(OK);
  });

  it('let in one of two that come at once for the last place', async ({ store }) => {
    const limits = { maxLiveBatches: 1 };
    const results = await Promise.all([create(store, limits), create(store, limits)]);
    expect(results).toEqual([OK, over('liveBatches', 1, 1, 1)]);
    expect(await countBatches(store)).toBe(1);
  });

  it('write no event of a batch that is refused', async ({ store }) => {
    const batch = aBatch();
    await store.createBatch(batch, anEvent(batch, 'batch.queued'), limitsOf({ maxLiveBatches: 0 }));
    expect(await store.readBatchEvents(batch.id)).toEqual([]);
  });
}

function describeQueuedLines(it: StoreIt): void {
  it('let in batches of unknown length until the lines are used up', async ({ store }) => {
    await startBatch(store);
    expect(await create(store, { maxQueuedLines: 5 })).toEqual(OK);
    expect(await create(store, { maxQueuedLines: 4 })).toEqual(over('queuedLines', 4, 4, 1));
    expect(await create(store, { maxQueuedLines: 4 }, { owner: 'bob' })).toEqual(OK);
  });

  it('let in batches of known length where all their lines have room', async ({ store }) => {
    const limits = { maxQueuedLines: 10 };
    expect(await create(store, limits, withLines(11))).toEqual(over('queuedLines', 10, 0, 11));
    expect(await create(store, limits, withLines(7))).toEqual(OK);
    expect(await create(store, limits, withLines(4))).toEqual(over('queuedLines', 10, 7, 4));
    expect(await create(store, limits, withLines(3))).toEqual(OK);
    expect(await countBatches(store)).toBe(2);
  });
}

function describeStart(it: StoreIt): void {
  it('keep a batch from starting whose lines have no room, with its step held', async ({ store }) => {
    await startBatch(store);
    await startBatch(store, { owner: 'bob' });
    const { id } = await createBatch(store);
    const step = await claimStepOf(store, id);
    const start = (maxQueuedLines: number | null) =>
      store.startBatch(startOf(step, { chunks: chunksOf(2), limits: limitsOf({ maxQueuedLines }) }));
    expect(await start(11)).toEqual(over('queuedLines', 11, 4, 8));
    expect(await readBatch(store, id)).toMatchObject({ status: 'validating', counts: { total: 0 } });
    expect(await store.readChunks(id, 0, 10)).toEqual([]);
    expect(await store.claimBatchStep('worker', T0)).toBeNull();
    expect(await start(12)).toBe('ok');
    expect(await start(0)).toBe('lost');
  });

  it('let a batch fail that could not start', async ({ store }) => {
    const { id } = await createBatch(store);
    const step = await claimStepOf(store, id);
    const limits = limitsOf({ maxQueuedLines: 3 });
    expect(await store.startBatch(startOf(step, { limits }))).toEqual(over('queuedLines', 3, 0, 4));
    expect(await store.failBatch(failOf(step))).toBe('ok');
    expect((await readBatch(store, id)).status).toBe('failed');
  });

  it('are not asked for a batch that is no longer validating', async ({ store }) => {
    const { id } = await createBatch(store);
    const step = await claimStepOf(store, id);
    await store.cancelBatch('ann', id, T0);
    expect(await store.startBatch(startOf(step, { limits: limitsOf({ maxQueuedLines: 0 }) }))).toBe('lost');
  });
}

function describeSubmissions(it: StoreIt): void {
  it('leave nothing of a submission that is refused, and let one that is known be', async ({ store }) => {
    const submit = async (key: string, limits: Partial<OwnerLimits>) => {
      const batch = aBatch();
      const inputFile = aFile();
      const result = await store.submitBatch({
        batch,
        event: anEvent(batch, 'batch.queued'),
        inputFile,
        once: { key, fingerprint: 'f' },
        forgetUntil: 0,
        limits: limitsOf(limits),
      });
      return { result, batch, inputFile };
    };
    const first = await submit('one', { maxLiveBatches: 1 });
    expect(first.result).toEqual({ kind: 'created' });
    const second = await submit('two', { maxLiveBatches: 1 });
    expect(second.result).toEqual(over('liveBatches', 1, 1, 1));
    expect(await store.getFile('ann', second.inputFile.id, T0)).toBeNull();
    expect(await store.getBatch('ann', second.batch.id)).toBeNull();
    expect(await store.findSubmission('ann', 'two', 0)).toBeNull();
    expect((await submit('one', { maxLiveBatches: 1 })).result).toMatchObject({ kind: 'known' });
  });
}
