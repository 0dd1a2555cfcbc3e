/** The part of the Store port that keeps owners. */
import type { Owner } from './owner.ts';

/** Owners, each with its weight and limits. */
export interface OwnerStore {
  /** Null where nothing was set for this owner. */
  getOwner(name: string): Promise<Owner | null>;
  /** Sets all of an owner. */
  putOwner(owner: Owner): Promise<void>;
}
