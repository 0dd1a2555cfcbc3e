import { describe, expect, it } from 'vitest';
import { HandleCache } from '../../src/adapters/disk/handle-cache.ts';

/** A cache of things that write down what becomes of them. */
function openCache(max: number) {
  const steps: string[] = [];
  const closing = Promise.withResolvers<void>();
  const cache = new HandleCache({
    max,
    async open(key: string) {
      steps.push(`open ${key}`);
      return {
        key,
        async close() {
          await closing.promise;
          steps.push(`close ${key}`);
        },
      };
    },
  });
  return { cache, steps, letClose: () => closing.resolve() };
}

const touch = async (): Promise<void> => {};

describe('the cache of open handles', () => {
  it('opens once what is used at once and again', async () => {
    const { cache, steps } = openCache(2);
    await Promise.all([cache.use('a', touch), cache.use('a', touch)]);
    await cache.use('a', touch);
    expect(steps).toEqual(['open a']);
  });

  it('closes what was not used for the longest', async () => {
    const { cache, steps, letClose } = openCache(2);
    letClose();
    for (const key of ['a', 'b', 'a', 'c']) await cache.use(key, touch);
    await expect.poll(() => steps).toEqual(['open a', 'open b', 'open c', 'close b']);
    await cache.use('a', touch);
    expect(steps).not.toContain('close a');
  });

  it('never sets aside what is in use, so that there are no two of one key', async () => {
    const { cache, steps, letClose } = openCache(1);
    letClose();
    const under = Promise.withResolvers<void>();
    const long = cache.use('a', () => under.promise);
    await cache.use('b', touch);
    await cache.use('a', touch);
    expect(steps.filter((step) => step === 'open a')).toHaveLength(1);
    under.resolve();
    await long;
    await cache.close();
    expect(steps.toSorted()).toEqual(['close a', 'close b', 'open a', 'open b']);
  });

  it('retires a key when its users are done and it is closed, not before', async () => {
    const { cache, steps, letClose } = openCache(2);
    const under = Promise.withResolvers<void>();
    const long = cache.use('a', () => under.promise);
    const retired = cache.retire('a').then(() => steps.push('retired'));
    under.resolve();
    await long;
    await cache.use('a', touch);
    expect(steps).toEqual(['open a', 'open a']);
    letClose();
    await retired;
    expect(steps).toEqual(['open a', 'open a', 'close a', 'retired']);
    await cache.retire('unknown');
  });

  it('is closed when all is closed, also what was set aside before', async () => {
    const { cache, steps, letClose } = openCache(1);
    await cache.use('a', touch);
    await cache.use('b', touch);
    const closed = cache.close().then(() => steps.push('closed'));
    await expect(cache.use('c', touch)).rejects.toThrow(/after it was closed/);
    letClose();
    await closed;
    expect(steps).toEqual(['open a', 'open b', 'close a', 'close b', 'closed']);
  });

  it('does not use again what a user failed with, and keeps its successor when another user fails', async () => {
    const { cache, steps, letClose } = openCache(2);
    letClose();
    const under = Promise.withResolvers<void>();
    const slow = cache.use('a', () => under.promise);
    await expect(cache.use('a', () => Promise.reject(new Error('first')))).rejects.toThrow('first');
    await cache.use('a', touch);
    under.reject(new Error('second'));
    await expect(slow).rejects.toThrow('second');
    await cache.use('a', touch);
    expect(steps.filter((step) => step === 'open a')).toHaveLength(2);
    await cache.close();
    expect(steps.filter((step) => step === 'close a')).toHaveLength(2);
  });

  it('tries again after what could not be opened', async () => {
    let attempts = 0;
    const cache = new HandleCache({
      max: 1,
      async open() {
        attempts++;
        if (attempts === 1) throw new Error('not now');
        return { close: touch };
      },
    });
    await expect(cache.use('a', touch)).rejects.toThrow('not now');
    await cache.use('a', touch);
    await cache.close();
    expect(attempts).toBe(2);
  });
});
