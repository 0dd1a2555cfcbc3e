import { isTerminal } from '../../../engine/batch.ts';
import type { DeleteBatchStore } from '../../../engine/delete-batch-store.ts';
import { findBatch } from './state.ts';
import type { StoreState } from './state.ts';

export function createDeleteBatchVerb(state: StoreState): DeleteBatchStore {
  return {
    async deleteBatch(owner, id) {
      const found = findBatch(state, owner, id);
      if (found === undefined) return { kind: 'missing' };
      if (!isTerminal(found.batch.status)) return { kind: 'live', status: found.batch.status };
      for (const [eventId, { record, deliveries }] of state.events) {
        if (record.batchId !== id || deliveries.some((delivery) => delivery.state === 'pending')) continue;
        state.events.delete(eventId);
        for (const { delivery } of deliveries) state.deliveries.delete(delivery.id);
      }
      state.batches.delete(id);
      return { kind: 'deleted' };
    },
  };
}
