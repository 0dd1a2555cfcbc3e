import { describe, expect } from 'vitest';
import type { Batch } from '../../src/engine/batches/batch.ts';
import type { NewChunk } from '../../src/engine/run/chunk.ts';
import type { ChunkClaim, Store } from '../../src/engine/ports.ts';
import {
  aBlob,
  aChunk,
  anOwner,
  batchIn,
  chunksOf,
  claim,
  claimOne,
  refOf,
  startBatch,
  T0,
} from '../helpers/store-fixtures.ts';
import type { StoreIt } from './store-test.ts';

/** The names of batches, by their ids. */
const NAMES = new Map<string, string>();

/** Starts a batch whose chunks `names` shows by `name`. */
async function start(
  store: Store,
  name: string,
  fields: Partial<Batch> = {},
  chunks: readonly NewChunk[] = chunksOf(1),
): Promise<Batch> {
  const batch = await startBatch(store, fields, chunks);
  NAMES.set(batch.id, name);
  return batch;
}

const names = (claims: readonly ChunkClaim[]) =>
  claims.map(({ batch, chunk }) => `${NAMES.get(batch.id)} ${chunk.number}`);

/** Which chunks are handed out, and to whom. */
export function describeClaims(it: StoreIt): void {
  describe('claims of chunks', () => {
    describeContents(it);
    describeOrder(it);
    describeOwners(it);
    describeLimits(it);
    describeRelease(it);
  });
}

function describeContents(it: StoreIt): void {
  it('carry the batch, the chunk and a higher epoch each time', async ({ store }) => {
    const batch = await startBatch(store, { priority: 3 });
    const [first] = await claim(store);
    const { id, owner, endpoint, priority, expiresAt } = batch;
    expect(first?.batch).toEqual({
      id,
      owner,
      endpoint,
      priority,
      expiresAt,
      input: aBlob('the input'),
      weight: 1,
    });
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
    await start(store, 'low', { priority: -1 }, chunksOf(2));
    await start(store, 'high', { priority: 1 }, chunksOf(3));
    expect(names(await claim(store))).toEqual(['high 0', 'high 1', 'high 2', 'low 0', 'low 1']);
  });

  it('take turns between batches of one priority, also within one call, the nearest deadline first', async ({
    store,
  }) => {
    await start(store, 'late', { expiresAt: T0 + 20 }, chunksOf(3));
    await start(store, 'soon', { expiresAt: T0 + 10 }, chunksOf(3));
    expect(names(await claim(store, { limit: 5 }))).toEqual([
      'soon 0',
      'late 0',
      'soon 1',
      'late 1',
      'soon 2',
    ]);
  });

  it('take the batch first of which the fewest chunks are claimed', async ({ store }) => {
    await start(store, 'large', {}, chunksOf(10));
    await claim(store, { limit: 4 });
    await start(store, 'small', {}, chunksOf(2));
    expect(names(await claim(store, { limit: 3 }))).toEqual(['small 0', 'small 1', 'large 4']);
  });
}

