import type { ApiKeyRotation, ApiKeyStore, RotateApiKeyResult } from '../../engine/ports.ts';
import { toApiKey } from '../sql/api-key-rows.ts';
import type { ApiKeyRow } from '../sql/api-key-rows.ts';
import { fromList } from '../sql/rows.ts';
import type { Database, Sql } from './database.ts';

type ReadVerb = 'findApiKey' | 'getApiKey' | 'listApiKeys' | 'hasApiKeys';

/** Keys that an administrator hands out. */
export function createApiKeyVerbs(db: Database): ApiKeyStore {
  return { ...createReads(db), ...createWrites(db) };
}

const COLUMNS =
  'id, owner, name, hint, models, endpoints, created_at, expires_at, revoked_at, last_used_at, requests_per_minute';

function createReads(db: Database): Pick<ApiKeyStore, ReadVerb> {
  return {
    async findApiKey(hash, now) {
      const row = await db.get<ApiKeyRow>(
        `
        select ${COLUMNS}
        from api_keys
        where (hash = $1 or (old_hash = $1 and old_hash_until > $2))
          and revoked_at is null
          and (expires_at is null or expires_at > $2)
        `,
        hash,
        now,
      );
      return row === undefined ? null : toApiKey(row);
    },
    async getApiKey(id) {
      const row = await db.get<ApiKeyRow>(`select ${COLUMNS} from api_keys where id = $1`, id);
      return row === undefined ? null : toApiKey(row);
    },
    async listApiKeys({ owner, after, limit }) {
      const cursor = after === undefined ? { seq: Number.MAX_SAFE_INTEGER } : await findSeq(db, after);
      if (cursor === undefined) return null;
      const rows = await db.all<ApiKeyRow>(
        `
        select ${COLUMNS}
        from api_keys
        where ($1::text is null or owner = $1) and seq < $2
        order by seq desc
        limit $3
        `,
        owner ?? null,
        cursor.seq,
        limit + 1,
      );
      return { data: rows.slice(0, limit).map(toApiKey), hasMore: rows.length > limit };
    },
    hasApiKeys: async () => (await db.get('select from api_keys limit 1')) !== undefined,
  };
}

async function findSeq(sql: Sql, id: string): Promise<{ readonly seq: number } | undefined> {
  return await sql.get('select seq from api_keys where id = $1', id);
}

function createWrites(db: Database): Omit<ApiKeyStore, ReadVerb> {
  return {
    insertApiKey: (key, hash) =>
      db.transaction(async (sql) => {
        await sql.run(
          `
          insert into api_keys (
            id, owner, name, hint, hash, models, endpoints, created_at, expires_at, revoked_at, last_used_at,
            requests_per_minute
          )
          values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
          `,
          key.id,
          key.owner,
          key.name,
          key.hint,
          hash,
          fromList(key.models),
          fromList(key.endpoints),
          key.createdAt,
          key.expiresAt,
          key.revokedAt,
          key.lastUsedAt,
          key.requestsPerMinute,
        );
      }),
    revokeApiKey: (id, now) =>
      db.transaction(async (sql) => {
        const changed = await sql.run(
          'update api_keys set revoked_at = coalesce(revoked_at, $1) where id = $2',
          now,
          id,
        );
        return changed === 1;
      }),
    rotateApiKey: (rotation) => db.transaction((sql) => rotateApiKey(sql, rotation)),
    noteApiKeyUse: (id, now) =>
      db.transaction(async (sql) => {
        await sql.run('update api_keys set last_used_at = $1 where id = $2', now, id);
      }),
  };
}

async function rotateApiKey(
  sql: Sql,
  { id, now, hash, hint, keepOldUntil }: ApiKeyRotation,
): Promise<RotateApiKeyResult> {
  const row = await sql.get<ApiKeyRow>(`select ${COLUMNS} from api_keys where id = $1 for update`, id);
  if (row === undefined) return { kind: 'missing' };
  const key = toApiKey(row);
  if (key.revokedAt !== null) return { kind: 'refused', reason: 'revoked' };
  if (key.expiresAt !== null && key.expiresAt <= now) return { kind: 'refused', reason: 'expired' };
  await sql.run(
    'update api_keys set old_hash = hash, old_hash_until = $1, hash = $2, hint = $3 where id = $4',
    keepOldUntil,
    hash,
    hint,
    id,
  );
  return { kind: 'ok', key: { ...key, hint } };
}
