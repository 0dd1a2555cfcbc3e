import { randomBytes } from 'node:crypto';
import type { Database } from 'better-sqlite3';
import type { NewEvent } from '../../engine/event.ts';

/** Inserts an event and its deliveries, the first attempt of each due at once, within the caller's transaction. */
export type InsertEvent = (event: NewEvent) => void;

export function createInsertEvent(db: Database): InsertEvent {
  const insertEvent = db.prepare(`
    insert into events (id, owner, batch_id, type, created_at)
    values (:id, :owner, :batchId, :type, :createdAt)
  `);
  const insertDelivery = db.prepare(`
    insert into deliveries (id, event, url, origin, next_at)
    values (:id, :event, :url, :origin, :nextAt)
  `);
  return ({ event, targets }) => {
    const { lastInsertRowid } = insertEvent.run(event);
    for (const { url, origin } of targets) {
      const id = `dlv_${randomBytes(16).toString('hex')}`;
      insertDelivery.run({ id, event: lastInsertRowid, url, origin, nextAt: event.createdAt });
    }
  };
}
