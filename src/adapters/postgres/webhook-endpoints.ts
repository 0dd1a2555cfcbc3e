import type { WebhookEndpointStore } from '../../engine/ports.ts';
import { changeEndpoint, isFreshStart, secretHintOf } from '../../engine/webhooks/webhook-endpoint.ts';
import type { WebhookEndpoint } from '../../engine/webhooks/webhook-endpoint.ts';
import { toEndpoint } from '../sql/endpoint-rows.ts';
import type { EndpointRow } from '../sql/endpoint-rows.ts';
import type { Database, Sql } from './database.ts';
import { endPending, endRest } from './endpoint-status.ts';

export type EndpointVerbs = Omit<WebhookEndpointStore, 'listDeliveries' | 'replayDelivery' | 'replayEvents'>;

const FIND = `
  select seq, id, owner, name, url, event_types, status, disabled_reason, secret_hint, created_at, updated_at
  from webhook_endpoints
  where id = $1 and owner = $2
`;

/** Webhook endpoints, for those who own them and for those who sign. */
export function createEndpointVerbs(db: Database): EndpointVerbs {
  return {
    async getWebhookEndpoint(owner, id) {
      const row = await db.get<EndpointRow>(FIND, id, owner);
      return row === undefined ? null : toEndpoint(row);
    },
    listWebhookEndpoints: createListEndpoints(db),
    async getWebhookSecrets(id, now) {
      const row = await db.get<{ readonly secret: string; readonly old_secret: string | null }>(
        `
        select secret, case when old_secret_until > $2 then old_secret end as old_secret
        from webhook_endpoints
        where id = $1
        `,
        id,
        now,
      );
      if (row === undefined) return [];
      return row.old_secret === null ? [row.secret] : [row.secret, row.old_secret];
    },
    insertWebhookEndpoint: (endpoint, secret, max) =>
      db.transaction((sql) => insertEndpoint(sql, endpoint, secret, max)),
    async updateWebhookEndpoint(...update) {
      const { endpoint, disabled } = await db.transaction((sql) => updateEndpoint(sql, ...update));
      if (disabled !== null) await endRest(db, disabled);
      return endpoint;
    },
    rotateWebhookSecret: (rotation) => db.transaction((sql) => rotateSecret(sql, rotation)),
    deleteWebhookEndpoint: (owner, id) => db.transaction((sql) => deleteEndpoint(sql, owner, id)),
  };
}

interface Cursor {
  readonly created_at: number;
  readonly seq: number;
}

const AFTER_ALL: Cursor = { created_at: Number.MAX_SAFE_INTEGER, seq: Number.MAX_SAFE_INTEGER };

function createListEndpoints(db: Database): WebhookEndpointStore['listWebhookEndpoints'] {
  return async (owner, after, limit) => {
    const find = async (id: string) =>
      await db.get<Cursor>(
        'select created_at, seq from webhook_endpoints where id = $1 and owner = $2',
        id,
        owner,
      );
    const cursor = after === undefined ? AFTER_ALL : await find(after);
    if (cursor === undefined) return null;
    const rows = await db.all<EndpointRow>(
      `
      select seq, id, owner, name, url, event_types, status, disabled_reason, secret_hint, created_at, updated_at
      from webhook_endpoints
      where owner = $1 and (created_at, seq) < ($2, $3)
      order by created_at desc, seq desc
      limit $4
      `,
      owner,
      cursor.created_at,
      cursor.seq,
      limit + 1,
    );
    return { data: rows.slice(0, limit).map(toEndpoint), hasMore: rows.length > limit };
  };
}

async function insertEndpoint(
  sql: Sql,
  endpoint: WebhookEndpoint,
  secret: string,
  max: number,
): Promise<'ok' | 'full'> {
  // Of several that would each be the last one only one may be.
  await sql.run('select pg_advisory_xact_lock(hashtextextended($1, 1))', endpoint.owner);
  const count = await sql.get<{ readonly count: number }>(
    'select count(*) as count from webhook_endpoints where owner = $1',
    endpoint.owner,
  );
  if ((count?.count ?? 0) >= max) return 'full';
  const { id, owner, name, url, eventTypes, status, disabledReason, secretHint, createdAt, updatedAt } =
    endpoint;
  await sql.run(
    `
    insert into webhook_endpoints (
      id, owner, name, url, event_types, status, disabled_reason, secret, secret_hint, created_at, updated_at
    )
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
    `,
    id,
    owner,
    name,
    url,
    JSON.stringify(eventTypes),
    status,
    disabledReason,
    secret,
    secretHint,
    createdAt,
    updatedAt,
  );
  return 'ok';
}

type Update = Parameters<WebhookEndpointStore['updateWebhookEndpoint']>;

interface Updated {
  readonly endpoint: WebhookEndpoint | null;
  /** Its `seq` where it is disabled, and what waits for it may have to be ended yet. */
  readonly disabled: number | null;
}

async function updateEndpoint(sql: Sql, ...[owner, id, changes, now]: Update): Promise<Updated> {
  const row = await sql.get<EndpointRow>(`${FIND} for update`, id, owner);
  if (row === undefined) return { endpoint: null, disabled: null };
  const before = toEndpoint(row);
  const after = changeEndpoint(before, changes, now);
  if (after === before) return { endpoint: before, disabled: null };
  await sql.run(
    `
    update webhook_endpoints
    set name = $1, url = $2, event_types = $3, status = $4, disabled_reason = $5, updated_at = $6,
      failing_since = case when $7 then null else failing_since end
    where seq = $8
    `,
    after.name,
    after.url,
    JSON.stringify(after.eventTypes),
    after.status,
    after.disabledReason,
    after.updatedAt,
    isFreshStart(before, after),
    row.seq,
  );
  // What waits for it needs no new URL: a claim answers the endpoint's own.
  if (after.status === 'enabled') return { endpoint: after, disabled: null };
  await endPending(sql, row.seq);
  return { endpoint: after, disabled: row.seq };
}

type Rotation = Parameters<WebhookEndpointStore['rotateWebhookSecret']>[0];

async function rotateSecret(
  sql: Sql,
  { owner, id, secret, oldUntil, now }: Rotation,
): Promise<WebhookEndpoint | null> {
  await sql.run(
    `
    update webhook_endpoints
    set old_secret = case when $3::bigint is null then null else secret end, old_secret_until = $3, secret = $4,
      secret_hint = $5, updated_at = greatest($6, updated_at)
    where id = $1 and owner = $2
    `,
    id,
    owner,
    oldUntil,
    secret,
    secretHintOf(secret),
    now,
  );
  const row = await sql.get<EndpointRow>(FIND, id, owner);
  return row === undefined ? null : toEndpoint(row);
}

async function deleteEndpoint(sql: Sql, owner: string, id: string): Promise<boolean> {
  const row = await sql.get<EndpointRow>(`${FIND} for update`, id, owner);
  if (row === undefined) return false;
  await sql.run("delete from deliveries where endpoint = $1 and state = 'pending'", row.seq);
  await sql.run('delete from webhook_endpoints where seq = $1', row.seq);
  return true;
}
