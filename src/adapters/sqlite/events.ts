import { randomBytes } from 'node:crypto';
import type { Database } from 'better-sqlite3';
import type { DeliveryTarget, EventRecord, NewEvent } from '../../engine/webhooks/event.ts';

/**
 * Inserts an event and its deliveries, to the endpoints that want it as well, the first attempt of each due at once, within
 * the caller's transaction.
 */
export type InsertEvent = (event: NewEvent) => void;

export function createInsertEvent(db: Database): InsertEvent {
  const insertEvent = db.prepare<[EventRecord]>(`
    insert into events (id, owner, batch_id, format, type, created_at)
    values (:id, :owner, :batchId, :format, :type, :createdAt)
  `);
  const insertDelivery = createInsertDelivery(db);
  const findEndpoints = db.prepare<[string, string], { readonly seq: number; readonly url: string }>(`
    select seq, url
    from webhook_endpoints
    where owner = ? and status = 'enabled'
      and exists (select 1 from json_each(event_types) where value = ?)
    order by seq
  `);
  return ({ event, targets }) => {
    const at = event.createdAt;
    const seq = insertEvent.run(event).lastInsertRowid;
    for (const { url, origin } of targets) insertDelivery({ event: seq, url, origin, endpoint: null, at });
    for (const { seq: endpoint, url } of findEndpoints.all(event.owner, event.type)) {
      insertDelivery({ event: seq, url, origin: 'endpoint', endpoint, at });
    }
  };
}

/** Rows name events and endpoints by their `seq`. */
export interface NewDelivery {
  readonly event: number | bigint;
  readonly url: string;
  readonly origin: DeliveryTarget['origin'];
  readonly endpoint: number | null;
  /** When it is made and due, milliseconds. */
  readonly at: number;
}

/** Inserts a delivery, within the caller's transaction; answers its `seq`. */
export function createInsertDelivery(db: Database): (delivery: NewDelivery) => number | bigint {
  const insert = db.prepare<[NewDelivery & { readonly id: string }]>(`
    insert into deliveries (id, event, url, origin, endpoint, created_at, next_at)
    values (:id, :event, :url, :origin, :endpoint, :at, :at)
  `);
  return (delivery) => {
    const id = `dlv_${randomBytes(16).toString('hex')}`;
    return insert.run({ ...delivery, id }).lastInsertRowid;
  };
}
