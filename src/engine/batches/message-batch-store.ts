/** What the Store port has for Message Batches. */
import type { Batch, BatchFormat } from './batch.ts';
import type { Page } from '../page.ts';

/** A part of the Store port. */
export interface MessageBatchStore {
  /** Null where unknown or another owner's. Cheap, also for a batch that runs. */
  getBatchFormat(owner: string, id: string): Promise<BatchFormat | null>;
  /**
   * The `limit` batches of a format that were created next after `before`, the newest first. `hasMore`: there are newer ones.
   * Null where `before` is unknown, another owner's or of another format.
   */
  listBatchesBefore(
    owner: string,
    before: string,
    limit: number,
    format: BatchFormat,
  ): Promise<Page<Batch> | null>;
}
