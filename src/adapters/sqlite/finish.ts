import type { Database } from 'better-sqlite3';
import { checkEnd } from '../../engine/batches/batch.ts';
import type { Fenced, Store } from '../../engine/ports.ts';
import type { BatchReader } from './batch-reader.ts';
import type { InsertEvent } from './events.ts';
import type { InsertFile } from './files.ts';
import { createFindHeld } from './steps.ts';
import { transaction } from './transaction.ts';

type Finish = Parameters<Store['finishBatch']>[0];

interface FinishParts {
  readonly reader: BatchReader;
  readonly insertFile: InsertFile;
  readonly insertEvent: InsertEvent;
}

/** The last step: files, frozen counts, terminal state and event in one transaction; nothing else stays behind. */
export function createFinishVerb(
  db: Database,
  { reader, insertFile, insertEvent }: FinishParts,
): Pick<Store, 'finishBatch'> {
  const findHeld = createFindHeld(db);
  const setFinished = db.prepare(`
    update batches
    set status = :status, step_worker = null,
      completed_at = iif(:status = 'completed', max(:now, finalizing_at), null),
      expired_at = iif(:status = 'expired', max(:now, finalizing_at), null),
      cancelled_at = iif(:status = 'cancelled', max(:now, cancelling_at), null),
      output_file_id = :outputFileId, error_file_id = :errorFileId,
      total = :total, completed = :completed, failed = :failed, unfinished = :unfinished,
      input_tokens = :input_tokens, cached_tokens = :cached_tokens, output_tokens = :output_tokens,
      reasoning_tokens = :reasoning_tokens, total_tokens = :total_tokens,
      chunks_left = 0
    where seq = :seq
  `);
  const dropChunks = createDropChunks(db);

  const finish = transaction(db, (finish: Finish): Fenced => {
    const { batchId, epoch, now, status, counts, unfinished = 0, outputFile, errorFile, event } = finish;
    const held = findHeld(batchId, epoch);
    if (held === undefined) return 'lost';
    checkEnd({ id: batchId, ...held }, status);
    if (outputFile !== null) insertFile(outputFile);
    if (errorFile !== null) insertFile(errorFile);
    setFinished.run({
      ...reader.sumChunks(held.seq),
      ...counts,
      unfinished,
      seq: held.seq,
      now,
      status,
      outputFileId: outputFile?.id ?? null,
      errorFileId: errorFile?.id ?? null,
    });
    dropChunks(held.seq);
    insertEvent(event);
    return 'ok';
  });

  return { finishBatch: async (options) => finish(options) };
}

function createDropChunks(db: Database): (seq: number) => void {
  const dropSegments = db.prepare<[number]>('delete from segments where batch = ?');
  const dropIndexes = db.prepare<[number]>('delete from line_indexes where batch = ?');
  const dropChunks = db.prepare<[number]>('delete from chunks where batch = ?');
  return (seq) => {
    dropSegments.run(seq);
    dropIndexes.run(seq);
    dropChunks.run(seq);
  };
}
