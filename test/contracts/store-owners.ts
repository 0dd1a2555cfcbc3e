import { describe, expect } from 'vitest';
import type { Owner } from '../../src/engine/owner.ts';
import type { StoreIt } from './store-test.ts';

const ANN: Owner = {
  name: 'ann',
  weight: 3,
  requestsPerMinute: 60,
  maxStoredBytes: 2 ** 40,
  maxQueuedLines: 1000,
  maxLiveBatches: 5,
};

/** What is set for owners. */
export function describeOwners(it: StoreIt): void {
  describe('owners', () => {
    it('are kept with all that was set', async ({ store }) => {
      const bob: Owner = { ...ANN, name: 'bob', weight: 1, maxStoredBytes: null, requestsPerMinute: null };
      await store.putOwner(ANN);
      await store.putOwner(bob);
      expect(await store.getOwner('ann')).toEqual(ANN);
      expect(await store.getOwner('bob')).toEqual(bob);
      expect(await store.getOwner('eve')).toBeNull();
    });

    it('are set anew as a whole', async ({ store }) => {
      await store.putOwner(ANN);
      const unlimited: Owner = {
        name: 'ann',
        weight: 7,
        requestsPerMinute: null,
        maxStoredBytes: null,
        maxQueuedLines: null,
        maxLiveBatches: null,
      };
      await store.putOwner(unlimited);
      expect(await store.getOwner('ann')).toEqual(unlimited);
    });
  });
}
