import type { OwnerStore } from '../../engine/owners/owner-store.ts';
import { toOwner } from '../sql/owner-rows.ts';
import type { OwnerRow } from '../sql/owner-rows.ts';
import type { Database } from './database.ts';
import { readBatchUsage, readStoredBytes } from './owner-usage.ts';

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
    putOwner: ({ name, weight, requestsPerMinute, maxStoredBytes, maxQueuedLines, maxLiveBatches }) =>
      db.transaction(async (sql) => {
        await sql.run(
          `
          insert into owners (
            owner, weight, requests_per_minute, max_stored_bytes, max_queued_lines, max_live_batches
          )
          values ($1, $2, $3, $4, $5, $6)
          on conflict (owner) do update set
            weight = excluded.weight,
            requests_per_minute = excluded.requests_per_minute,
            max_stored_bytes = excluded.max_stored_bytes,
            max_queued_lines = excluded.max_queued_lines,
            max_live_batches = excluded.max_live_batches
          `,
          name,
          weight,
          requestsPerMinute,
          maxStoredBytes,
          maxQueuedLines,
          maxLiveBatches,
        );
      }),
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
    readOwnerUsage: async (name) => ({
      storedBytes: await readStoredBytes(db, name),
      ...(await readBatchUsage(db, name)),
    }),
  };
}
