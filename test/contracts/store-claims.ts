import { describe, expect } from 'vitest';
import type { ChunkClaim } from '../../src/engine/ports.ts';
import {
  aBlob,
  aChunk,
  batchIn,
  chunksOf,
  claim,
  claimOne,
  refOf,
  startBatch,
  T0,
} from '../helpers/store-fixtures.ts';
import type { StoreIt } from './store-test.ts';

const names = (claims: readonly ChunkClaim[]) =>
  claims.map(({ batch, chunk }) => `${batch.owner} ${chunk.number}`);

/** Which chunks are handed out, and to whom. */
export function describeClaims(it: StoreIt): void {
  describe('claims of chunks', () => {
    describeContents(it);
    describeOrder(it);
    describeLimits(it);
    describeRelease(it);
  });
}

function describeContents(it: StoreIt): void {
  it('carry the batch, the chunk and a higher epoch each time', async ({ store }) => {
    const batch = await startBatch(store, { priority: 3 });
    const [first] = await claim(store);
    const { id, owner, endpoint, priority, expiresAt } = batch;
    expect(first?.batch).toEqual({ id, owner, endpoint, priority, expiresAt, input: aBlob('the input') });
    expect(first?.chunk).toMatchObject({
      batchId: id,
      number: 0,
      model: 'small',
      lineCount: 4,
      firstLine: 1,
      bytes: 400,
      crashes: 0,
      trying: null,
    });
    expect([...(first?.chunk.index ?? [])]).toEqual([...aChunk(0).index]);
    expect([...(first?.chunk.done ?? [])]).toEqual([0]);
    expect(await claim(store)).toEqual([]);
    if (first !== undefined) await store.releaseChunks([refOf(first.chunk)]);
    expect((await claimOne(store)).epoch).toBeGreaterThan(first?.chunk.epoch ?? Infinity);
  });

  for (const situation of [
    'validating',
    'finalizing as expired',
    'cancelling',
    'completed',
    'failed',
  ] as const) {
    it(`find none of a batch that is ${situation}`, async ({ store }) => {
      await batchIn(store, situation);
      expect(await claim(store)).toEqual([]);
    });
  }
}

function describeOrder(it: StoreIt): void {
  it('take the highest priority first, whatever is claimed of it', async ({ store }) => {
    await startBatch(store, { owner: 'low', priority: -1 }, chunksOf(2));
    await startBatch(store, { owner: 'high', priority: 1 }, chunksOf(3));
    expect(names(await claim(store))).toEqual(['high 0', 'high 1', 'high 2', 'low 0', 'low 1']);
  });

  it('take turns between batches of one priority, also within one call, the nearest deadline first', async ({
    store,
  }) => {
    await startBatch(store, { owner: 'late', expiresAt: T0 + 20 }, chunksOf(3));
    await startBatch(store, { owner: 'soon', expiresAt: T0 + 10 }, chunksOf(3));
    expect(names(await claim(store, { limit: 5 }))).toEqual([
      'soon 0',
      'late 0',
      'soon 1',
      'late 1',
      'soon 2',
    ]);
  });

  it('take the batch first of which the fewest chunks are claimed', async ({ store }) => {
    await startBatch(store, { owner: 'large' }, chunksOf(10));
    await claim(store, { limit: 4 });
    await startBatch(store, { owner: 'small' }, chunksOf(2));
    expect(names(await claim(store, { limit: 3 }))).toEqual(['small 0', 'small 1', 'large 4']);
  });
}

