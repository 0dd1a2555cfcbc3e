import { describe, expect, it } from 'vitest';
import { createMemoryStorage } from '../../../src/adapters/memory/index.ts';
import type { Store } from '../../../src/engine/index.ts';
import { createOwnerBook } from '../../../src/engine/owners/owner-book.ts';
import { newOwner, NO_LIMITS } from '../../../src/engine/owners/owner.ts';
import type { OwnerLimits } from '../../../src/engine/owners/owner.ts';
import { createFakeClock } from '../../helpers/fake-clock.ts';

function openBook(settings: OwnerLimits = NO_LIMITS, verbs: (store: Store) => Partial<Store> = () => ({})) {
  const { store } = createMemoryStorage();
  const clock = createFakeClock();
  let reads = 0;
  const counted: Store = {
    ...store,
    async getOwner(name) {
      reads++;
      return await store.getOwner(name);
    },
  };
  const book = createOwnerBook({ store: { ...counted, ...verbs(counted) }, clock, settings });
  return { book, store, clock, reads: () => reads };
}

describe('the book of owners', () => {
  it('answers an owner for whom nothing was set, with the limits of the settings', async () => {
    const { book } = openBook({ ...NO_LIMITS, requestsPerMinute: 60, maxLiveBatches: 5 });
    expect(await book.get('ann')).toEqual(newOwner('ann'));
    expect(await book.limits('ann')).toEqual({ ...NO_LIMITS, requestsPerMinute: 60, maxLiveBatches: 5 });
    await book.change('ann', { requestsPerMinute: 7, maxLiveBatches: 0 });
    expect(await book.limits('ann')).toEqual({ ...NO_LIMITS, requestsPerMinute: 7, maxLiveBatches: 0 });
  });

  it('reads an owner once in five seconds', async () => {
    const { book, store, clock, reads } = openBook();
    await Promise.all([book.get('ann'), book.limits('ann')]);
    expect(reads()).toBe(1);
    await store.putOwner({ ...newOwner('ann'), weight: 3 });
    clock.advance(4999);
    expect((await book.get('ann')).weight).toBe(1);
    clock.advance(1);
    expect((await book.get('ann')).weight).toBe(3);
    expect(reads()).toBe(2);
    // A wall clock that is set makes nothing old, or young for ever.
    clock.setWall(0);
    await book.get('ann');
    expect(reads()).toBe(2);
  });

  it('knows a change at once, also over a read that began before it', async () => {
    const begun = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    let slow = true;
    const { book } = openBook(NO_LIMITS, (store) => ({
      async getOwner(name) {
        const owner = await store.getOwner(name);
        if (!slow) return owner;
        slow = false;
        begun.resolve();
        await goOn.promise;
        return owner;
      },
    }));
    const early = book.get('ann');
    await begun.promise;
    await book.change('ann', { weight: 9 });
    goOn.resolve();
    await early;
    expect((await book.get('ann')).weight).toBe(9);
  });

  it('keeps what two changes at once set', async () => {
    const { book, store } = openBook();
    await Promise.all([book.change('ann', { weight: 2 }), book.change('ann', { maxLiveBatches: 4 })]);
    expect(await store.getOwner('ann')).toEqual({ ...newOwner('ann'), weight: 2, maxLiveBatches: 4 });
    await book.change('ann', { weight: 3, maxLiveBatches: null, maxStoredBytes: undefined });
    expect(await store.getOwner('ann')).toEqual({ ...newOwner('ann'), weight: 3 });
  });

  it('writes nothing where nothing is changed', async () => {
    const { book, store } = openBook();
    expect(await book.change('ann', {})).toEqual(newOwner('ann'));
    expect(await store.getOwner('ann')).toBeNull();
  });

  it('does not remember a read that failed', async () => {
    let fails = true;
    const { book } = openBook(NO_LIMITS, (store) => ({
      getOwner: async (name) => (fails ? Promise.reject(new Error('EIO')) : store.getOwner(name)),
    }));
    await expect(book.get('ann')).rejects.toThrow('EIO');
    fails = false;
    expect(await book.get('ann')).toEqual(newOwner('ann'));
  });

  it('remembers ten thousand owners and no more', async () => {
    const { book, reads } = openBook();
    for (let i = 0; i <= 10_000; i++) await book.get(`owner-${i}`);
    await book.get('owner-1');
    expect(reads()).toBe(10_001);
    await book.get('owner-0');
    expect(reads()).toBe(10_002);
  });
});
