import type { Database } from 'better-sqlite3';
import { isTerminal } from '../../engine/batch.ts';
import type { BatchStatus } from '../../engine/batch.ts';
import type { DeleteBatchResult, DeleteBatchStore } from '../../engine/delete-batch-store.ts';
import { transaction } from './transaction.ts';

/** Removal of ended batches: their chunks are gone already. */
export function createDeleteBatchVerb(db: Database): DeleteBatchStore {
  const find = db.prepare<[string, string], { readonly seq: number; readonly status: BatchStatus }>(
    'select seq, status from batches where id = ? and owner = ?',
  );
  const removeEvents = db.prepare<[string]>(`
    delete from events
    where batch_id = ?
      and not exists (select 1 from deliveries d where d.event = events.seq and d.state = 'pending')
  `);
  const remove = db.prepare<[number]>('delete from batches where seq = ?');
  const deleteBatch = transaction(db, (owner: string, id: string): DeleteBatchResult => {
    const found = find.get(id, owner);
    if (found === undefined) return { kind: 'missing' };
    if (!isTerminal(found.status)) return { kind: 'live', status: found.status };
    removeEvents.run(id);
    remove.run(found.seq);
    return { kind: 'deleted' };
  });
  return { deleteBatch: async (owner, id) => deleteBatch(owner, id) };
}
