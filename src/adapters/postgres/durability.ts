import type { Database } from './database.ts';

/**
 * Rejects where commits are answered before they are durable. Everything that clients are told, and every result that is not asked
 * for a second time, relies on that.
 */
export async function checkDurability(db: Database): Promise<void> {
  const row = await db.get<{ readonly level: string }>(
    "select current_setting('synchronous_commit') as level",
  );
  if (row?.level !== 'off') return;
  throw new Error(
    'The database answers commits before they are durable (synchronous_commit = off): set it to on for this database or user.',
  );
}
