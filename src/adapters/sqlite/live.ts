import type { Database } from 'better-sqlite3';
import type { EventRecord } from '../../engine/webhooks/event.ts';
import type { LiveStore, LoggedSegment } from '../../engine/batches/live-store.ts';

/** What is read of a batch while it runs. */
export function createLiveVerbs(db: Database): LiveStore {
  const segments = db.prepare<[string, number, number], LoggedSegment>(`
    select seq, log_position as logPosition, lines
    from segments
    where batch = (select seq from batches where id = ?) and seq > ?
    order by seq
    limit ?
  `);
  const events = db.prepare<[string], EventRecord>(`
    select id, owner, batch_id as batchId, format, type, created_at as createdAt
    from events
    where batch_id = ?
    order by seq
  `);
  return {
    readSegmentsAfter: async (batchId, afterSeq, limit) => segments.all(batchId, afterSeq, limit),
    readBatchEvents: async (batchId) => events.all(batchId),
  };
}
