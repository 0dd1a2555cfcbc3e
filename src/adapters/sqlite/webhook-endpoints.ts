import type { Database } from 'better-sqlite3';
import type { WebhookEndpointStore } from '../../engine/ports.ts';
import { changeEndpoint, isFreshStart, secretHintOf } from '../../engine/webhooks/webhook-endpoint.ts';
import type { WebhookEndpoint } from '../../engine/webhooks/webhook-endpoint.ts';
import { toEndpoint } from '../sql/endpoint-rows.ts';
import type { EndpointRow } from '../sql/endpoint-rows.ts';
import { createEndPending } from './endpoint-status.ts';
import { transaction } from './transaction.ts';

type EndpointReads = Pick<
  WebhookEndpointStore,
  'getWebhookEndpoint' | 'listWebhookEndpoints' | 'getWebhookSecrets'
>;
type EndpointWrites = Pick<
  WebhookEndpointStore,
  'insertWebhookEndpoint' | 'updateWebhookEndpoint' | 'rotateWebhookSecret' | 'deleteWebhookEndpoint'
>;

/** An endpoint and its `seq`. */
interface Found {
  readonly seq: number;
  readonly endpoint: WebhookEndpoint;
}

type FindEndpoint = (owner: string, id: string) => Found | undefined;

function createFindEndpoint(db: Database): FindEndpoint {
  const find = db.prepare<[string, string], EndpointRow>(`
    select seq, id, owner, name, url, event_types, status, disabled_reason, secret_hint, created_at, updated_at
    from webhook_endpoints
    where id = ? and owner = ?
  `);
  return (owner, id) => {
    const row = find.get(id, owner);
    return row === undefined ? undefined : { seq: row.seq, endpoint: toEndpoint(row) };
  };
}

/** Webhook endpoints, for those who own them and for those who sign. */
export function createEndpointReads(db: Database): EndpointReads {
  const find = createFindEndpoint(db);
  const findSecrets = db.prepare<
    [number, string],
    { readonly secret: string; readonly old_secret: string | null }
  >(`
    select secret, iif(old_secret_until > ?, old_secret, null) as old_secret
    from webhook_endpoints
    where id = ?
  `);
  return {
    getWebhookEndpoint: async (owner, id) => find(owner, id)?.endpoint ?? null,
    listWebhookEndpoints: createListEndpoints(db),
    getWebhookSecrets: async (id, now) => {
      const row = findSecrets.get(now, id);
      if (row === undefined) return [];
      return row.old_secret === null ? [row.secret] : [row.secret, row.old_secret];
    },
  };
}

interface Cursor {
  readonly created_at: number;
  readonly seq: number;
}

const AFTER_ALL: Cursor = { created_at: Number.MAX_SAFE_INTEGER, seq: Number.MAX_SAFE_INTEGER };

function createListEndpoints(db: Database): WebhookEndpointStore['listWebhookEndpoints'] {
  const findCursor = db.prepare<[string, string], Cursor>(
    'select created_at, seq from webhook_endpoints where id = ? and owner = ?',
  );
  const newestFirst = db.prepare<[string, number, number, number], EndpointRow>(`
    select seq, id, owner, name, url, event_types, status, disabled_reason, secret_hint, created_at, updated_at
    from webhook_endpoints
    where owner = ? and (created_at, seq) < (?, ?)
    order by created_at desc, seq desc
    limit ?
  `);
  return async (owner, after, limit) => {
    const cursor = after === undefined ? AFTER_ALL : findCursor.get(after, owner);
    if (cursor === undefined) return null;
    const rows = newestFirst.all(owner, cursor.created_at, cursor.seq, limit + 1);
    return { data: rows.slice(0, limit).map(toEndpoint), hasMore: rows.length > limit };
  };
}

