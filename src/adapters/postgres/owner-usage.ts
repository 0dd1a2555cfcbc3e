import { findBatchOverLimit, findOverLimit, limitsUsage } from '../../engine/owners/owner.ts';
import type { OverLimit, OwnerLimits, OwnerUsage } from '../../engine/owners/owner.ts';
import type { Sql } from './database.ts';

/** Bytes of an owner's files, and of the parts of its pending uploads. */
async function readStoredBytes(sql: Sql, owner: string): Promise<number> {
  const row = await sql.get<{ readonly stored_bytes: number }>(
    'select stored_bytes from owner_usage where owner = $1',
    owner,
  );
  return row?.stored_bytes ?? 0;
}

/** What an owner's live batches use. */
async function readBatchUsage(sql: Sql, owner: string): Promise<Omit<OwnerUsage, 'storedBytes'>> {
  const row = await sql.get<{ readonly lines: number; readonly batches: number }>(
    `
    select coalesce(sum(lines_left), 0)::bigint as lines, count(*) as batches
    from batches
    where owner = $1 and status in ('validating', 'in_progress', 'finalizing', 'cancelling')
    `,
    owner,
  );
  return { queuedLines: row?.lines ?? 0, liveBatches: row?.batches ?? 0 };
}

/** All that an owner uses. */
export async function readUsage(sql: Sql, owner: string): Promise<OwnerUsage> {
  return { storedBytes: await readStoredBytes(sql, owner), ...(await readBatchUsage(sql, owner)) };
}

/** Null where the owner has room for the bytes. Without `limits` nothing is looked at. */
export async function refuseBytes(
  sql: Sql,
  owner: string,
  limits: OwnerLimits | undefined,
  bytes: number,
): Promise<OverLimit | null> {
  if (limits === undefined || limits.maxStoredBytes === null) return null;
  await lockUsage(sql, owner);
  return findOverLimit('storedBytes', limits.maxStoredBytes, await readStoredBytes(sql, owner), bytes);
}

/** The same for a new batch; `lines`: as many as are known. */
export async function refuseBatch(
  sql: Sql,
  owner: string,
  limits: OwnerLimits | undefined,
  lines: number,
): Promise<OverLimit | null> {
  if (limits === undefined || !limitsUsage(limits)) return null;
  await lockUsage(sql, owner);
  return findBatchOverLimit(limits, await readUsage(sql, owner), lines);
}

/** The same for the lines of a batch that none were known of. */
export async function refuseLines(
  sql: Sql,
  owner: string,
  limits: OwnerLimits | undefined,
  lines: number,
): Promise<OverLimit | null> {
  if (limits === undefined || limits.maxQueuedLines === null) return null;
  await lockUsage(sql, owner);
  return findOverLimit(
    'queuedLines',
    limits.maxQueuedLines,
    (await readBatchUsage(sql, owner)).queuedLines,
    lines,
  );
}

/** Of those who ask for the last room of an owner one must wait until it is known whether the other has taken it. */
async function lockUsage(sql: Sql, owner: string): Promise<void> {
  await sql.run('insert into owner_usage (owner, stored_bytes) values ($1, 0) on conflict do nothing', owner);
  await sql.get('select from owner_usage where owner = $1 for update', owner);
}
