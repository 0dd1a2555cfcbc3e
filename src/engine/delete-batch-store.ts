/** Removal of ended batches. */
import type { BatchStatus } from './batch.ts';

export type DeleteBatchResult =
  | { readonly kind: 'deleted' }
  | { readonly kind: 'missing' }
  /** The batch is not in a terminal state. */
  | { readonly kind: 'live'; readonly status: BatchStatus };

/** A part of the Store port. */
export interface DeleteBatchStore {
  /**
   * Removes an ended batch and those of its events that have no pending delivery; the others are purged when they are
   * settled and old. Its files stay.
   */
  deleteBatch(owner: string, id: string): Promise<DeleteBatchResult>;
}
