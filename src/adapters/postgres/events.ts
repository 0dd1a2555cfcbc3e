import { randomBytes } from 'node:crypto';
import type { DeliveryTarget, NewEvent } from '../../engine/webhooks/event.ts';
import type { Sql } from './database.ts';

/**
 * Inserts an event and its deliveries, to the endpoints that want it as well, the first attempt of each due at once, within
 * the caller's transaction.
 */
export async function insertEvent(sql: Sql, { event, targets }: NewEvent): Promise<void> {
  const { id, owner, batchId, format, type, createdAt } = event;
  const inserted = await sql.get<{ readonly seq: number }>(
    `
    insert into events (id, owner, batch_id, format, type, created_at)
    values ($1, $2, $3, $4, $5, $6)
    returning seq
    `,
    id,
    owner,
    batchId,
    format,
    type,
    createdAt,
  );
  const seq = (inserted as { readonly seq: number }).seq;
  for (const { url, origin } of targets) {
    await insertDelivery(sql, { event: seq, url, origin, endpoint: null, at: createdAt });
  }
  // Shared: none is removed, disabled or given another URL before its delivery can be seen, which must follow it then.
  const endpoints = await sql.all<{ readonly seq: number; readonly url: string }>(
    `
    select seq, url
    from webhook_endpoints
    where owner = $1 and status = 'enabled' and event_types::jsonb ? $2
    order by seq
    for key share
    `,
    owner,
    type,
  );
  for (const endpoint of endpoints) {
    const { url } = endpoint;
    await insertDelivery(sql, { event: seq, url, origin: 'endpoint', endpoint: endpoint.seq, at: createdAt });
  }
}

/** Rows name events and endpoints by their `seq`. */
export interface NewDelivery {
  readonly event: number;
  readonly url: string;
  readonly origin: DeliveryTarget['origin'];
  readonly endpoint: number | null;
  /** When it is made and due, milliseconds. */
  readonly at: number;
}

/** Inserts a delivery, within the caller's transaction; answers its `seq`. */
export async function insertDelivery(
  sql: Sql,
  { event, url, origin, endpoint, at }: NewDelivery,
): Promise<number> {
  const id = `dlv_${randomBytes(16).toString('hex')}`;
  const inserted = await sql.get<{ readonly seq: number }>(
    `
    insert into deliveries (id, event, url, origin, endpoint, created_at, next_at)
    values ($1, $2, $3, $4, $5, $6, $6)
    returning seq
    `,
    id,
    event,
    url,
    origin,
    endpoint,
    at,
  );
  return (inserted as { readonly seq: number }).seq;
}
