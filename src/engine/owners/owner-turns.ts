/** Whose turn it is among owners that have work: shares by weight, of whatever is shared out. */

/** An owner with work, and what it holds already of what is shared out. */
export interface OwnerShare {
  readonly owner: string;
  readonly weight: number;
  readonly held: number;
}

/** Sharing out piece by piece, among the owners that had work when it began. */
export interface OwnerRound {
  /**
   * Whose turn it is: the owner's that holds the least for its weight; owners that hold as little take turns. Priorities and
   * deadlines, which clients choose, do not decide between owners. Null: nobody has work left.
   */
  next(): string | null;
  /** It took a piece. */
  took(owner: string): void;
  /** It has none left. */
  drop(owner: string): void;
}

export interface OwnerTurns {
  /** `shares` come in the order of names. */
  startRound(shares: readonly OwnerShare[]): OwnerRound;
}

/** Remembers whose turn it was last, so that with less to share out than there are owners none is left out. */
export function createOwnerTurns(): OwnerTurns {
  let last = '';
  return {
    startRound(shares) {
      const turns = shares.map(({ owner, weight, held }) => ({ owner, weight, held }));
      const placeOf = (owner: string): number => turns.findIndex((turn) => turn.owner === owner);
      return {
        next: () => turns[findTurn(turns, last)]?.owner ?? null,
        took(owner) {
          const turn = turns[placeOf(owner)];
          if (turn !== undefined) turn.held++;
          last = owner;
        },
        drop(owner) {
          turns.splice(placeOf(owner), 1);
        },
      };
    },
  };
}

/** Takes the next piece of a round: `findNext` answers an owner's, and null where it has none left. Null: nobody has. */
export function takeNext<Work>(round: OwnerRound, findNext: (owner: string) => Work | null): Work | null {
  for (let owner = round.next(); owner !== null; owner = round.next()) {
    const work = findNext(owner);
    if (work !== null) {
      round.took(owner);
      return work;
    }
    round.drop(owner);
  }
  return null;
}

/** Of those with the least the first after `last`, or else the first. */
function findTurn(turns: readonly OwnerShare[], last: string): number {
  let best = 0;
  turns.forEach((turn, at) => {
    const first = turns[best] as OwnerShare;
    const difference = turn.held * first.weight - first.held * turn.weight;
    if (difference < 0 || (difference === 0 && first.owner <= last && turn.owner > last)) best = at;
  });
  return best;
}
