import type { Database } from 'better-sqlite3';
import type { BatchFormat } from '../../engine/batch.ts';
import type { MessageBatchStore } from '../../engine/message-batch-store.ts';
import type { BatchReader } from './batch-reader.ts';
import { createFindCursor } from './batches.ts';

/** Pages of batches in the other direction. */
export function createMessageBatchVerbs(db: Database, reader: BatchReader): MessageBatchStore {
  const find = createFindCursor(db);
  const oldestFirst = db
    .prepare<[string, BatchFormat, number, number, number], number>(
      `
      select seq
      from batches
      where owner = ? and format = ? and (created_at, seq) > (?, ?)
      order by created_at, seq
      limit ?
      `,
    )
    .pluck();

  return {
    async listBatchesBefore(owner, before, limit, format) {
      const cursor = find(before, owner, format);
      if (cursor === undefined) return null;
      const seqs = oldestFirst.all(owner, format, cursor.created_at, cursor.seq, limit + 1);
      const data = seqs.slice(0, limit).toReversed();
      return { data: data.map((seq) => reader.read(seq)), hasMore: seqs.length > limit };
    },
  };
}
