import { describe, expect } from 'vitest';
import type { ChunkClaim } from '../../src/engine/ports.ts';
import {
  aBlob,
  aChunk,
  batchIn,
  chunksOf,
  claim,
  claimOne,
  createBatch,
  readBatch,
  refOf,
  startBatch,
  T0,
  wholeSegment,
} from '../helpers/store-fixtures.ts';
import type { StoreIt } from './store-test.ts';

/** Claims as `batch:number`, for batches that are named by `names`. */
function brief(claims: readonly ChunkClaim[], names: Readonly<Record<string, string>>): string[] {
  return claims.map(({ batch, chunk }) => `${names[batch.id]}${chunk.number}`);
}

/** Which chunks are handed out, to whom, and in which order. */
export function describeClaims(it: StoreIt): void {
  describe('claims of chunks', () => {
    describeHandingOut(it);
    describeOrder(it);
    describeLimits(it);
    describeGivingBack(it);
    describeStopped(it);
  });
}

function describeHandingOut(it: StoreIt): void {
  it('hands out a chunk with all that its worker needs, once', async ({ store }) => {
    const { id, expiresAt } = await startBatch(
      store,
      { owner: 'bob', priority: 3, endpoint: '/v1/embeddings' },
      [aChunk(0, { model: 'large', lineCount: 9 })],
    );
    expect(await claim(store)).toEqual([
      {
        batch: {
          id,
          owner: 'bob',
          endpoint: '/v1/embeddings',
          priority: 3,
          expiresAt,
          input: aBlob('the input'),
        },
        chunk: {
          ...aChunk(0, { model: 'large', lineCount: 9 }),
          batchId: id,
          epoch: 1,
          done: new Uint8Array(2),
          crashes: 0,
          trying: null,
        },
      },
    ]);
    expect(await claim(store, { worker: 'other' })).toEqual([]);
  });

  it('hands out chunks of batches in progress only', async ({ store }) => {
    for (const situation of [
      'validating',
      'failed',
      'finalizing as expired',
      'expired',
      'cancelling',
    ] as const) {
      await batchIn(store, situation);
    }
    expect(await claim(store)).toEqual([]);
  });

  it('does not hand out a chunk whose lines are all done', async ({ store }) => {
    await startBatch(store, {}, chunksOf(2));
    await store.commitSegments([wholeSegment(await claimOne(store))], T0);
    expect((await claim(store)).map(({ chunk }) => chunk.number)).toEqual([1]);
  });

  it('hands out nothing where nothing is asked for', async ({ store }) => {
    await startBatch(store);
    expect(await claim(store, { limit: 0 })).toEqual([]);
    expect(await claim(store, { perModel: 0 })).toEqual([]);
  });
}

