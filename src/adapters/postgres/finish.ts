import { checkEnd } from '../../engine/batches/batch.ts';
import type { Fenced, Store } from '../../engine/ports.ts';
import { readBatch } from './batch-reader.ts';
import type { Database, Sql } from './database.ts';
import { insertEvent } from './events.ts';
import { insertFile } from './files.ts';
import { findHeld } from './steps.ts';

type Finish = Parameters<Store['finishBatch']>[0];

/** The last step: files, frozen counts, terminal state and event in one transaction; nothing else stays behind. */
export function createFinishVerb(db: Database): Pick<Store, 'finishBatch'> {
  return { finishBatch: (finish) => db.transaction((sql) => finishBatch(sql, finish)) };
}

async function finishBatch(sql: Sql, finish: Finish): Promise<Fenced> {
  const { batchId, epoch, status, outputFile, errorFile, event } = finish;
  const held = await findHeld(sql, batchId, epoch);
  if (held === undefined) return 'lost';
  checkEnd({ id: batchId, ...held }, status);
  if (outputFile !== null) await insertFile(sql, outputFile);
  if (errorFile !== null) await insertFile(sql, errorFile);
  await setFinished(sql, held.seq, finish);
  for (const table of ['segments', 'line_indexes', 'chunks']) {
    await sql.run(`delete from ${table} where batch = $1`, held.seq);
  }
  await insertEvent(sql, event);
  return 'ok';
}

async function setFinished(sql: Sql, seq: number, finish: Finish): Promise<void> {
  const { now, status, counts, unfinished = 0, outputFile, errorFile } = finish;
  const { usage } = await readBatch(sql, seq);
  await sql.run(
    `
    update batches
    set status = $1, step_worker = null,
      completed_at = case when $1 = 'completed' then greatest($2, finalizing_at) end,
      expired_at = case when $1 = 'expired' then greatest($2, finalizing_at) end,
      cancelled_at = case when $1 = 'cancelled' then greatest($2, cancelling_at) end,
      output_file_id = $3, error_file_id = $4, total = $5, completed = $6, failed = $7, unfinished = $8,
      input_tokens = $9, cached_tokens = $10, output_tokens = $11, reasoning_tokens = $12, total_tokens = $13,
      chunks_left = 0
    where seq = $14
    `,
    status,
    now,
    outputFile?.id ?? null,
    errorFile?.id ?? null,
    counts.total,
    counts.completed,
    counts.failed,
    unfinished,
    usage.inputTokens,
    usage.cachedTokens,
    usage.outputTokens,
    usage.reasoningTokens,
    usage.totalTokens,
    seq,
  );
}
