/** What the Store port has for Message Batches. */
import type { Batch, BatchFormat } from './batch.ts';
import type { Page } from './page.ts';

/** A part of the Store port. */
export interface MessageBatchStore {
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
