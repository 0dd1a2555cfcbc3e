import type { MessageBatchStore } from '../../../engine/batches/message-batch-store.ts';
import { oldestFirst } from './batches.ts';
import { page } from './files.ts';
import { findBatch, liveBatch } from './state.ts';
import type { StoreState } from './state.ts';

export function createMessageBatchVerbs(state: StoreState): MessageBatchStore {
  return {
    getBatchFormat: async (owner, id) => findBatch(state, owner, id)?.batch.format ?? null,
    async listBatchesBefore(owner, before, limit, format) {
      const batches = oldestFirst(state, owner, format);
      const at = batches.findIndex(({ batch }) => batch.id === before);
      if (at === -1) return null;
      const { data, hasMore } = page(batches.slice(at + 1), limit);
      return { data: data.toReversed().map(liveBatch), hasMore };
    },
  };
}
