import type { Database } from 'better-sqlite3';
import { changedOwner, OWNER_FIELDS } from '../../engine/owners/owner.ts';
import type { Owner } from '../../engine/owners/owner.ts';
import type { OwnerQuery, OwnerStore } from '../../engine/owners/owner-store.ts';
import { toOwner } from '../sql/owner-rows.ts';
import type { OwnerRow } from '../sql/owner-rows.ts';
import { createReadUsage } from './owner-usage.ts';

/** Owners in SQLite. */
export function createOwnerVerbs(db: Database): OwnerStore {
  const get = db.prepare<[string], OwnerRow>(`
    select owner, weight, requests_per_minute, max_stored_bytes, max_queued_lines, max_live_batches
    from owners
    where owner = ?
  `);
  const usage = createReadUsage(db);
  const put = db.prepare<[Owner]>(`
    insert into owners (owner, weight, requests_per_minute, max_stored_bytes, max_queued_lines, max_live_batches)
    values (:name, :weight, :requestsPerMinute, :maxStoredBytes, :maxQueuedLines, :maxLiveBatches)
    on conflict (owner) do update set
      weight = excluded.weight,
      requests_per_minute = excluded.requests_per_minute,
      max_stored_bytes = excluded.max_stored_bytes,
      max_queued_lines = excluded.max_queued_lines,
      max_live_batches = excluded.max_live_batches
  `);
  const read = (name: string): Owner | null => {
    const row = get.get(name);
    return row === undefined ? null : toOwner(row);
  };
  return {
    getOwner: async (name) => read(name),
    async putOwner(owner, only = OWNER_FIELDS) {
      // Nothing comes between the two: one process owns the database, and neither waits.
      const changed = changedOwner(read(owner.name) ?? owner, owner, only);
      put.run(changed);
      return changed;
    },
    listOwnerNames: createListNames(db),
    readOwnerUsage: async (name) => usage.all(name),
  };
}

/** Three places may know an owner; each gives the first names of its own. */
function createListNames(db: Database): OwnerStore['listOwnerNames'] {
  const places = [
    'select owner from owners where owner > ? order by owner limit ?',
    'select owner from owner_usage where owner > ? and stored_bytes > 0 order by owner limit ?',
    'select distinct owner from api_keys where owner > ? order by owner limit ?',
  ].map((text) => db.prepare<[string, number], string>(text).pluck());
  return async ({ after = '', limit }: OwnerQuery) => {
    const names = new Set(places.flatMap((place) => place.all(after, limit + 1)));
    const sorted = [...names].toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    return { data: sorted.slice(0, limit), hasMore: sorted.length > limit };
  };
}
