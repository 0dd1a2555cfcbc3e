import type { Database } from 'better-sqlite3';
import type { ApiKey } from '../../engine/owners/api-key.ts';
import type { ApiKeyQuery, ApiKeyRotation, ApiKeyStore, RotateApiKeyResult } from '../../engine/ports.ts';
import { toApiKey } from '../sql/api-key-rows.ts';
import type { ApiKeyRow } from '../sql/api-key-rows.ts';
import { fromList } from '../sql/rows.ts';
import { transaction } from './transaction.ts';

type ReadVerb = 'findApiKey' | 'getApiKey' | 'listApiKeys' | 'hasApiKeys';

/** Keys that an administrator hands out. */
export function createApiKeyVerbs(db: Database): ApiKeyStore {
  return { ...createReads(db), ...createWrites(db) };
}

function createReads(db: Database): Pick<ApiKeyStore, ReadVerb> {
  const find = db.prepare<[string, number], ApiKeyRow>(`
    select id, owner, name, hint, models, endpoints, created_at, expires_at, revoked_at, last_used_at,
      requests_per_minute
    from api_keys
    where hash = ? and revoked_at is null and (expires_at is null or expires_at > ?)
  `);
  const findByOld = db.prepare<[string, number, number], ApiKeyRow>(`
    select id, owner, name, hint, models, endpoints, created_at, expires_at, revoked_at, last_used_at,
      requests_per_minute
    from api_keys
    where old_hash = ?
      and old_hash_until > ?
      and revoked_at is null
      and (expires_at is null or expires_at > ?)
  `);
  const get = createGet(db);
  // By the rowid, which every row has: the first one is enough.
  const exists = db.prepare<[], number>('select exists (select 1 from api_keys where seq > 0)').pluck();

  return {
    findApiKey: async (hash, now) => {
      const row = find.get(hash, now) ?? findByOld.get(hash, now, now);
      return row === undefined ? null : toApiKey(row);
    },
    getApiKey: async (id) => get(id),
    listApiKeys: createList(db),
    hasApiKeys: async () => exists.get() === 1,
  };
}

function createGet(db: Database): (id: string) => ApiKey | null {
  const get = db.prepare<[string], ApiKeyRow>(`
    select id, owner, name, hint, models, endpoints, created_at, expires_at, revoked_at, last_used_at,
      requests_per_minute
    from api_keys
    where id = ?
  `);
  return (id) => {
    const row = get.get(id);
    return row === undefined ? null : toApiKey(row);
  };
}

function createList(db: Database): ApiKeyStore['listApiKeys'] {
  const findSeq = db.prepare<[string], number>('select seq from api_keys where id = ?').pluck();
  const ofAll = db.prepare<[number, number], ApiKeyRow>(`
    select id, owner, name, hint, models, endpoints, created_at, expires_at, revoked_at, last_used_at,
      requests_per_minute
    from api_keys
    where seq < ?
    order by seq desc
    limit ?
  `);
  const ofOwner = db.prepare<[string, number, number], ApiKeyRow>(`
    select id, owner, name, hint, models, endpoints, created_at, expires_at, revoked_at, last_used_at,
      requests_per_minute
    from api_keys
    where owner = ? and seq < ?
    order by seq desc
    limit ?
  `);
  return async ({ owner, after, limit }: ApiKeyQuery) => {
    const before = after === undefined ? Number.MAX_SAFE_INTEGER : findSeq.get(after);
    if (before === undefined) return null;
    const rows = owner === undefined ? ofAll.all(before, limit + 1) : ofOwner.all(owner, before, limit + 1);
    return { data: rows.slice(0, limit).map(toApiKey), hasMore: rows.length > limit };
  };
}

function createWrites(db: Database): Omit<ApiKeyStore, ReadVerb> {
  const insert = db.prepare(`
    insert into api_keys (
      id, owner, name, hint, hash, models, endpoints, created_at, expires_at, revoked_at, last_used_at,
      requests_per_minute
    )
    values (
      :id, :owner, :name, :hint, :hash, :models, :endpoints, :createdAt, :expiresAt, :revokedAt, :lastUsedAt,
      :requestsPerMinute
    )
  `);
  const revoke = db.prepare<[number, string]>(
    'update api_keys set revoked_at = coalesce(revoked_at, ?) where id = ?',
  );
  const noteUse = db.prepare<[number, string]>('update api_keys set last_used_at = ? where id = ?');
  const rotate = createRotate(db);

  return {
    insertApiKey: async (key, hash) => {
      insert.run({ ...key, hash, models: fromList(key.models), endpoints: fromList(key.endpoints) });
    },
    revokeApiKey: async (id, now) => revoke.run(now, id).changes === 1,
    rotateApiKey: async (rotation) => rotate(rotation),
    noteApiKeyUse: async (id, now) => {
      noteUse.run(now, id);
    },
  };
}

function createRotate(db: Database): (rotation: ApiKeyRotation) => RotateApiKeyResult {
  const get = createGet(db);
  const rotate = db.prepare<[number, string, string, string]>(
    'update api_keys set old_hash = hash, old_hash_until = ?, hash = ?, hint = ? where id = ?',
  );
  return transaction(db, ({ id, now, hash, hint, keepOldUntil }: ApiKeyRotation): RotateApiKeyResult => {
    const key = get(id);
    if (key === null) return { kind: 'missing' };
    if (key.revokedAt !== null) return { kind: 'refused', reason: 'revoked' };
    if (key.expiresAt !== null && key.expiresAt <= now) return { kind: 'refused', reason: 'expired' };
    rotate.run(keepOldUntil, hash, hint, id);
    return { kind: 'ok', key: { ...key, hint } };
  });
}
