/** Whose turn it is among owners that have work: shares by weight, of whatever is shared out. */

/** An owner with work, and what it holds already of what is shared out. */
export interface OwnerShare {
  readonly owner: string;
  readonly weight: number;
  readonly held: number;
}

export interface OwnerTurns {
  /**
   * Answers how to take the next piece of work, or null where none is left: of the owner that holds the least for its weight;
   * owners that hold as little take turns. Priorities and deadlines, which clients choose, do not decide between owners.
   * `shares` come in the order of names; `findNext` answers an owner's next piece, and null once it has none in this round.
   */
  startRound<Work>(
    shares: readonly OwnerShare[],
    findNext: (owner: string) => Work | null,
  ): () => Work | null;
}

/** Remembers whose turn it was last, so that with less to share out than there are owners none is left out. */
export function createOwnerTurns(): OwnerTurns {
  let last = '';
  return {
    startRound(shares, findNext) {
      const turns = shares.map(({ owner, weight, held }) => ({ owner, weight, held }));
      return () => {
        while (turns.length > 0) {
          const at = findTurn(turns, last);
          const turn = turns[at] as OwnerShare & { held: number };
          const work = findNext(turn.owner);
          if (work !== null) {
            turn.held++;
            last = turn.owner;
            return work;
          }
          turns.splice(at, 1);
        }
        return null;
      };
    },
  };
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
