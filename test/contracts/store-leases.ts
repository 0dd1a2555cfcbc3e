import { describe, expect } from 'vitest';
import {
  anEvent,
  aBatch,
  aSegment,
  chunksOf,
  claim,
  claimOne,
  claimStepOf,
  createBatch,
  refOf,
  startBatch,
  startOf,
  T0,
} from '../helpers/store-fixtures.ts';
import type { StoreIt } from './store-test.ts';

/** What a dead worker held. */
export function describeLeases(it: StoreIt): void {
  describe('leases of dead workers', () => {
    it('free chunks: a higher epoch, one crash each, lines done stay done', async ({ store }) => {
      await startBatch(store, {}, chunksOf(2));
      const [first] = await claim(store, { limit: 1 });
      if (first === undefined) return expect.unreachable();
      await store.commitSegments([aSegment(first.chunk, [1])], T0);
      await store.releaseDeadLeases(T0);
      const again = await claim(store);
      expect(again.map(({ chunk }) => [chunk.number, chunk.crashes])).toEqual([
        [0, 1],
        [1, 0],
      ]);
      expect(again[0]?.chunk.epoch).toBeGreaterThan(first.chunk.epoch);
      expect([...(again[0]?.chunk.done ?? [])]).toEqual([0b10]);
      await store.releaseDeadLeases(T0);
      expect((await claim(store)).map(({ chunk }) => chunk.crashes)).toEqual([2, 1]);
    });

    it('are new for a worker that says for the first time that it is alive', async ({ store }) => {
      expect((await store.renewLease('a')).isNew).toBe(true);
      expect((await store.renewLease('a')).isNew).toBe(false);
      await store.releaseDeadLeases(T0);
      expect((await store.renewLease('a')).isNew).toBe(false);
    });

    it('do not end those of a worker that says that it is alive', async ({ store }) => {
      const other = await createBatch(store, { owner: 'bob' });
      await startBatch(store, {}, chunksOf(2));
      await store.renewLease('living');
      const [mine] = await claim(store, { worker: 'living', limit: 1 });
      await claim(store, { worker: 'dead' });
      const step = await store.claimBatchStep('living', T0);
      expect(step?.batch.id).toBe(other.id);
      await store.releaseDeadLeases(T0);
      expect(await store.claimBatchStep('next', T0)).toBeNull();
      expect((await claim(store)).map(({ chunk }) => [chunk.number, chunk.crashes])).toEqual([[1, 1]]);
      if (mine === undefined) return expect.unreachable();
      expect(await store.commitSegments([aSegment(mine.chunk, [1])], T0)).toEqual(['ok']);
    });

    it('leave the deaths of the line that was being tried, counted as long as it is the same', async ({
      store,
    }) => {
      await startBatch(store);
      const claimNext = async () => {
        await store.releaseDeadLeases(T0);
        return await claimOne(store);
      };
      let chunk = await claimNext();
      expect(chunk.trying).toBeNull();
      expect(await store.markTrying(refOf(chunk), 2)).toBe('ok');
      chunk = await claimNext();
      expect(chunk.trying).toEqual({ place: 2, deaths: 1 });
      // This process dies before the line is sent again: of something else.
      chunk = await claimNext();
      expect(chunk.trying).toEqual({ place: 2, deaths: 1 });
      await store.markTrying(refOf(chunk), 2);
      chunk = await claimNext();
      expect(chunk.trying).toEqual({ place: 2, deaths: 2 });
      await store.markTrying(refOf(chunk), 3);
      chunk = await claimNext();
      expect(chunk.trying).toEqual({ place: 3, deaths: 1 });
      await store.markTrying(refOf(chunk), null);
      expect((await claimNext()).trying).toBeNull();
    });

    it('fence the dead worker’s marks', async ({ store }) => {
      await startBatch(store);
      const stale = await claimOne(store);
      await store.releaseDeadLeases(T0);
      expect(await store.markTrying(refOf(stale), 1)).toBe('lost');
      await claimOne(store);
      expect(await store.markTrying(refOf(stale), 1)).toBe('lost');
    });

    it('free steps, and fence the dead worker’s writes', async ({ store }) => {
      const { id } = await createBatch(store);
      const stale = await claimStepOf(store, id);
      await store.releaseDeadLeases(T0);
      expect(await store.startBatch(startOf(stale))).toBe('lost');
      const fresh = await claimStepOf(store, id);
      expect(await store.startBatch(startOf(stale))).toBe('lost');
      expect(await store.startBatch(startOf(fresh))).toBe('ok');
    });

    it('free deliveries without counting an attempt', async ({ store }) => {
      const batch = aBatch();
      await store.createBatch(batch, anEvent(batch, 'batch.queued', T0, ['https://a.example']));
      const [stale] = await store.claimDeliveries('dead', T0, 10);
      await store.releaseDeadLeases(T0);
      const [fresh] = await store.claimDeliveries('w', T0, 10);
      expect(fresh).toMatchObject({ id: stale?.id, attempts: 0 });
      const settle = async (epoch: number | undefined) =>
        await store.settleDelivery(fresh?.id ?? '', epoch ?? -1, T0, { kind: 'delivered', statusCode: 200 });
      expect(await settle(stale?.epoch)).toBe('lost');
      expect(await settle(fresh?.epoch)).toBe('ok');
    });

    it('leave finished chunks alone, and let a stopped batch be finalized', async ({ store }) => {
      const { id } = await startBatch(store);
      await claimOne(store);
      await store.cancelBatch('ann', id, T0);
      await store.releaseDeadLeases(T0);
      expect((await store.claimBatchStep('w', T0))?.step).toBe('finalize');
    });

    it('give a worker that is alone the whole limit of each model that it asks for', async ({ store }) => {
      const demands = [
        { model: 'org/a:1', limit: 7, held: 0 },
        { model: 'b', limit: 2, held: 0 },
      ];
      const { validMs, slots } = await store.renewLease('w', demands);
      expect(validMs).toBeGreaterThanOrEqual(10_000);
      expect(slots).toEqual([
        { model: 'org/a:1', slots: 7, share: 7 },
        { model: 'b', slots: 2, share: 2 },
      ]);
      const lower = await store.renewLease('w', [{ model: 'b', limit: 1, held: 2 }]);
      expect(lower.slots).toEqual([{ model: 'b', slots: 1, share: 1 }]);
      expect((await store.renewLease('w')).slots).toEqual([]);
    });
  });
}
