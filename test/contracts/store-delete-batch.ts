import { describe, expect } from 'vitest';
import {
  aBatch,
  aFile,
  anEvent,
  batchIn,
  claimStepOf,
  failOf,
  finishOf,
  readBatch,
  startBatch,
  T0,
} from '../helpers/store-fixtures.ts';
import type { StoreIt } from './store-test.ts';

/** Removal of ended batches. */
export function describeDeleteBatch(it: StoreIt): void {
  describe('deleting a batch', () => {
    for (const status of ['completed', 'failed', 'expired', 'cancelled'] as const) {
      it(`removes one that is ${status}, with its events`, async ({ store }) => {
        const { id } = await batchIn(store, status);
        expect(await store.deleteBatch('ann', id)).toEqual({ kind: 'deleted' });
        expect(await store.getBatch('ann', id)).toBeNull();
        expect(await store.listBatches('ann', undefined, 10)).toEqual({ data: [], hasMore: false });
        expect(await store.readBatchEvents(id)).toEqual([]);
        expect(await store.deleteBatch('ann', id)).toEqual({ kind: 'missing' });
      });
    }

    for (const state of ['validating', 'in_progress', 'finalizing as completed', 'cancelling'] as const) {
      it(`is refused for one that is ${state}`, async ({ store }) => {
        const before = await batchIn(store, state);
        const [status] = state.split(' ');
        expect(await store.deleteBatch('ann', before.id)).toEqual({ kind: 'live', status });
        expect(await readBatch(store, before.id)).toEqual(before);
      });
    }

    it('does not know another owner’s batch', async ({ store }) => {
      const { id } = await batchIn(store, 'completed');
      expect(await store.deleteBatch('bob', id)).toEqual({ kind: 'missing' });
      expect(await store.getBatch('ann', id)).not.toBeNull();
    });

    it('leaves its files', async ({ store }) => {
      const { id } = await startBatch(store);
      await store.cancelBatch('ann', id, T0);
      const outputFile = aFile({ purpose: 'batch_output' });
      await store.finishBatch(finishOf(await claimStepOf(store, id), 'cancelled', { outputFile }));
      await store.deleteBatch('ann', id);
      expect(await store.getFile('ann', outputFile.id, T0)).toEqual(outputFile);
    });

    it('keeps what is still to be delivered, until that is settled and old', async ({ store }) => {
      const batch = aBatch();
      await store.createBatch(batch, anEvent(batch, 'batch.queued', T0));
      const event = anEvent(batch, 'batch.failed', T0, ['http://a']);
      await store.failBatch(failOf(await claimStepOf(store, batch.id), { event }));
      await store.deleteBatch('ann', batch.id);
      expect((await store.readBatchEvents(batch.id)).map(({ id }) => id)).toEqual([event.event.id]);
      const [delivery] = await store.claimDeliveries('worker', T0, 10);
      if (delivery === undefined) return expect.unreachable();
      const delivered = { kind: 'delivered', statusCode: 200 } as const;
      expect(await store.settleDelivery(delivery.id, delivery.epoch, T0, delivered)).toBe('ok');
      expect(await store.purgeEvents(T0 + 1)).toBe(1);
    });
  });
}
