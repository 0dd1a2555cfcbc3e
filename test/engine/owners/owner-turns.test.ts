import { describe, expect, it } from 'vitest';
import { createOwnerTurns, takeNext } from '../../../src/engine/owners/owner-turns.ts';
import type { OwnerShare, OwnerTurns } from '../../../src/engine/owners/owner-turns.ts';

/** A round of owners whose work are these names. */
function roundOf(
  work: Readonly<Record<string, readonly string[]>>,
  { turns = createOwnerTurns(), shares = [] }: { turns?: OwnerTurns; shares?: Partial<OwnerShare>[] } = {},
) {
  const left = new Map(Object.entries(work).map(([owner, names]) => [owner, [...names]]));
  const looks: string[] = [];
  const round = turns.startRound(
    Object.keys(work).map((owner) => {
      return { owner, weight: 1, held: 0, ...shares.find((share) => share.owner === owner) };
    }),
  );
  const take = () =>
    takeNext(round, (owner) => {
      looks.push(owner);
      return left.get(owner)?.shift() ?? null;
    });
  const takeAll = (): string[] => {
    const names: string[] = [];
    for (let next = take(); next !== null; next = take()) names.push(next);
    return names;
  };
  return { take, takeAll, looks };
}

describe('turns of owners', () => {
  it('are none without owners, or without work', () => {
    expect(roundOf({}).takeAll()).toEqual([]);
    expect(roundOf({ a: [], b: [] }).takeAll()).toEqual([]);
  });

  it('alternate between owners, and go on with those that have work left', () => {
    const { takeAll } = roundOf({ a: ['a1', 'a2', 'a3', 'a4'], b: ['b1'], c: ['c1', 'c2'] });
    expect(takeAll()).toEqual(['a1', 'b1', 'c1', 'a2', 'c2', 'a3', 'a4']);
  });

  it('count what is held already, for the weight of each', () => {
    const shares = [
      { owner: 'a', held: 2 },
      { owner: 'b', weight: 2, held: 1 },
    ];
    const { takeAll } = roundOf({ a: ['a1', 'a2'], b: ['b1', 'b2', 'b3', 'b4', 'b5'] }, { shares });
    expect(takeAll()).toEqual(['b1', 'b2', 'b3', 'a1', 'b4', 'b5', 'a2']);
  });

  it('look for work no more often than it is taken, and once more of each owner', () => {
    const { takeAll, looks } = roundOf({ a: ['a1', 'a2'], b: ['b1'] });
    takeAll();
    expect(looks.toSorted()).toEqual(['a', 'a', 'a', 'b', 'b']);
  });

  it('go on in the next round with the owner after the last one', () => {
    const turns = createOwnerTurns();
    const work = { a: ['a'], b: ['b'], c: ['c'] };
    const order = Array.from({ length: 5 }, () => roundOf(work, { turns }).take());
    expect(order).toEqual(['a', 'b', 'c', 'a', 'b']);
    const one = { a: ['a'], c: ['c'] };
    expect([roundOf(one, { turns }).take(), roundOf(one, { turns }).take()]).toEqual(['c', 'a']);
  });
});
