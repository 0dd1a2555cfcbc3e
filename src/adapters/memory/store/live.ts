import type { LiveStore } from '../../../engine/batches/live-store.ts';
import type { StoreState } from './state.ts';

export function createLiveVerbs(state: StoreState): LiveStore {
  return {
    async readSegmentsAfter(batchId, afterSeq, limit) {
      const chunks = [...(state.batches.get(batchId)?.chunks.values() ?? [])];
      return chunks
        .flatMap(({ segments }) => segments)
        .filter(({ seq }) => seq > afterSeq)
        .toSorted((a, b) => a.seq - b.seq)
        .slice(0, limit)
        .map(({ seq, logPosition, lines }) => ({ seq, logPosition, lines }));
    },
    async readBatchEvents(batchId) {
      return [...state.events.values()]
        .map(({ record }) => record)
        .filter((event) => event.batchId === batchId);
    },
  };
}
