import Database from 'better-sqlite3';
import type { Reserve } from './reserve.ts';

type Verb = (...args: never[]) => Promise<unknown>;

/** True where the disk has no room for the database. */
export function isFull(error: unknown): boolean {
  // The second one: the index of the write-ahead log could not grow.
  return error instanceof Database.SqliteError && /^SQLITE_(FULL|IOERR_SHMSIZE)$/.test(error.code);
}

/**
 * Makes a commit that failed certain not to be there. Its pages lie in the write-ahead log whole where only their
 * sync failed: a process that is killed now would find them at its next start, take them for committed, and what was
 * refused would be there. The next commit overwrites them, so one is made at once.
 */
export function overwriteFailedCommits<V extends Record<keyof V, Verb>>(db: Database.Database, verbs: V): V {
  return mapVerbs(verbs, async (run) => {
    try {
      return await run();
    } catch (error) {
      if (error instanceof Database.SqliteError && error.code.startsWith('SQLITE_IOERR')) overwrite(db);
      throw error;
    }
  });
}

function overwrite(db: Database.Database): void {
  try {
    // Writes the first page with what it holds already.
    db.pragma('user_version = 0');
  } catch {
    // The disk is still ill. Its pages are written all the same.
  }
}

/** Lets verbs that remove something go on where the disk is full, by giving up some of the reserve. */
export function spendReserve<V extends Record<keyof V, Verb>>(reserve: Reserve, verbs: V): V {
  return mapVerbs(verbs, async (run) => {
    for (;;) {
      try {
        return await run();
      } catch (error) {
        if (!isFull(error) || !reserve.spend()) throw error;
      }
    }
  });
}

function mapVerbs<V extends Record<keyof V, Verb>>(
  verbs: V,
  wrap: (run: () => Promise<unknown>) => Promise<unknown>,
): V {
  const wrapped = Object.entries<Verb>(verbs).map(([name, verb]) => [
    name,
    (...args: never[]) => wrap(() => verb(...args)),
  ]);
  return Object.fromEntries(wrapped) as V;
}
