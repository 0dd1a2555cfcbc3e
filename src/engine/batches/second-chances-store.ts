/** What the Store keeps for second chances: removed batches, and creates that may be repeated. A part of the Store port. */
import type { Batch, BatchStatus } from './batch.ts';
import type { NewEvent } from '../webhooks/event.ts';
import type { FileRecord } from '../files/file.ts';
import type { OverLimit, OwnerLimits } from '../owners/owner.ts';

export type DeleteBatchResult =
  | { readonly kind: 'deleted' }
  | { readonly kind: 'missing' }
  /** The batch is not in a terminal state. */
  | { readonly kind: 'live'; readonly status: BatchStatus };

/** A client's name for one request, so that it can repeat it safely. */
export interface IdempotencyKey {
  /** 1 to 255 visible ASCII characters; an owner's own. */
  readonly key: string;
  /** What is asked for: equal for equal requests. SHA-256, 64 hex digits. */
  readonly fingerprint: string;
}

/** A new batch, and what must become true together with it. */
export interface BatchSubmission {
  /** Status `validating`. */
  readonly batch: Batch;
  readonly event: NewEvent;
  /** An input file that was made for this batch, or null. Its blob is published already. */
  readonly inputFile: FileRecord | null;
  /** The key under which it is remembered, or null. */
  readonly once: IdempotencyKey | null;
  /** Keys that were used at or before this time, milliseconds, are forgotten: they count as new. */
  readonly forgetUntil: number;
  /** Of the batch's owner; default: none. A batch that is known needs no room. */
  readonly limits?: OwnerLimits | undefined;
}

/** What was answered to the first request with a key. */
export interface RememberedSubmission {
  readonly fingerprint: string;
  /** As it was created. */
  readonly batch: Batch;
}

export type SubmitResult =
  | { readonly kind: 'created' }
  | OverLimit
  /** The key is known: nothing was inserted. */
  | { readonly kind: 'known'; readonly remembered: RememberedSubmission };

export interface SecondChancesStore {
  /**
   * Removes an ended batch and those of its events that have no pending delivery; the others are purged when they are
   * settled and old. Its files and idempotency key stay.
   */
  deleteBatch(owner: string, id: string): Promise<DeleteBatchResult>;
  /** Inserts the batch, its event, its input file and its key; all of them, or nothing where the owner's key is known or a limit forbids it. */
  submitBatch(submission: BatchSubmission): Promise<SubmitResult>;
  /** What was created under the owner's key after `forgetUntil`, or null. */
  findSubmission(owner: string, key: string, forgetUntil: number): Promise<RememberedSubmission | null>;
  /** Removes keys that were used at or before `until`; answers how many. */
  forgetSubmissions(until: number): Promise<number>;
}
