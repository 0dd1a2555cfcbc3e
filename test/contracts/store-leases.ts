import { describe, expect } from 'vitest';
import {
  anEvent,
  aSegment,
  batchIn,
  chunksOf,
  claim,
  claimOne,
  claimStepOf,
  createBatch,
  failOf,
  readBatch,
  refOf,
  startBatch,
  startOf,
  T0,
  wholeSegment,
} from '../helpers/store-fixtures.ts';
import type { StoreIt } from './store-test.ts';

/** What a crash leaves behind, and how it is freed. */
export function describeLeases(it: StoreIt): void {
  describe('dead leases', () => {
    describeSteps(it);
    describeChunks(it);
    describeDeliveries(it);
  });
}

function describeSteps(it: StoreIt): void {
  it('frees a held step, and loses what its dead worker may still write', async ({ store }) => {
    const { id } = await createBatch(store);
    const dead = await claimStepOf(store, id);
    await store.releaseDeadLeases(T0);
    expect(await store.startBatch(startOf(dead))).toBe('lost');
    const step = await claimStepOf(store, id);
    expect(step.epoch).toBeGreaterThan(dead.epoch);
    expect(await store.failBatch(failOf(dead))).toBe('lost');
    expect(await store.releaseBatchStep(id, dead.epoch)).toBe('lost');
    expect(await store.startBatch(startOf(step))).toBe('ok');
  });
}

function describeChunks(it: StoreIt): void {
  it('frees claimed chunks, counts a crash of each, and keeps what was done and tried', async ({ store }) => {
    await startBatch(store, {}, chunksOf(3));
    const [dead, whole] = (await claim(store, { limit: 2 })).map(({ chunk }) => chunk);
    if (dead === undefined || whole === undefined) throw new Error('two chunks were to be claimed');
    await store.commitSegments([aSegment(dead, [0]), wholeSegment(whole)], T0);
    await store.markTrying(refOf(dead), 2);
    await store.releaseDeadLeases(T0);
    const again = (await claim(store)).map(({ chunk }) => chunk);
    expect(again.map(({ number, crashes, trying }) => ({ number, crashes, trying }))).toEqual([
      { number: 0, crashes: 1, trying: 2 },
      { number: 2, crashes: 0, trying: null },
    ]);
    expect(Array.from(again[0]?.done ?? [])).toEqual([1]);
  });

  it('loses what the dead worker may still write, before and after the chunk is claimed again', async ({
    store,
  }) => {
    const { id } = await startBatch(store);
    const dead = await claimOne(store);
    await store.releaseDeadLeases(T0);
    for (const again of [false, true]) {
      if (again) expect((await claimOne(store)).epoch).toBeGreaterThan(dead.epoch);
      expect(await store.commitSegments([aSegment(dead, [0])], T0)).toEqual(['lost']);
      expect(await store.markTrying(refOf(dead), 1)).toBe('lost');
      await store.releaseChunks([refOf(dead)]);
      expect((await readBatch(store, id)).counts.completed).toBe(0);
    }
    expect(await claim(store)).toEqual([]);
  });

  it('counts every crash', async ({ store }) => {
    await startBatch(store);
    for (let crashes = 0; crashes < 4; crashes++) {
      expect(await claimOne(store)).toMatchObject({ crashes });
      await store.releaseDeadLeases(T0);
    }
  });

  it('lets a cancelled batch be finalized whose chunks a dead worker held', async ({ store }) => {
    const { id } = await startBatch(store, {}, chunksOf(2));
    await claim(store);
    await store.cancelBatch('ann', id, T0);
    await store.releaseDeadLeases(T0);
    expect(await store.findStoppedBatches('worker')).toEqual([]);
    expect(await claimStepOf(store, id)).toMatchObject({ step: 'finalize' });
  });

  it('counts freed chunks no more as claimed', async ({ store }) => {
    const { id } = await startBatch(store, { expiresAt: T0 + 1 }, chunksOf(3));
    await claim(store);
    await startBatch(store, { expiresAt: T0 + 2 }, chunksOf(3));
    await store.releaseDeadLeases(T0);
    const claims = await claim(store, { idleBatchesOnly: true, perModel: 1 });
    expect(claims.map(({ batch }) => batch.id)).toContain(id);
    expect(claims).toHaveLength(2);
  });

  it('leaves what nobody held as it was', async ({ store }) => {
    const { id } = await startBatch(store);
    const ended = await batchIn(store, 'completed');
    const before = await readBatch(store, id);
    await store.releaseDeadLeases(T0);
    expect(await store.getBatch('ann', id)).toEqual(before);
    expect(await store.getBatch('ann', ended.id)).toEqual(ended);
    expect(await claimOne(store)).toMatchObject({ epoch: 1, crashes: 0 });
  });
}

function describeDeliveries(it: StoreIt): void {
  it('frees held deliveries, uncounted, and loses what their dead worker may still settle', async ({
    store,
  }) => {
    const batch = await createBatch(store);
    const other = await createBatch(store);
    await store.failBatch(
      failOf(await claimStepOf(store, batch.id), { event: anEvent(batch, 'batch.failed', T0, ['http://a']) }),
    );
    const [dead] = await store.claimDeliveries('dead', T0, 10);
    if (dead === undefined) throw new Error('a delivery was to be claimed');
    await store.releaseDeadLeases(T0);
    expect(await store.settleDelivery(dead.id, dead.epoch, T0, { kind: 'delivered', statusCode: 200 })).toBe(
      'lost',
    );
    const [again] = await store.claimDeliveries('worker', T0, 10);
    expect(again).toMatchObject({ id: dead.id, attempts: 0 });
    expect(again?.epoch).toBeGreaterThan(dead.epoch);
    expect(await store.getBatch('ann', other.id)).toEqual(other);
  });
}
