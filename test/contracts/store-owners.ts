import { describe, expect } from 'vitest';
import { anOwner } from '../helpers/store-fixtures.ts';
import type { StoreIt } from './store-test.ts';

const ANN = anOwner({
  name: 'ann',
  weight: 3,
  requestsPerMinute: 60,
  maxStoredBytes: 2 ** 40,
  maxQueuedLines: 1000,
  maxLiveBatches: 5,
});

/** What is set for owners. */
export function describeOwners(it: StoreIt): void {
  describe('owners', () => {
    it('are kept with all that was set', async ({ store }) => {
      const bob = anOwner({ name: 'bob', maxQueuedLines: 5 });
      await store.putOwner(ANN);
      await store.putOwner(bob);
      expect(await store.getOwner('ann')).toEqual(ANN);
      expect(await store.getOwner('bob')).toEqual(bob);
      expect(await store.getOwner('eve')).toBeNull();
    });

    it('are set anew as a whole', async ({ store }) => {
      await store.putOwner(ANN);
      const unlimited = anOwner({ name: 'ann', weight: 7 });
      await store.putOwner(unlimited);
      expect(await store.getOwner('ann')).toEqual(unlimited);
    });
  });
}
