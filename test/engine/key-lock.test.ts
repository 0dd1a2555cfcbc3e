import { describe, expect, it } from 'vitest';
import { KeyLock } from '../../src/engine/key-lock.ts';

describe('the lock of a blob', () => {
  it('runs sections for the same blob one after another, also after a failure', async () => {
    const lock = new KeyLock();
    const steps: string[] = [];
    const section = (name: string, fails = false) =>
      lock.run('hash', async () => {
        steps.push(`${name} begins`);
        await Promise.resolve();
        steps.push(`${name} ends`);
        if (fails) throw new Error(name);
        return name;
      });
    const [first, second] = await Promise.allSettled([section('a', true), section('b')]);
    expect(steps).toEqual(['a begins', 'a ends', 'b begins', 'b ends']);
    expect(first.status).toBe('rejected');
    expect(second).toEqual({ status: 'fulfilled', value: 'b' });
  });

  it('lets sections for different blobs run side by side', async () => {
    const lock = new KeyLock();
    let release = (): void => {};
    const blocked = lock.run('one', () => new Promise<void>((resolve) => (release = resolve)));
    await lock.run('two', async () => {});
    release();
    await blocked;
  });
});
