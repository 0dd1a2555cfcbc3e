import type { Database } from 'better-sqlite3';

/**
 * Makes `work` one transaction: all of it or, where it throws, nothing. It takes the write lock before its first
 * read, so that what it reads is still true when it writes.
 */
export function transaction<Args extends unknown[], Result>(
  db: Database,
  work: (...args: Args) => Result,
): (...args: Args) => Result {
  const run = db.transaction(work);
  return (...args) => run.immediate(...args);
}
