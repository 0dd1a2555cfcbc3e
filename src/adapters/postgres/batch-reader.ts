import type { Batch } from '../../engine/batches/batch.ts';
import { toBatch } from '../sql/rows.ts';
import type { BatchRow } from '../sql/rows.ts';
import type { Sql } from './database.ts';

/** Where sums of tokens end, as in `addUsage`. */
const MAX_COUNT = Number.MAX_SAFE_INTEGER;

/** The batches with these `seq`s, in their order. Those that are gone are left out. */
export async function readBatches(sql: Sql, seqs: readonly number[]): Promise<Batch[]> {
  // State and counts by one statement: a batch that ends between two would have the counts of no chunks. One that has ended has none,
  // and one that has not begun neither; their rows have the counts.
  const rows = await sql.all<BatchRow>(
    `
    select
      b.seq, b.id, b.owner, b.endpoint, b.input_file_id, b.completion_window, b.status, b.ending, b.model, b.errors,
      b.output_file_id, b.error_file_id, b.total, b.format, b.unfinished,
      coalesce(done.completed, b.completed)::bigint as completed,
      coalesce(done.failed, b.failed)::bigint as failed,
      least(coalesce(done.input_tokens, b.input_tokens), ${MAX_COUNT})::bigint as input_tokens,
      least(coalesce(done.cached_tokens, b.cached_tokens), ${MAX_COUNT})::bigint as cached_tokens,
      least(coalesce(done.output_tokens, b.output_tokens), ${MAX_COUNT})::bigint as output_tokens,
      least(coalesce(done.reasoning_tokens, b.reasoning_tokens), ${MAX_COUNT})::bigint as reasoning_tokens,
      least(coalesce(done.total_tokens, b.total_tokens), ${MAX_COUNT})::bigint as total_tokens,
      b.metadata, b.priority, b.webhook_url, b.output_expires_after_seconds, b.allowed_models, b.created_at, b.expires_at,
      b.in_progress_at, b.finalizing_at, b.completed_at, b.failed_at, b.expired_at, b.cancelling_at, b.cancelled_at
    from unnest($1::bigint[]) with ordinality as wanted (seq, place)
      join batches b on b.seq = wanted.seq
      cross join lateral (
        select
          sum(c.completed) as completed,
          sum(c.failed) as failed,
          sum(c.input_tokens) as input_tokens,
          sum(c.cached_tokens) as cached_tokens,
          sum(c.output_tokens) as output_tokens,
          sum(c.reasoning_tokens) as reasoning_tokens,
          sum(c.total_tokens) as total_tokens
        from chunks c
        where c.batch = b.seq
      ) done
    order by wanted.place
    `,
    seqs,
  );
  return rows.map((row) => toBatch(row, row));
}

/** The batch, which must be there. */
export async function readBatch(sql: Sql, seq: number): Promise<Batch> {
  const [batch] = await readBatches(sql, [seq]);
  if (batch === undefined) throw new Error(`there is no batch with seq ${seq}`);
  return batch;
}