function describeOrder(it: StoreIt): void {
  it('serves the highest priority first', async ({ store }) => {
    const low = await startBatch(store, { priority: -1 }, chunksOf(2));
    const high = await startBatch(store, { priority: 2 }, chunksOf(2));
    const names = { [low.id]: 'low', [high.id]: 'high' };
    expect(brief(await claim(store), names)).toEqual(['high0', 'high1', 'low0', 'low1']);
  });

  it('serves among equals the batch with the fewest chunks claimed, then the nearest deadline', async ({
    store,
  }) => {
    const late = await startBatch(store, { expiresAt: T0 + 30 }, chunksOf(4));
    const near = await startBatch(store, { expiresAt: T0 + 10 }, chunksOf(4));
    const names = { [late.id]: 'late', [near.id]: 'near' };
    expect(brief(await claim(store, { limit: 3 }), names)).toEqual(['near0', 'late0', 'near1']);
    const next = await startBatch(store, { expiresAt: T0 + 40 }, chunksOf(3));
    expect(brief(await claim(store, { limit: 6 }), { ...names, [next.id]: 'next' })).toEqual([
      'next0',
      'late1',
      'next1',
      'near2',
      'late2',
      'next2',
    ]);
  });

  it('serves batches of the same deadline in the order of their creation', async ({ store }) => {
    const first = await startBatch(store, {}, chunksOf(1));
    const second = await startBatch(store, {}, chunksOf(1));
    expect((await claim(store)).map(({ batch }) => batch.id)).toEqual([first.id, second.id]);
  });

  it('counts a chunk no more that was given back or done', async ({ store }) => {
    const a = await startBatch(store, { expiresAt: T0 + 10 }, chunksOf(4));
    const b = await startBatch(store, { expiresAt: T0 + 20 }, chunksOf(4));
    const names = { [a.id]: 'a', [b.id]: 'b' };
    const [a0, b0, a1] = (await claim(store, { limit: 3 })).map(({ chunk }) => chunk);
    if (a0 === undefined || b0 === undefined || a1 === undefined)
      throw new Error('three chunks were to be claimed');
    await store.releaseChunks([refOf(a1)]);
    await store.commitSegments([wholeSegment(a0)], T0);
    expect(brief(await claim(store, { limit: 3 }), names)).toEqual(['a1', 'a2', 'b1']);
  });

  it('serves the chunks of one batch by number', async ({ store }) => {
    const models = ['z', 'a', 'z', 'm', 'a'];
    await startBatch(
      store,
      {},
      models.map((model, number) => aChunk(number, { model })),
    );
    expect((await claim(store)).map(({ chunk }) => chunk.number)).toEqual([0, 1, 2, 3, 4]);
  });
}

function describeLimits(it: StoreIt): void {
  it('hands out no more than asked for', async ({ store }) => {
    await startBatch(store, {}, chunksOf(5));
    expect(await claim(store, { limit: 2 })).toHaveLength(2);
    expect(await claim(store, { limit: 2 })).toHaveLength(2);
    expect(await claim(store, { limit: 2 })).toHaveLength(1);
  });

  it('keeps to the chunks of one model of one batch, those held already included', async ({ store }) => {
    const models = ['a', 'a', 'a', 'b', 'a', 'b', 'c'];
    const { id } = await startBatch(
      store,
      {},
      models.map((model, number) => aChunk(number, { model })),
    );
    const other = await startBatch(store, { priority: -1 }, chunksOf(3, { model: 'a' }));
    const names = { [id]: 'x', [other.id]: 'y' };
    expect(brief(await claim(store, { limit: 1, perModel: 1 }), names)).toEqual(['x0']);
    expect(brief(await claim(store, { perModel: 2 }), names)).toEqual(['x1', 'x3', 'x5', 'x6', 'y0', 'y1']);
    expect(await claim(store, { perModel: 2, worker: 'other' })).toEqual([]);
    expect(brief(await claim(store, { perModel: 3 }), names)).toEqual(['y2', 'x2']);
  });

  it('does not let a batch at its limit hold up those behind it', async ({ store }) => {
    await startBatch(store, { priority: 9 }, chunksOf(9));
    await claim(store, { perModel: 2 });
    const { id } = await startBatch(store, { priority: 1 }, chunksOf(9));
    const claims = await claim(store, { perModel: 2 });
    expect(claims.map(({ batch }) => batch.id)).toEqual([id, id]);
  });

  it('serves idle batches only, where that is asked for, with one chunk each', async ({ store }) => {
    const busy = await startBatch(store, { priority: 9 }, chunksOf(3));
    await claim(store, { limit: 1 });
    const idle = await startBatch(store, { expiresAt: T0 + 1 }, chunksOf(3));
    const idler = await startBatch(store, { expiresAt: T0 + 2 }, chunksOf(3));
    const names = { [busy.id]: 'busy', [idle.id]: 'idle', [idler.id]: 'idler' };
    expect(brief(await claim(store, { idleBatchesOnly: true, limit: 1 }), names)).toEqual(['idle0']);
    expect(brief(await claim(store, { idleBatchesOnly: true }), names)).toEqual(['idler0']);
    expect(await claim(store, { idleBatchesOnly: true, worker: 'other' })).toEqual([]);
  });

  it('serves batches of the least priority asked for and above', async ({ store }) => {
    await startBatch(store, { priority: 4 });
    const equal = await startBatch(store, { priority: 5 });
    const above = await startBatch(store, { priority: 6 });
    expect((await claim(store, { minPriority: 5 })).map(({ batch }) => batch.id)).toEqual([
      above.id,
      equal.id,
    ]);
  });

  it('serves a thousand batches of one chunk each, every one once', async ({ store }) => {
    for (let i = 0; i < 1000; i++) await startBatch(store);
    const served: string[] = [];
    for (;;) {
      const claims = await claim(store, { limit: 64 });
      if (claims.length === 0) break;
      served.push(...claims.map(({ batch }) => batch.id));
    }
    expect(new Set(served).size).toBe(1000);
    expect(served).toHaveLength(1000);
  });
}

