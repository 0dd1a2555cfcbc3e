import type { OwnerShare } from '../../../engine/owner-turns.ts';
import type { OwnerStore } from '../../../engine/owner-store.ts';
import type { BatchState, StoreState } from './state.ts';

/** Owners in memory. */
export function createOwnerVerbs(state: StoreState): OwnerStore {
  return {
    getOwner: async (name) => state.owners.get(name) ?? null,
    putOwner: async (owner) => {
      state.owners.set(owner.name, owner);
    },
  };
}

/** An owner's share of the worker. */
export function weightOf(state: StoreState, owner: string): number {
  return state.owners.get(owner)?.weight ?? 1;
}

/** The shares of the owners of these batches, by name; `heldOf` answers what counts of each batch, be it among these or not. */
export function sharesOf(
  state: StoreState,
  batches: readonly BatchState[],
  heldOf: (batch: BatchState) => number,
): OwnerShare[] {
  const owners = new Set(batches.map(({ batch }) => batch.owner));
  return [...owners].toSorted().map((owner) => {
    const own = [...state.batches.values()].filter(({ batch }) => batch.owner === owner);
    return {
      owner,
      weight: weightOf(state, owner),
      held: own.reduce((sum, found) => sum + heldOf(found), 0),
    };
  });
}
