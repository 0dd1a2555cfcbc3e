import type { Database } from 'better-sqlite3';
import type { BatchFormat } from '../../engine/batches/batch.ts';
import type { MessageBatchStore } from '../../engine/batches/message-batch-store.ts';
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

  const format = db
    .prepare<[string, string], BatchFormat>('select format from batches where id = ? and owner = ?')
    .pluck();

  return {
    getBatchFormat: async (owner, id) => format.get(id, owner) ?? null,
    async listBatchesBefore(owner, before, limit, wanted) {
      const cursor = find(before, owner, wanted);
      if (cursor === undefined) return null;
      const seqs = oldestFirst.all(owner, wanted, cursor.created_at, cursor.seq, limit + 1);
      const data = seqs.slice(0, limit).toReversed();
      return { data: data.map((seq) => reader.read(seq)), hasMore: seqs.length > limit };
    },
  };
}