function describeGivingBack(it: StoreIt): void {
  it('hands out a chunk again that was given back, with a higher epoch, and counts no crash', async ({
    store,
  }) => {
    await startBatch(store);
    const first = await claimOne(store);
    await store.markTrying(refOf(first), 2);
    await store.releaseChunks([refOf(first)]);
    const second = await claimOne(store);
    expect(second).toEqual({ ...first, epoch: first.epoch + 1, crashes: 0, trying: null });
  });

  it('gives back only what is held under that epoch', async ({ store }) => {
    const { id } = await startBatch(store);
    const old = await claimOne(store);
    await store.releaseChunks([refOf(old)]);
    const held = await claimOne(store);
    await store.releaseChunks([
      refOf(old),
      { ...refOf(held), chunkNumber: 9 },
      { ...refOf(held), batchId: 'batch_no' },
    ]);
    expect(await claim(store)).toEqual([]);
    await store.releaseChunks([refOf(held), refOf(held)]);
    expect(await claim(store, { idleBatchesOnly: true })).toHaveLength(1);
    expect(await claim(store)).toEqual([]);
    expect(await readBatch(store, id)).toMatchObject({ status: 'in_progress' });
  });

  it('does not take back a chunk that is done', async ({ store }) => {
    await startBatch(store, {}, chunksOf(2));
    const chunk = await claimOne(store);
    await store.commitSegments([wholeSegment(chunk)], T0);
    await store.releaseChunks([refOf(chunk)]);
    expect((await claim(store)).map(({ chunk }) => chunk.number)).toEqual([1]);
  });
}

function describeStopped(it: StoreIt): void {
  it('names the batches that stopped while a worker holds chunks of them', async ({ store }) => {
    const cancelled = await startBatch(store, { priority: 2 }, chunksOf(2));
    const expired = await startBatch(store, { priority: 1, expiresAt: T0 + 5 });
    const running = await startBatch(store);
    const claims = await claim(store, { limit: 4, worker: 'mine' });
    expect(claims).toHaveLength(4);
    expect(await store.findStoppedBatches('mine')).toEqual([]);
    await createBatch(store);
    await store.cancelBatch('ann', cancelled.id, T0);
    await store.expireBatches(T0 + 5);
    expect(new Set(await store.findStoppedBatches('mine'))).toEqual(new Set([cancelled.id, expired.id]));
    expect(await store.findStoppedBatches('other')).toEqual([]);
    await store.releaseChunks(
      claims.filter(({ batch }) => batch.id === cancelled.id).map(({ chunk }) => refOf(chunk)),
    );
    expect(await store.findStoppedBatches('mine')).toEqual([expired.id]);
    expect(await readBatch(store, running.id)).toMatchObject({ status: 'in_progress' });
  });

  it('tells workers apart that hold chunks of one batch', async ({ store }) => {
    const { id } = await startBatch(store, {}, chunksOf(2));
    const mine = await claimOne(store, { worker: 'mine' });
    await claimOne(store, { worker: 'other' });
    await store.cancelBatch('ann', id, T0);
    await store.releaseChunks([refOf(mine)]);
    expect(await store.findStoppedBatches('mine')).toEqual([]);
    expect(await store.findStoppedBatches('other')).toEqual([id]);
  });
}
