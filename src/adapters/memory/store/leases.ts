import type { Store } from '../../../engine/ports.ts';
import { soleLease } from '../../../engine/run/model-share.ts';
import type { StoreState } from './state.ts';

/** One process, hence one worker that is alive: the last one that said so. */
export function createLeaseVerbs(
  state: StoreState,
): Pick<Store, 'renewLease' | 'releaseDeadLeases' | 'takeTurn'> {
  return {
    renewLease: async (worker, demands = []) => {
      const isNew = state.liveWorker !== worker;
      state.liveWorker = worker;
      return soleLease(demands, isNew);
    },
    releaseDeadLeases: async () => releaseDeadLeases(state),
    takeTurn: async () => true,
  };
}

function releaseDeadLeases(state: StoreState): void {
  const isDead = (worker: string | null): boolean => worker !== null && worker !== state.liveWorker;
  for (const found of state.batches.values()) {
    if (isDead(found.stepWorker)) {
      found.stepWorker = null;
      found.stepEpoch++;
    }
    for (const chunk of found.chunks.values()) {
      if (!isDead(chunk.worker)) continue;
      chunk.worker = null;
      chunk.epoch++;
      chunk.crashes++;
    }
  }
  for (const found of state.deliveries.values()) {
    if (!isDead(found.worker)) continue;
    found.worker = null;
    found.delivery = { ...found.delivery, epoch: found.delivery.epoch + 1 };
  }
}