function describeLimits(it: StoreIt): void {
  it('keep to the limit', async ({ store }) => {
    await startBatch(store, {}, chunksOf(5));
    expect(await claim(store, { limit: 2 })).toHaveLength(2);
    expect(await claim(store, { limit: 0 })).toHaveLength(0);
  });

  it('take no more than so many chunks of one model of one batch, and go on with the next model', async ({
    store,
  }) => {
    const chunks = ['a', 'a', 'a', 'b', 'a', 'b'].map((model, number) => aChunk(number, { model }));
    await startBatch(store, { owner: 'one' }, chunks);
    expect(names(await claim(store, { perModel: 1 }))).toEqual(['one 0', 'one 3']);
    expect(names(await claim(store, { perModel: 2, limit: 1 }))).toEqual(['one 1']);
    await startBatch(store, { owner: 'two' }, chunks);
    expect(names(await claim(store, { perModel: 2 }))).toEqual([
      'two 0',
      'two 1',
      'two 3',
      'one 2',
      'two 5',
      'one 4',
      'one 5',
    ]);
  });

  it('count those that the worker says it holds, of each model of each batch, and no others', async ({
    store,
  }) => {
    const chunks = ['a', 'a', 'a', 'b', 'a', 'b'].map((model, number) => aChunk(number, { model }));
    const one = await startBatch(store, { owner: 'one', expiresAt: T0 + 10 }, chunks);
    const two = await startBatch(store, { owner: 'two', expiresAt: T0 + 20 }, chunks);
    const held = (batchId: string, model: string, count: number) => ({ batchId, model, chunks: count });
    const query = { perModel: 2, held: [held(one.id, 'a', 2), held(one.id, 'b', 1), held(two.id, 'a', 9)] };
    expect(names(await claim(store, query))).toEqual(['one 3', 'two 3', 'two 5']);
    expect(names(await claim(store, { perModel: 1, held: [held(one.id, 'b', 1)], limit: 2 }))).toEqual([
      'one 0',
      'two 0',
    ]);
    expect(await claim(store, { perModel: 0 })).toEqual([]);
  });

  it('may be asked for one chunk of each batch of which none is claimed', async ({ store }) => {
    await startBatch(store, { owner: 'busy' }, chunksOf(3));
    await claim(store, { limit: 1 });
    await startBatch(store, { owner: 'idle', expiresAt: T0 + 10 }, chunksOf(3));
    await startBatch(store, { owner: 'also idle', expiresAt: T0 + 20 }, chunksOf(3));
    expect(names(await claim(store, { idleBatchesOnly: true }))).toEqual(['idle 0', 'also idle 0']);
    expect(await claim(store, { idleBatchesOnly: true })).toEqual([]);
  });

  it('may be asked for batches of at least a priority', async ({ store }) => {
    await startBatch(store, { owner: 'low', priority: 0 });
    await startBatch(store, { owner: 'high', priority: 5 });
    expect(names(await claim(store, { minPriority: 5 }))).toEqual(['high 0']);
    expect(names(await claim(store, { minPriority: 1 }))).toEqual([]);
  });
}

function describeRelease(it: StoreIt): void {
  it('end with a release, which is no crash, and ignore one of an older epoch', async ({ store }) => {
    await startBatch(store);
    const old = await claimOne(store);
    await store.markTrying(refOf(old), 2);
    await store.releaseChunks([refOf(old)]);
    const chunk = await claimOne(store);
    expect(chunk).toMatchObject({ crashes: 0, trying: null });
    await store.releaseChunks([refOf(old)]);
    expect(await claim(store)).toEqual([]);
    await store.releaseChunks([]);
  });

  it('tell a worker which of its batches stopped', async ({ store }) => {
    const running = await startBatch(store);
    const cancelled = await startBatch(store);
    const expired = await startBatch(store, { expiresAt: T0 + 1 });
    const chunks = await claim(store, { worker: 'mine' });
    expect(await store.findStoppedBatches('mine')).toEqual([]);
    await store.cancelBatch('ann', cancelled.id, T0);
    await store.expireBatches(T0 + 1);
    expect((await store.findStoppedBatches('mine')).toSorted()).toEqual(
      [cancelled.id, expired.id].toSorted(),
    );
    expect(await store.findStoppedBatches('other')).toEqual([]);
    await store.releaseChunks(chunks.map(({ chunk }) => refOf(chunk)));
    expect(await store.findStoppedBatches('mine')).toEqual([]);
    expect((await claimOne(store)).batchId).toBe(running.id);
  });
}
