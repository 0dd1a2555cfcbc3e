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
import type { Database, Sql } from './database.ts';
import { insertDelivery } from './events.ts';

export type HistoryVerbs = Pick<WebhookEndpointStore, 'listDeliveries' | 'replayDelivery' | 'replayEvents'>;

/** The history of deliveries to an endpoint, and sending events again. */
export function createHistoryVerbs(db: Database): HistoryVerbs {
  return {
    listDeliveries: createListDeliveries(db),
    replayDelivery: (...ids) => db.transaction((sql) => replayDelivery(sql, ...ids)),
    replayEvents: (query) => db.transaction((sql) => replayEvents(sql, query)),
  };
}

interface SeqRow {
  readonly seq: number;
}

const RECORDS = `
  select
    d.id, e.id as event_id, e.owner, e.batch_id, e.format, e.type, e.created_at as event_created_at, d.created_at,
    d.state, d.attempts, d.next_at, d.last_attempt_at, d.last_status_code, d.last_duration_ms, d.last_response, d.last_error
  from deliveries d
    join events e on e.seq = d.event
`;

function createListDeliveries(db: Database): WebhookEndpointStore['listDeliveries'] {
  return async (owner, endpointId, after, limit) => {
    const endpoint = await db.get<SeqRow>(
      'select seq from webhook_endpoints where id = $1 and owner = $2',
      endpointId,
      owner,
    );
    if (endpoint === undefined) return null;
    const find = async (id: string) =>
      await db.get<SeqRow>('select seq from deliveries where id = $1 and endpoint = $2', id, endpoint.seq);
    const cursor = after === undefined ? { seq: Number.MAX_SAFE_INTEGER } : await find(after);
    if (cursor === undefined) return null;
    const rows = await db.all<RecordRow>(
      `${RECORDS} where d.endpoint = $1 and d.seq < $2 order by d.seq desc limit $3`,
      endpoint.seq,
      cursor.seq,
      limit + 1,
    );
    return { data: rows.slice(0, limit).map(toRecord), hasMore: rows.length > limit };
  };
}

interface Receiver {
  readonly seq: number;
  readonly url: string;
  readonly status: WebhookEndpoint['status'];
}

/** The endpoint that something is to be replayed to, or why nothing can be. */
async function findReceiver(sql: Sql, owner: string, id: string): Promise<Receiver | ReplayRefusal> {
  // Shared: it is not disabled before what is replayed can be seen.
  const endpoint = await sql.get<Receiver>(
    'select seq, url, status from webhook_endpoints where id = $1 and owner = $2 for share',
    id,
    owner,
  );
  if (endpoint === undefined) return { kind: 'missing' };
  return endpoint.status === 'disabled' ? { kind: 'disabled' } : endpoint;
}

async function replayDelivery(
  sql: Sql,
  ...[owner, endpointId, deliveryId, now]: Parameters<WebhookEndpointStore['replayDelivery']>
): Promise<ReplayDeliveryResult> {
  const receiver = await findReceiver(sql, owner, endpointId);
  if ('kind' in receiver) return receiver;
  const { seq: endpoint, url } = receiver;
  const found = await sql.get<{ readonly event: number }>(
    'select event from deliveries where id = $1 and endpoint = $2',
    deliveryId,
    endpoint,
  );
  if (found === undefined) return { kind: 'unknown_delivery' };
  const seq = await insertDelivery(sql, { event: found.event, url, origin: 'endpoint', endpoint, at: now });
  const row = await sql.get<RecordRow>(`${RECORDS} where d.seq = $1`, seq);
  return { kind: 'ok', delivery: toRecord(row as RecordRow) };
}

async function replayEvents(
  sql: Sql,
  { owner, endpointId, since, limit, now }: ReplayEventsQuery,
): Promise<ReplayEventsResult> {
  const receiver = await findReceiver(sql, owner, endpointId);
  if ('kind' in receiver) return receiver;
  const { seq: endpoint, url } = receiver;
  const found = await sql.all<{ readonly seq: number; readonly created_at: number }>(
    `
    select e.seq, e.created_at
    from events e
    where e.owner = $1 and e.created_at >= $2
      and exists (select 1 from webhook_endpoints w where w.seq = $3 and w.event_types::jsonb ? e.type)
      and not exists (
        select 1 from deliveries d where d.event = e.seq and d.endpoint = $3 and d.state = 'pending'
      )
    order by e.created_at, e.seq
    limit $4
    `,
    owner,
    since,
    endpoint,
    limit + 1,
  );
  const events = found.slice(0, limit);
  for (const { seq: event } of events) {
    await insertDelivery(sql, { event, url, origin: 'endpoint', endpoint, at: now });
  }
  return { kind: 'ok', deliveries: events.length, nextCreatedAt: found[limit]?.created_at ?? null };
}
