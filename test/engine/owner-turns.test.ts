import { describe, expect, it } from 'vitest';
import { createOwnerTurns } from '../../src/engine/owner-turns.ts';
import type { OwnerShare, Piece } from '../../src/engine/owner-turns.ts';

interface Work extends Piece {
  readonly name: string;
}

/** Turns of owners whose work are these names, with deadlines by place. */
function turnsOf(work: Readonly<Record<string, readonly string[]>>, shares: Partial<OwnerShare>[] = []) {
  const left = new Map(Object.entries(work).map(([owner, names]) => [owner, [...names]]));
  const all = Object.values(work).flat();
  const looks: string[] = [];
  const take = createOwnerTurns<Work>(
    Object.keys(work).map((owner) => {
      return { owner, weight: 1, held: 0, ...shares.find((share) => share.owner === owner) };
    }),
    (owner) => {
      looks.push(owner);
      const name = left.get(owner)?.shift();
      return name === undefined ? null : { name, expiresAt: all.indexOf(name), seq: 0 };
    },
  );
  const takeAll = (): string[] => {
    const names: string[] = [];
    for (let next = take(); next !== null; next = take()) names.push(next.name);
    return names;
  };
  return { takeAll, looks };
}

describe('turns of owners', () => {
  it('are none without owners, or without work', () => {
    expect(turnsOf({}).takeAll()).toEqual([]);
    expect(turnsOf({ a: [], b: [] }).takeAll()).toEqual([]);
  });

  it('alternate between owners, and go on with those that have work left', () => {
    const { takeAll } = turnsOf({ a: ['a1', 'a2', 'a3', 'a4'], b: ['b1'], c: ['c1', 'c2'] });
    expect(takeAll()).toEqual(['a1', 'b1', 'c1', 'a2', 'c2', 'a3', 'a4']);
  });

  it('count what is held already, for the weight of each', () => {
    const shares = [
      { owner: 'a', held: 2 },
      { owner: 'b', weight: 2, held: 1 },
    ];
    const { takeAll } = turnsOf({ a: ['a1', 'a2'], b: ['b1', 'b2', 'b3', 'b4', 'b5'] }, shares);
    expect(takeAll()).toEqual(['b1', 'b2', 'b3', 'a1', 'b4', 'b5', 'a2']);
  });

  it('look for the work of an owner no more often than it is taken', () => {
    const { takeAll, looks } = turnsOf({ a: ['a1', 'a2'], b: ['b1'] });
    takeAll();
    expect(looks.toSorted()).toEqual(['a', 'a', 'a', 'b', 'b']);
  });

  it('let the order of insertion decide between equal deadlines', () => {
    const pieces = new Map([
      ['a', { expiresAt: 5, seq: 2 }],
      ['b', { expiresAt: 5, seq: 1 }],
    ]);
    const shares = ['a', 'b'].map((owner) => ({ owner, weight: 1, held: 0 }));
    const take = createOwnerTurns(shares, (owner) => pieces.get(owner) ?? null);
    expect(take()).toEqual({ expiresAt: 5, seq: 1 });
  });
});
