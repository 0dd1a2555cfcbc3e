/** The part of the Store port that keeps owners. */
import type { Owner, OwnerField, OwnerUsage } from './owner.ts';
import type { Page } from '../page.ts';

export interface OwnerQuery {
  /** Names that come after this one; it need not be an owner's. */
  readonly after?: string | undefined;
  readonly limit: number;
}

/** Owners, each with its weight and limits. */
export interface OwnerStore {
  /** Null where nothing was set for this owner. */
  getOwner(name: string): Promise<Owner | null>;
  /**
   * Sets all of an owner, or of one for whom something was set already what `only` names: two changes of different things at once
   * must both last, wherever they come from. Answers the owner as it is then.
   */
  putOwner(owner: Owner, only?: readonly OwnerField[]): Promise<Owner>;
  /** The names of owners for whom something was set, who have keys (dead ones too) or who have bytes stored; ascending, by code points. */
  listOwnerNames(query: OwnerQuery): Promise<Page<string>>;
  /** As of now; zeros for an unknown owner. */
  readOwnerUsage(name: string): Promise<OwnerUsage>;
}
