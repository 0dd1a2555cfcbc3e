/** What is read of a batch while it runs. */
import type { EventRecord } from '../webhooks/event.ts';

/** Finished lines of one chunk that were committed together: where they lie in the batch's result log. */
export interface LoggedSegment {
  /** Rises with each commit of a batch. */
  readonly seq: number;
  readonly logPosition: number;
  /** As `encodeSegmentLines` makes it. */
  readonly lines: Uint8Array;
}

/** A part of the Store port. */
export interface LiveStore {
  /** The first `limit` segments of a batch after number `afterSeq`, in the order of their commits; none of one that has ended. */
  readSegmentsAfter(batchId: string, afterSeq: number, limit: number): Promise<readonly LoggedSegment[]>;
  /** The batch's events, in the order in which they were written. */
  readBatchEvents(batchId: string): Promise<readonly EventRecord[]>;
}
