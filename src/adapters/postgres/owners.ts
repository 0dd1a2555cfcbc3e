import { OWNER_FIELDS } from '../../engine/owners/owner.ts';
import type { Owner, OwnerField } from '../../engine/owners/owner.ts';
import type { OwnerStore } from '../../engine/owners/owner-store.ts';
import { toOwner } from '../sql/owner-rows.ts';
import type { OwnerRow } from '../sql/owner-rows.ts';
import type { Database, Sql } from './database.ts';
import { readUsage } from './owner-usage.ts';

/** Owners in PostgreSQL. */
export function createOwnerVerbs(db: Database): OwnerStore {
  return {
    async getOwner(name) {
      const row = await db.get<OwnerRow>(
        `
        select owner, weight, requests_per_minute, max_stored_bytes, max_queued_lines, max_live_batches
        from owners
        where owner = $1
        `,
        name,
      );
      return row === undefined ? null : toOwner(row);
    },
    putOwner: (owner, only = OWNER_FIELDS) => db.transaction((sql) => putOwner(sql, owner, only)),
    async listOwnerNames({ after = '', limit }) {
      // Three places may know an owner; each gives the first names of its own.
      const rows = await db.all<{ readonly owner: string }>(
        `
        select owner from (
          (select owner from owners where owner > $1 order by owner limit $2)
          union
          (select owner from owner_usage where owner > $1 and stored_bytes > 0 order by owner limit $2)
          union
          (select distinct owner from api_keys where owner > $1 order by owner limit $2)
        ) as known
        order by owner
        limit $2
        `,
        after,
        limit + 1,
      );
      return { data: rows.slice(0, limit).map(({ owner }) => owner), hasMore: rows.length > limit };
    },
    readOwnerUsage: (name) => readUsage(db, name),
  };
}

const COLUMNS: Readonly<Record<OwnerField, string>> = {
  weight: 'weight',
  requestsPerMinute: 'requests_per_minute',
  maxStoredBytes: 'max_stored_bytes',
  maxQueuedLines: 'max_queued_lines',
  maxLiveBatches: 'max_live_batches',
};

/** One statement, so that of two at once neither undoes what the other sets. */
async function putOwner(sql: Sql, owner: Owner, only: readonly OwnerField[]): Promise<Owner> {
  const changes = only.map((field) => `${COLUMNS[field]} = excluded.${COLUMNS[field]}`);
  const row = await sql.get<OwnerRow>(
    `
    insert into owners (
      owner, weight, requests_per_minute, max_stored_bytes, max_queued_lines, max_live_batches
    )
    values ($1, $2, $3, $4, $5, $6)
    on conflict (owner) do update set ${changes.join(', ')}
    returning owner, weight, requests_per_minute, max_stored_bytes, max_queued_lines, max_live_batches
    `,
    owner.name,
    ...OWNER_FIELDS.map((field) => owner[field]),
  );
  return row === undefined ? owner : toOwner(row);
}
