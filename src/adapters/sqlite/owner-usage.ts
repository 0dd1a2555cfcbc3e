import type { Database } from 'better-sqlite3';
import { findBatchOverLimit, findOverLimit, limitsUsage } from '../../engine/owners/owner.ts';
import type { OverLimit, OwnerLimits, OwnerUsage } from '../../engine/owners/owner.ts';

/** What owners use now. */
export interface ReadUsage {
  readonly storedBytes: (owner: string) => number;
  readonly batches: (owner: string) => Omit<OwnerUsage, 'storedBytes'>;
  readonly all: (owner: string) => OwnerUsage;
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
  const usage: Omit<ReadUsage, 'all'> = {
    storedBytes: (owner) => storedBytes.get(owner) ?? 0,
    batches: (owner) => batches.get(owner) ?? { queuedLines: 0, liveBatches: 0 },
  };
  return { ...usage, all: (owner) => ({ storedBytes: usage.storedBytes(owner), ...usage.batches(owner) }) };
}

/** The limits of owners, within the caller's transaction. Null: there is room. Without `limits` nothing is looked at. */
export interface Room {
  /** For bytes. */
  readonly bytes: (owner: string, limits: OwnerLimits | undefined, bytes: number) => OverLimit | null;
  /** For a new batch; `lines`: as many as are known. */
  readonly batch: (owner: string, limits: OwnerLimits | undefined, lines: number) => OverLimit | null;
  /** For the lines of a batch that none were known of. */
  readonly lines: (owner: string, limits: OwnerLimits | undefined, lines: number) => OverLimit | null;
}

export function createRoom(db: Database): Room {
  const usage = createReadUsage(db);
  return {
    bytes(owner, limits, bytes) {
      if (limits === undefined || limits.maxStoredBytes === null) return null;
      return findOverLimit('storedBytes', limits.maxStoredBytes, usage.storedBytes(owner), bytes);
    },
    batch(owner, limits, lines) {
      if (limits === undefined || !limitsUsage(limits)) return null;
      return findBatchOverLimit(limits, usage.all(owner), lines);
    },
    lines(owner, limits, lines) {
      if (limits === undefined || limits.maxQueuedLines === null) return null;
      return findOverLimit('queuedLines', limits.maxQueuedLines, usage.batches(owner).queuedLines, lines);
    },
  };
}
