import { describe, expect, it } from 'vitest';
import { shareSlots, soleLease } from '../../../src/engine/run/model-share.ts';
import type { SlotHolder } from '../../../src/engine/run/model-share.ts';

const other = (worker: string, slots: number, limit = 10): SlotHolder => ({ worker, slots, limit });
/** What `w` gets of 10, or of `limit`. */
const share = (setAside: number, held: number, others: readonly SlotHolder[], limit = 10) =>
  shareSlots('w', { limit, held }, setAside, others);

describe('sharing a model’s limit out', () => {
  it('gives all of it to a worker that is alone', () => {
    expect(share(0, 0, [])).toEqual({ setAside: 10, slots: 10, share: 10 });
  });

  it('gives equal shares, the remainder to those whose names come first', () => {
    expect(share(0, 0, [other('a', 0), other('x', 0)]).slots).toBe(3);
    expect(share(0, 0, [other('x', 0), other('y', 0)]).slots).toBe(4);
    const ranks = ['a', 'b', 'c'].map((worker, _, all) => {
      const others = all.filter((name) => name !== worker).map((name) => other(name, 0, 2));
      return shareSlots(worker, { limit: 2, held: 0 }, 0, others).share;
    });
    expect(ranks).toEqual([1, 1, 0]);
  });

  it('gives only what is free', () => {
    expect(share(0, 0, [other('a', 10)])).toEqual({ setAside: 0, slots: 0, share: 5 });
    expect(share(2, 2, [other('a', 7)])).toEqual({ setAside: 3, slots: 3, share: 5 });
  });

  it('lets a worker with more than its share use no more than that, and keeps the rest for it until it holds less', () => {
    expect(share(10, 10, [other('a', 0)])).toEqual({ setAside: 10, slots: 5, share: 5 });
    expect(share(10, 7, [other('a', 0)])).toEqual({ setAside: 7, slots: 5, share: 5 });
    expect(share(10, 5, [other('a', 0)])).toEqual({ setAside: 5, slots: 5, share: 5 });
  });

  it('does not believe a worker that it holds more than was set aside for it', () => {
    expect(share(0, 10, [other('a', 8)])).toEqual({ setAside: 2, slots: 2, share: 5 });
  });

  it('holds to the smallest of several limits', () => {
    expect(share(0, 0, [other('a', 0, 4)])).toEqual({ setAside: 2, slots: 2, share: 2 });
    expect(share(0, 0, [other('a', 5, 10)], 6)).toEqual({ setAside: 1, slots: 1, share: 3 });
    expect(share(0, 0, [other('a', 9, 10)], 6).slots).toBe(0);
  });

  it('is not needed where there is one worker: it has everything, for ever', () => {
    expect(soleLease([{ model: 'm', limit: 7, held: 0 }], false)).toEqual({
      validMs: Infinity,
      isNew: false,
      slots: [{ model: 'm', slots: 7, share: 7 }],
    });
  });
});