/** What owners do with their webhook endpoints. */
export function createEndpointWrites(db: Database): EndpointWrites {
  const find = createFindEndpoint(db);
  const insert = createInsertEndpoint(db);
  const update = createUpdateEndpoint(db, find);
  const rotate = createRotateSecret(db, find);
  const remove = createDeleteEndpoint(db, find);
  return {
    insertWebhookEndpoint: async (endpoint, secret, max) => insert(endpoint, secret, max),
    updateWebhookEndpoint: async (...update_) => update(...update_),
    rotateWebhookSecret: async (rotation) => rotate(rotation),
    deleteWebhookEndpoint: async (owner, id) => remove(owner, id),
  };
}

function createInsertEndpoint(db: Database) {
  const count = db
    .prepare<[string], number>('select count(*) from webhook_endpoints where owner = ?')
    .pluck();
  const insert = db.prepare(`
    insert into webhook_endpoints (
      id, owner, name, url, event_types, status, disabled_reason, secret, secret_hint, created_at, updated_at
    )
    values (
      :id, :owner, :name, :url, :eventTypes, :status, :disabledReason, :secret, :secretHint, :createdAt, :updatedAt
    )
  `);
  return transaction(db, (endpoint: WebhookEndpoint, secret: string, max: number): 'ok' | 'full' => {
    if ((count.get(endpoint.owner) ?? 0) >= max) return 'full';
    insert.run({ ...endpoint, eventTypes: JSON.stringify(endpoint.eventTypes), secret });
    return 'ok';
  });
}

function createUpdateEndpoint(db: Database, find: FindEndpoint) {
  const write = db.prepare(`
    update webhook_endpoints
    set name = :name, url = :url, event_types = :eventTypes, status = :status, disabled_reason = :disabledReason,
      updated_at = :updatedAt, failing_since = iif(:isFresh, null, failing_since)
    where seq = :seq
  `);
  const redirect = db.prepare<[string, number]>(
    "update deliveries set url = ? where endpoint = ? and state = 'pending'",
  );
  const endPending = createEndPending(db);
  type Args = Parameters<WebhookEndpointStore['updateWebhookEndpoint']>;
  return transaction(db, (...[owner, id, changes, now]: Args): WebhookEndpoint | null => {
    const found = find(owner, id);
    if (found === undefined) return null;
    const { seq, endpoint: before } = found;
    const after = changeEndpoint(before, changes, now);
    if (after === before) return before;
    const eventTypes = JSON.stringify(after.eventTypes);
    write.run({ ...after, eventTypes, seq, isFresh: isFreshStart(before, after) ? 1 : 0 });
    if (after.url !== before.url) redirect.run(after.url, seq);
    if (after.status === 'disabled') endPending(seq);
    return after;
  });
}

function createRotateSecret(db: Database, find: FindEndpoint) {
  const write = db.prepare(`
    update webhook_endpoints
    set old_secret = iif(:oldUntil is null, null, secret), old_secret_until = :oldUntil, secret = :secret,
      secret_hint = :hint, updated_at = max(:now, updated_at)
    where seq = :seq
  `);
  type Rotation = Parameters<WebhookEndpointStore['rotateWebhookSecret']>[0];
  return transaction(db, ({ owner, id, secret, oldUntil, now }: Rotation): WebhookEndpoint | null => {
    const found = find(owner, id);
    if (found === undefined) return null;
    write.run({ seq: found.seq, secret, hint: secretHintOf(secret), oldUntil, now });
    return find(owner, id)?.endpoint ?? null;
  });
}

function createDeleteEndpoint(db: Database, find: FindEndpoint) {
  const dropPending = db.prepare<[number]>("delete from deliveries where endpoint = ? and state = 'pending'");
  const remove = db.prepare<[number]>('delete from webhook_endpoints where seq = ?');
  return transaction(db, (owner: string, id: string): boolean => {
    const found = find(owner, id);
    if (found === undefined) return false;
    dropPending.run(found.seq);
    remove.run(found.seq);
    return true;
  });
}
