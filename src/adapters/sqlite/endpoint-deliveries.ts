import type { Database } from 'better-sqlite3';
import type {
  ReplayDeliveryResult,
  ReplayEventsQuery,
  ReplayEventsResult,
  ReplayRefusal,
  WebhookEndpointStore,
} from '../../engine/ports.ts';
import type { WebhookEndpoint } from '../../engine/webhooks/webhook-endpoint.ts';
import { toRecord } from '../sql/delivery-rows.ts';
import type { RecordRow } from '../sql/delivery-rows.ts';
import { createInsertDelivery } from './events.ts';
import { transaction } from './transaction.ts';

interface EndpointState {
  readonly seq: number;
  readonly url: string;
  readonly status: WebhookEndpoint['status'];
}

/** The endpoint that something is to be replayed to, or why nothing can be. */
type FindReceiver = (owner: string, id: string) => EndpointState | ReplayRefusal;

function createFindReceiver(db: Database): FindReceiver {
  const find = db.prepare<[string, string], EndpointState>(
    'select seq, url, status from webhook_endpoints where id = ? and owner = ?',
  );
  return (owner, id) => {
    const endpoint = find.get(id, owner);
    if (endpoint === undefined) return { kind: 'missing' };
    return endpoint.status === 'disabled' ? { kind: 'disabled' } : endpoint;
  };
}

/** The history of deliveries to an endpoint. A page of an unknown endpoint is null. */
export function createListDeliveries(db: Database): WebhookEndpointStore['listDeliveries'] {
  const findEndpoint = db
    .prepare<[string, string], number>('select seq from webhook_endpoints where id = ? and owner = ?')
    .pluck();
  const findCursor = db
    .prepare<[string, number], number>('select seq from deliveries where id = ? and endpoint = ?')
    .pluck();
  const newestFirst = db.prepare<[number, number, number], RecordRow>(`
    select
      d.id, e.id as event_id, e.owner, e.batch_id, e.format, e.type, e.created_at as event_created_at, d.created_at,
      d.state, d.attempts, d.next_at, d.last_attempt_at, d.last_status_code, d.last_duration_ms, d.last_response, d.last_error
    from deliveries d
      join events e on e.seq = d.event
    where d.endpoint = ? and d.seq < ?
    order by d.seq desc
    limit ?
  `);
  return async (owner, endpointId, after, limit) => {
    const endpoint = findEndpoint.get(endpointId, owner);
    if (endpoint === undefined) return null;
    const cursor = after === undefined ? Number.MAX_SAFE_INTEGER : findCursor.get(after, endpoint);
    if (cursor === undefined) return null;
    const rows = newestFirst.all(endpoint, cursor, limit + 1);
    return { data: rows.slice(0, limit).map(toRecord), hasMore: rows.length > limit };
  };
}

/** Sending events again. */
export function createReplayVerbs(
  db: Database,
): Pick<WebhookEndpointStore, 'replayDelivery' | 'replayEvents'> {
  const findReceiver = createFindReceiver(db);
  const replayDelivery = createReplayDelivery(db, findReceiver);
  const replayEvents = createReplayEvents(db, findReceiver);
  return {
    replayDelivery: async (...ids) => replayDelivery(...ids),
    replayEvents: async (query) => replayEvents(query),
  };
}

function createReplayDelivery(db: Database, findReceiver: FindReceiver) {
  const findEvent = db
    .prepare<[string, number], number>('select event from deliveries where id = ? and endpoint = ?')
    .pluck();
  const insert = createInsertDelivery(db);
  const read = db.prepare<[number | bigint], RecordRow>(`
    select
      d.id, e.id as event_id, e.owner, e.batch_id, e.format, e.type, e.created_at as event_created_at, d.created_at,
      d.state, d.attempts, d.next_at, d.last_attempt_at, d.last_status_code, d.last_duration_ms, d.last_response, d.last_error
    from deliveries d
      join events e on e.seq = d.event
    where d.seq = ?
  `);
  type Args = Parameters<WebhookEndpointStore['replayDelivery']>;
  return transaction(db, (...[owner, endpointId, deliveryId, now]: Args): ReplayDeliveryResult => {
    const receiver = findReceiver(owner, endpointId);
    if ('kind' in receiver) return receiver;
    const event = findEvent.get(deliveryId, receiver.seq);
    if (event === undefined) return { kind: 'unknown_delivery' };
    const seq = insert({ event, url: receiver.url, origin: 'endpoint', endpoint: receiver.seq, at: now });
    return { kind: 'ok', delivery: toRecord(read.get(seq) as RecordRow) };
  });
}

function createReplayEvents(db: Database, findReceiver: FindReceiver) {
  // An event has few deliveries, an endpoint many: the planner, left alone, would walk all of those for each event.
  const findReplayable = db.prepare<[object], { readonly seq: number; readonly created_at: number }>(`
    select e.seq, e.created_at
    from events e
    where e.owner = :owner and e.created_at >= :since
      and e.type in (select value from webhook_endpoints w, json_each(w.event_types) where w.seq = :endpoint)
      and not exists (
        select 1
        from deliveries d indexed by deliveries_by_event
        where d.event = e.seq and d.endpoint = :endpoint and d.state = 'pending'
      )
    order by e.created_at, e.seq
    limit :limit
  `);
  const insert = createInsertDelivery(db);
  return transaction(
    db,
    ({ owner, endpointId, since, limit, now }: ReplayEventsQuery): ReplayEventsResult => {
      const receiver = findReceiver(owner, endpointId);
      if ('kind' in receiver) return receiver;
      const { seq: endpoint, url } = receiver;
      const found = findReplayable.all({ owner, since, endpoint, limit: limit + 1 });
      const events = found.slice(0, limit);
      for (const { seq: event } of events) insert({ event, url, origin: 'endpoint', endpoint, at: now });
      return { kind: 'ok', deliveries: events.length, nextCreatedAt: found[limit]?.created_at ?? null };
    },
  );
}
