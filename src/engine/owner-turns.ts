/** Whose turn it is among owners that have work: shares by weight, of whatever is shared out. */

/** An owner with work, and what it holds already of what is shared out. */
export interface OwnerShare {
  readonly owner: string;
  readonly weight: number;
  readonly held: number;
}

/** The next piece of an owner's work. */
export interface Piece {
  /** When its batch ends, whatever is done of it; milliseconds. */
  readonly expiresAt: number;
  /** Decides between equal times. */
  readonly seq: number;
}

interface Turn<Work> {
  readonly share: OwnerShare;
  held: number;
  /** Undefined: not looked for since the last one was taken. */
  next: Work | null | undefined;
}

/**
 * Answers how to take the next piece of work, or null where none is left: of the owner that holds the least for its weight;
 * among those of the one whose next piece is nearest to its deadline. Priorities, which clients choose, must not decide
 * between owners. `findNext` answers an owner's next piece, and null once there will be none in this round.
 */
export function createOwnerTurns<Work extends Piece>(
  shares: readonly OwnerShare[],
  findNext: (owner: string) => Work | null,
): () => Work | null {
  const turns: Turn<Work>[] = shares.map((share) => ({ share, held: share.held, next: undefined }));
  return () => {
    for (;;) {
      const least = Math.min(...turns.map(loadOf));
      let first: Turn<Work> | null = null;
      for (const turn of turns) {
        if (loadOf(turn) !== least) continue;
        if (turn.next === undefined) turn.next = findNext(turn.share.owner);
        if (first === null || isNearer(turn.next, first.next)) first = turn;
      }
      if (first === null) return null;
      const { next } = first;
      if (next != null) {
        first.held++;
        first.next = undefined;
        return next;
      }
      // None of those with the least has any left.
      dropIdle(turns);
    }
  };
}

function loadOf({ share, held }: Turn<unknown>): number {
  return held / share.weight;
}

function isNearer(a: Piece | null | undefined, b: Piece | null | undefined): boolean {
  if (a == null || b == null) return a != null;
  return a.expiresAt !== b.expiresAt ? a.expiresAt < b.expiresAt : a.seq < b.seq;
}

function dropIdle(turns: Turn<unknown>[]): void {
  turns.splice(0, turns.length, ...turns.filter(({ next }) => next !== null));
}
