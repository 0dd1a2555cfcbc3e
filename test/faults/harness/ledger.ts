/** What the service has promised: each 2xx that a client got, and each definite refusal. */
import type { Input } from './lines.ts';

/** A batch as the wire shows it; the members that the invariants look at. */
export interface BatchObject {
  readonly id: string;
  readonly status: string;
  readonly input_file_id: string;
  readonly output_file_id: string | null;
  readonly error_file_id: string | null;
  readonly created_at: number;
  readonly in_progress_at: number | null;
  readonly expires_at: number;
  readonly finalizing_at: number | null;
  readonly completed_at: number | null;
  readonly failed_at: number | null;
  readonly expired_at: number | null;
  readonly cancelling_at: number | null;
  readonly cancelled_at: number | null;
  readonly request_counts: { readonly total: number; readonly completed: number; readonly failed: number };
  readonly metadata: Readonly<Record<string, string>> | null;
}

export interface PromisedFile {
  readonly id: string;
  readonly input: Input;
  isDeleted: boolean;
}

export interface PromisedBatch {
  readonly id: string;
  readonly file: PromisedFile;
  /** Distinguishes this create from every other. */
  readonly tag: string;
  readonly webhookPath: string | null;
  /** True once a cancel was answered with 200. */
  isCancelled: boolean;
  /** As it was first seen in a terminal state. */
  ended: BatchObject | null;
  /** Observations that contradict an earlier one. */
  readonly contradictions: string[];
}

export interface Ledger {
  readonly files: PromisedFile[];
  readonly batches: PromisedBatch[];
  /** Ids of batches whose removal was answered; they are not among `batches` any more. */
  readonly deletedBatches: string[];
  /** Tags of creates that were definitely refused (4xx or 5xx). */
  readonly refusedTags: string[];
}

export const createLedger = (): Ledger => ({
  files: [],
  batches: [],
  deletedBatches: [],
  refusedTags: [],
});

export const isTerminal = (status: string): boolean => /^(completed|failed|expired|cancelled)$/.test(status);

/** Notes what a client saw of a batch, and that a terminal state is for ever. */
export function observe(batch: PromisedBatch, seen: BatchObject): void {
  if (batch.ended === null) {
    if (isTerminal(seen.status)) batch.ended = seen;
  } else if (batch.contradictions.length === 0 && JSON.stringify(seen) !== JSON.stringify(batch.ended)) {
    batch.contradictions.push(
      `was ${JSON.stringify(batch.ended)} and then ${JSON.stringify(seen)}, although its end is for ever`,
    );
  }
}
