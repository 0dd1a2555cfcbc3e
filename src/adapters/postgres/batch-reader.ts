import { isTerminal } from '../../engine/batches/batch.ts';
import type { Batch } from '../../engine/batches/batch.ts';
import { toBatch } from '../sql/rows.ts';
import type { BatchRow, ProgressRow } from '../sql/rows.ts';
import type { Sql } from './database.ts';

/** Where sums of tokens end, as in `addUsage`. */
const MAX_COUNT = Number.MAX_SAFE_INTEGER;

/** The batches with these `seq`s, in their order. Those that are gone are left out. */
export async function readBatches(sql: Sql, seqs: readonly number[]): Promise<Batch[]> {
  const rows = await sql.all<BatchRow>(
    `
    select
      b.seq, id, owner, endpoint, input_file_id, completion_window, status, ending, model, errors,
      output_file_id, error_file_id, total, completed, failed, format, unfinished,
      input_tokens, cached_tokens, output_tokens, reasoning_tokens, total_tokens,
      metadata, priority, webhook_url, output_expires_after_seconds, allowed_models, created_at, expires_at, in_progress_at,
      finalizing_at, completed_at, failed_at, expired_at, cancelling_at, cancelled_at
    from unnest($1::bigint[]) with ordinality as wanted (seq, place)
      join batches b on b.seq = wanted.seq
    order by wanted.place
    `,
    seqs,
  );
  const batches: Batch[] = [];
  for (const row of rows)
    batches.push(toBatch(row, isTerminal(row.status) ? row : await sumChunks(sql, row.seq)));
  return batches;
}

/** The batch, which must be there. */
export async function readBatch(sql: Sql, seq: number): Promise<Batch> {
  const [batch] = await readBatches(sql, [seq]);
  if (batch === undefined) throw new Error(`there is no batch with seq ${seq}`);
  return batch;
}

/** Finished lines and tokens, summed over the batch's chunks. */
export async function sumChunks(sql: Sql, seq: number): Promise<ProgressRow> {
  const row = await sql.get<ProgressRow>(
    `
    select
      coalesce(sum(completed), 0)::bigint as completed,
      coalesce(sum(failed), 0)::bigint as failed,
      least(coalesce(sum(input_tokens), 0), ${MAX_COUNT})::bigint as input_tokens,
      least(coalesce(sum(cached_tokens), 0), ${MAX_COUNT})::bigint as cached_tokens,
      least(coalesce(sum(output_tokens), 0), ${MAX_COUNT})::bigint as output_tokens,
      least(coalesce(sum(reasoning_tokens), 0), ${MAX_COUNT})::bigint as reasoning_tokens,
      least(coalesce(sum(total_tokens), 0), ${MAX_COUNT})::bigint as total_tokens
    from chunks
    where batch = $1
    `,
    seq,
  );
  return row as ProgressRow;
}
