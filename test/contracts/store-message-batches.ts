import { describe, expect } from 'vitest';
import type { Batch } from '../../src/engine/batches/batch.ts';
import type { Store } from '../../src/engine/ports.ts';
import {
  batchIn,
  claimStepOf,
  createBatch,
  failOf,
  finishOf,
  readBatch,
  startBatch,
  T0,
} from '../helpers/store-fixtures.ts';
import { claimDelivery, DELIVERED, insertEndpoint } from '../helpers/webhook-fixtures.ts';
import type { StoreIt } from './store-test.ts';

/** Batches of both formats side by side. */
export function describeMessageBatches(it: StoreIt): void {
  describe('batches of the format anthropic', () => {
    it('are read with all that they were created with', async ({ store }) => {
      const counts = { total: 7, completed: 0, failed: 0 };
      const batch = await createBatch(store, { format: 'anthropic', endpoint: '/v1/messages', counts });
      expect(await store.getBatch('ann', batch.id)).toEqual(batch);
    });

    it('tell their format, to their owner alone', async ({ store }) => {
      const { id } = await createBatch(store, { format: 'anthropic' });
      const other = await createBatch(store);
      expect(await store.getBatchFormat('ann', id)).toBe('anthropic');
      expect(await store.getBatchFormat('ann', other.id)).toBe('openai');
      expect(await store.getBatchFormat('bob', id)).toBeNull();
      expect(await store.getBatchFormat('ann', 'batch_unknown')).toBeNull();
    });

    it('keep the number of lines that is known when they are cancelled before they start, or fail', async ({
      store,
    }) => {
      const counts = { total: 7, completed: 0, failed: 0 };
      const cancelled = await createBatch(store, { format: 'anthropic', counts });
      await store.cancelBatch('ann', cancelled.id, T0);
      await store.finishBatch(finishOf(await claimStepOf(store, cancelled.id), 'cancelled'));
      expect(await readBatch(store, cancelled.id)).toMatchObject({ status: 'cancelled', counts });
      const failed = await createBatch(store, { format: 'anthropic', counts });
      await store.failBatch(failOf(await claimStepOf(store, failed.id)));
      expect(await readBatch(store, failed.id)).toMatchObject({ status: 'failed', counts });
    });

    it('tell how many of their failed lines were not finished', async ({ store }) => {
      const { id } = await startBatch(store, { format: 'anthropic' });
      await store.cancelBatch('ann', id, T0);
      const counts = { total: 4, completed: 1, failed: 3 };
      await store.finishBatch(finishOf(await claimStepOf(store, id), 'cancelled', { counts, unfinished: 2 }));
      expect(await readBatch(store, id)).toMatchObject({ counts, unfinished: 2 });
    });

    it('tell their format with each of their events and deliveries, also when they are deleted', async ({
      store,
    }) => {
      const endpoint = await insertEndpoint(store, { eventTypes: ['batch.failed'] });
      const { id } = await createBatch(store, { format: 'anthropic' });
      const failure = failOf(await claimStepOf(store, id));
      await store.failBatch(failure);
      const events = await store.readBatchEvents(id);
      expect(events.map(({ format }) => format)).toEqual(['anthropic', 'anthropic']);
      await store.deleteBatch('ann', id);
      const { event } = failure.event;
      expect(event.format).toBe('anthropic');
      const listed = await store.listDeliveries('ann', endpoint.id, undefined, 10);
      expect(listed?.data.map((delivery) => delivery.event)).toEqual([event]);
      const delivery = await claimDelivery(store);
      expect(delivery.event).toEqual(event);
      await store.settleDelivery(delivery.id, delivery.epoch, T0, DELIVERED);
      const replayed = await store.replayDelivery('ann', endpoint.id, delivery.id, T0);
      expect(replayed).toMatchObject({ kind: 'ok', delivery: { event } });
    });

    it('stand in a list of their own, and are no place in the other one', async ({ store }) => {
      const [a, , b] = [await message(store), await createBatch(store), await message(store)];
      await message(store, { owner: 'bob' });
      const openai = (await store.listBatches('ann', undefined, 10))?.data.map(({ format }) => format);
      expect(openai).toEqual(['openai']);
      const anthropic = await store.listBatches('ann', undefined, 10, 'anthropic');
      expect(idsOf(anthropic)).toEqual([b, a]);
      expect(await store.listBatches('ann', a, 10)).toBeNull();
      expect(await store.listBatchesBefore('ann', a, 10, 'openai')).toBeNull();
    });

    describeBackwards(it);
  });
}

function describeBackwards(it: StoreIt): void {
  it('are paged backwards to the newest, also where times are equal', async ({ store }) => {
    const ids: string[] = [];
    for (let i = 0; i < 20; i++) ids.unshift(await message(store, { createdAt: T0 + Math.floor(i / 7) }));
    await createBatch(store, { createdAt: T0 + 1 });
    const seen: string[] = [];
    for (let before = ids.at(-1) ?? ''; ;) {
      const page = await store.listBatchesBefore('ann', before, 6, 'anthropic');
      if (page === null) return expect.unreachable();
      seen.unshift(...page.data.map(({ id }) => id));
      if (!page.hasMore) break;
      expect(page.data).toHaveLength(6);
      before = page.data[0]?.id ?? '';
    }
    expect(seen).toEqual(ids.slice(0, -1));
    expect(await store.listBatchesBefore('ann', ids[0] ?? '', 6, 'anthropic')).toEqual({
      data: [],
      hasMore: false,
    });
  });

  it('show their counts as of now when they are paged backwards', async ({ store }) => {
    const { id } = await batchIn(store, 'in_progress');
    const oldest = (await createBatch(store, { createdAt: T0 - 1 })).id;
    const page = await store.listBatchesBefore('ann', oldest, 10, 'openai');
    expect(page?.data).toEqual([await readBatch(store, id)]);
  });

  it('answer null for a place that is unknown or another owner’s', async ({ store }) => {
    const foreign = await message(store, { owner: 'bob' });
    expect(await store.listBatchesBefore('ann', foreign, 10, 'anthropic')).toBeNull();
    expect(await store.listBatchesBefore('ann', 'batch_unknown', 10, 'anthropic')).toBeNull();
  });
}

async function message(store: Store, fields: Partial<Batch> = {}): Promise<string> {
  return (await createBatch(store, { format: 'anthropic', ...fields })).id;
}

function idsOf(page: { readonly data: readonly Batch[] } | null): string[] | undefined {
  return page?.data.map(({ id }) => id);
}
