import type { Database } from 'better-sqlite3';
import { isTerminal } from '../../engine/batches/batch.ts';
import type { Batch } from '../../engine/batches/batch.ts';
import { toBatch } from '../sql/rows.ts';
import type { BatchRow, ProgressRow } from '../sql/rows.ts';

/**
 * Where sums of tokens end, as in `addUsage`. A chunk of lines with absurd counts fits into 64 bits, but the sum of a few
 * such chunks does not: `sum` would fail then, and `total`, a float, is exact up to here.
 */
const MAX_COUNT = Number.MAX_SAFE_INTEGER;

/** Reads batches by their `seq`. */
export interface BatchReader {
  /** Throws where there is no such batch. */
  read(seq: number): Batch;
  /** Finished lines and tokens, summed over the batch's chunks. */
  sumChunks(seq: number): ProgressRow;
}

export function createBatchReader(db: Database): BatchReader {
  const get = db.prepare<[number], BatchRow>(`
    select
      seq, id, owner, endpoint, input_file_id, completion_window, status, ending, model, errors,
      output_file_id, error_file_id, total, completed, failed, format, unfinished,
      input_tokens, cached_tokens, output_tokens, reasoning_tokens, total_tokens,
      metadata, priority, webhook_url, output_expires_after_seconds, allowed_models, created_at, expires_at, in_progress_at,
      finalizing_at, completed_at, failed_at, expired_at, cancelling_at, cancelled_at
    from batches
    where seq = ?
  `);
  const sum = db.prepare<[number], ProgressRow>(`
    select
      coalesce(sum(completed), 0) as completed,
      coalesce(sum(failed), 0) as failed,
      cast(min(total(input_tokens), ${MAX_COUNT}) as integer) as input_tokens,
      cast(min(total(cached_tokens), ${MAX_COUNT}) as integer) as cached_tokens,
      cast(min(total(output_tokens), ${MAX_COUNT}) as integer) as output_tokens,
      cast(min(total(reasoning_tokens), ${MAX_COUNT}) as integer) as reasoning_tokens,
      cast(min(total(total_tokens), ${MAX_COUNT}) as integer) as total_tokens
    from chunks
    where batch = ?
  `);

  function sumChunks(seq: number): ProgressRow {
    return sum.get(seq) as ProgressRow;
  }

  return {
    read(seq) {
      const row = get.get(seq);
      if (row === undefined) throw new Error(`there is no batch with seq ${seq}`);
      return toBatch(row, isTerminal(row.status) ? row : sumChunks(seq));
    },
    sumChunks,
  };
}