function describeOwners(it: StoreIt): void {
  it('take turns between owners, however many batches each has and whatever their priorities are', async ({
    store,
  }) => {
    await start(store, 'ann 1', { priority: 9, expiresAt: T0 + 10 }, chunksOf(2));
    await start(store, 'ann 2', { priority: 9, expiresAt: T0 + 10 }, chunksOf(2));
    await start(store, 'bob', { owner: 'bob', expiresAt: T0 + 20 }, chunksOf(3));
    const order = ['ann 1 0', 'bob 0', 'ann 2 0', 'bob 1', 'ann 1 1', 'bob 2', 'ann 2 1'];
    expect(names(await claim(store, { limit: 3 }))).toEqual(order.slice(0, 3));
    expect(names(await claim(store))).toEqual(order.slice(3));
  });

  it('give owners shares by their weights, which the claims carry', async ({ store }) => {
    await store.putOwner(anOwner({ name: 'bob', weight: 3 }));
    await start(store, 'ann', { expiresAt: T0 + 10 }, chunksOf(9));
    await start(store, 'bob', { owner: 'bob', expiresAt: T0 + 20 }, chunksOf(9));
    const claims = await claim(store, { limit: 8 });
    expect(names(claims).map((name) => name.slice(0, 3))).toEqual([
      'ann',
      'bob',
      'bob',
      'bob',
      'ann',
      'bob',
      'bob',
      'bob',
    ]);
    expect(new Set(claims.map(({ batch }) => `${batch.owner} ${batch.weight}`))).toEqual(
      new Set(['ann 1', 'bob 3']),
    );
  });

  it('let owners who hold as much take turns, whatever their deadlines are, also over several calls', async ({
    store,
  }) => {
    await start(store, 'a', { owner: 'a', priority: 1, expiresAt: T0 + 10 }, chunksOf(3));
    await start(store, 'b', { owner: 'b', expiresAt: T0 + 20 }, chunksOf(3));
    await start(store, 'c', { owner: 'c', expiresAt: T0 + 5 }, chunksOf(3));
    const order: string[] = [];
    for (let i = 0; i < 5; i++) {
      const [next] = await claim(store, { limit: 1 });
      if (next === undefined) break;
      order.push(next.batch.owner);
      await store.releaseChunks([refOf(next.chunk)]);
    }
    expect(order).toEqual(['a', 'b', 'c', 'a', 'b']);
  });

  it('go on with the others where an owner has nothing that may be taken', async ({ store }) => {
    const held = await start(store, 'held', { owner: 'a' }, chunksOf(3));
    await start(store, 'free', { owner: 'b' }, chunksOf(2));
    const query = { perModel: 2, held: [{ batchId: held.id, model: 'small', chunks: 2 }] };
    expect(names(await claim(store, query))).toEqual(['free 0', 'free 1']);
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
    await start(store, 'one', {}, chunks);
    expect(names(await claim(store, { perModel: 1 }))).toEqual(['one 0', 'one 3']);
    expect(names(await claim(store, { perModel: 2, limit: 1 }))).toEqual(['one 1']);
    await start(store, 'two', {}, chunks);
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
    const one = await start(store, 'one', { expiresAt: T0 + 10 }, chunks);
    const two = await start(store, 'two', { expiresAt: T0 + 20 }, chunks);
    const held = (batchId: string, model: string, count: number) => ({ batchId, model, chunks: count });
    const query = { perModel: 2, held: [held(one.id, 'a', 2), held(one.id, 'b', 1), held(two.id, 'a', 9)] };
    expect(names(await claim(store, query))).toEqual(['one 3', 'two 3', 'two 5']);
    expect(names(await claim(store, { perModel: 1, held: [held(one.id, 'b', 1)], limit: 2 }))).toEqual([
      'one 0',
      'two 0',
    ]);
    expect(await claim(store, { perModel: 0 })).toEqual([]);
  });

  it('may be asked for one chunk of each batch but some', async ({ store }) => {
    const busy = await start(store, 'busy', {}, chunksOf(3));
    await start(store, 'idle', { expiresAt: T0 + 10 }, chunksOf(3));
    await start(store, 'also idle', { expiresAt: T0 + 20 }, chunksOf(2));
    const query = { oneEachExcept: new Set([busy.id]) };
    expect(names(await claim(store, query))).toEqual(['idle 0', 'also idle 0']);
    expect(names(await claim(store, query))).toEqual(['idle 1', 'also idle 1']);
    expect(names(await claim(store, { oneEachExcept: new Set() }))).toEqual(['busy 0', 'idle 2']);
    expect(names(await claim(store))).toEqual(['busy 1', 'busy 2']);
  });

  it('take no more than so many chunks of a model, of all batches together, and none of some', async ({
    store,
  }) => {
    const chunks = ['a', 'a', 'b', 'c', 'a'].map((model, number) => aChunk(number, { model }));
    await start(store, 'one', { expiresAt: T0 + 10 }, chunks);
    await start(store, 'two', { expiresAt: T0 + 20 }, chunks);
    const modelRoom = new Map([
      ['a', 3],
      ['b', 0],
      ['elsewhere', 1],
    ]);
    expect(names(await claim(store, { modelRoom }))).toEqual(['one 0', 'two 0', 'one 1', 'two 3', 'one 3']);
    expect(names(await claim(store, { modelRoom: new Map([['a', 0]]) }))).toEqual(['two 2', 'one 2']);
    expect(names(await claim(store, { modelRoom: new Map([['a', 1]]), limit: 1 }))).toEqual(['two 1']);
    expect(names(await claim(store))).toEqual(['one 4', 'two 4']);
  });

  it('take one chunk of each batch where that is asked for, also when a model has no room any more', async ({
    store,
  }) => {
    const chunks = ['a', 'b'].map((model, number) => aChunk(number, { model }));
    await start(store, 'one', { expiresAt: T0 + 10 }, chunks);
    await start(store, 'two', { expiresAt: T0 + 20 }, chunks);
    const query = { oneEachExcept: new Set<string>(), modelRoom: new Map([['a', 1]]) };
    expect(names(await claim(store, query))).toEqual(['one 0', 'two 1']);
  });

  it('may be asked for batches above a priority, of each owner another one', async ({ store }) => {
    await start(store, 'low', { priority: 0 });
    await start(store, 'high', { priority: 5 });
    await start(store, 'another', { owner: 'bob', priority: -5 });
    expect(names(await claim(store, { above: new Map([['ann', 5]]), limit: 1 }))).toEqual(['another 0']);
    expect(names(await claim(store, { above: new Map([['ann', 5]]) }))).toEqual([]);
    expect(names(await claim(store, { above: new Map([['ann', 4]]) }))).toEqual(['high 0']);
    expect(names(await claim(store, { above: new Map([['ann', -101]]) }))).toEqual(['low 0']);
  });

  it('tell whether chunks of the batch are left that nobody has claimed', async ({ store }) => {
    await start(store, 'one', {}, chunksOf(3));
    const more = async (limit: number) => (await claim(store, { limit })).map(({ hasMore }) => hasMore);
    expect(await more(2)).toEqual([true, true]);
    expect(await more(1)).toEqual([false]);
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
