import type { Database } from 'better-sqlite3';
import type { OwnerUsage } from '../../engine/owner.ts';

/** What owners use now. */
export interface ReadUsage {
  readonly storedBytes: (owner: string) => number;
  readonly batches: (owner: string) => Omit<OwnerUsage, 'storedBytes'>;
}

export function createReadUsage(db: Database): ReadUsage {
  const storedBytes = db
    .prepare<[string], number>('select stored_bytes from owner_usage where owner = ?')
    .pluck();
  const batches = db.prepare<[string], Omit<OwnerUsage, 'storedBytes'>>(`
    select coalesce(sum(lines_left), 0) as queuedLines, count(*) as liveBatches
    from batches indexed by batches_live_by_owner
    where owner = ? and status in ('validating', 'in_progress', 'finalizing', 'cancelling')
  `);
  return {
    storedBytes: (owner) => storedBytes.get(owner) ?? 0,
    batches: (owner) => batches.get(owner) ?? { queuedLines: 0, liveBatches: 0 },
  };
}
