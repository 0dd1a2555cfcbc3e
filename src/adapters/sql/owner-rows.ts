/** Owners as rows. */
import type { Owner } from '../../engine/owners/owner.ts';

export interface OwnerRow {
  readonly owner: string;
  readonly weight: number;
  readonly requests_per_minute: number | null;
  readonly max_stored_bytes: number | null;
  readonly max_queued_lines: number | null;
  readonly max_live_batches: number | null;
}

export function toOwner(row: OwnerRow): Owner {
  return {
    name: row.owner,
    weight: row.weight,
    requestsPerMinute: row.requests_per_minute,
    maxStoredBytes: row.max_stored_bytes,
    maxQueuedLines: row.max_queued_lines,
    maxLiveBatches: row.max_live_batches,
  };
}
