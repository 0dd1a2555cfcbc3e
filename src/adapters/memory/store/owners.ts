import type { OwnerStore } from '../../../engine/owner-store.ts';
import type { StoreState } from './state.ts';

/** Owners in memory. */
export function createOwnerVerbs(state: StoreState): OwnerStore {
  return {
    getOwner: async (name) => state.owners.get(name) ?? null,
    putOwner: async (owner) => {
      state.owners.set(owner.name, owner);
    },
  };
}

/** Its share of the worker. */
export function weightOf(state: StoreState, owner: string): number {
  return state.owners.get(owner)?.weight ?? 1;
}
