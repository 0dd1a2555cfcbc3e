import { describe, expect } from 'vitest';
import { newOwner } from '../../src/engine/owners/owner.ts';
import type { Owner, OwnerField } from '../../src/engine/owners/owner.ts';
import { anApiKey, aFile, anOwner, hashOf } from '../helpers/store-fixtures.ts';
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

    it('are set in part, each answered as it is then: changes of different things at once all last', async ({
      store,
    }) => {
      const part = (fields: Partial<Owner>, only: readonly OwnerField[]) =>
        store.putOwner({ ...newOwner('ann'), ...fields }, only);
      // Nothing was set before: what is not named is as given.
      expect(await part({ weight: 3 }, ['weight'])).toEqual(anOwner({ name: 'ann', weight: 3 }));
      await Promise.all([
        part({ requestsPerMinute: 60 }, ['requestsPerMinute']),
        part({ maxStoredBytes: 2 ** 40 }, ['maxStoredBytes']),
        part({ maxQueuedLines: 1000, maxLiveBatches: 5 }, ['maxQueuedLines', 'maxLiveBatches']),
      ]);
      expect(await store.getOwner('ann')).toEqual(ANN);
      expect(await part({}, ['maxQueuedLines'])).toEqual({ ...ANN, maxQueuedLines: null });
    });

    it('are listed by name: those that were set, that have keys, and that have something stored', async ({
      store,
    }) => {
      await store.putOwner(newOwner('b'));
      await store.insertApiKey(anApiKey({ owner: 'd' }), hashOf('1'));
      await store.insertApiKey(anApiKey({ owner: 'd' }), hashOf('2'));
      await store.insertApiKey(anApiKey({ owner: 'a', revokedAt: 1 }), hashOf('3'));
      await store.insertFile(aFile({ owner: 'C' }));
      await store.insertFile(aFile({ owner: 'b' }));
      await store.insertFile(aFile({ owner: 'e', blob: { key: '0'.repeat(64), bytes: 0 } }));
      const list = (limit: number, after?: string) => store.listOwnerNames({ limit, after });
      expect(await list(4)).toEqual({ data: ['C', 'a', 'b', 'd'], hasMore: false });
      expect(await list(3)).toEqual({ data: ['C', 'a', 'b'], hasMore: true });
      expect(await list(3, 'b')).toEqual({ data: ['d'], hasMore: false });
      expect(await list(1, 'aa')).toEqual({ data: ['b'], hasMore: true });
      expect(await list(1, 'z')).toEqual({ data: [], hasMore: false });
    });
  });
}
