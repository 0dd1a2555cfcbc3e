import { changedOwner, OWNER_FIELDS } from '../../../engine/owners/owner.ts';
import type { OwnerShare } from '../../../engine/owners/owner-turns.ts';
import type { OwnerStore } from '../../../engine/owners/owner-store.ts';
import { page } from './files.ts';
import { storedBytesOf, usageOf } from './owner-usage.ts';
import type { BatchState, StoreState } from './state.ts';

/** Owners in memory. */
export function createOwnerVerbs(state: StoreState): OwnerStore {
  return {
    getOwner: async (name) => state.owners.get(name) ?? null,
    async putOwner(owner, only = OWNER_FIELDS) {
      const changed = changedOwner(state.owners.get(owner.name) ?? owner, owner, only);
      state.owners.set(owner.name, changed);
      return changed;
    },
    async listOwnerNames({ after = '', limit }) {
      const uploads = [...state.uploads.values()].map(({ upload }) => upload);
      const storers = new Set([...state.files.values(), ...uploads].map(({ owner }) => owner));
      const stored = [...storers].filter((owner) => storedBytesOf(state, owner) > 0);
      const keys = [...state.apiKeys.values()].map(({ key }) => key.owner);
      const names = [...new Set([...state.owners.keys(), ...stored, ...keys])];
      const sorted = names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      return page(
        sorted.filter((name) => Buffer.compare(Buffer.from(name), Buffer.from(after)) > 0),
        limit,
      );
    },
    readOwnerUsage: async (name) => usageOf(state, name),
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
