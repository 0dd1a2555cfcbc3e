import Database from 'better-sqlite3';

/** Free pages that may stay: the next batch needs some at once. 1 MiB. */
const SPARE_PAGES = 256;
/** Pages given back at a time: each is a short write of its own, in which nothing else can be done. */
const SLICE_PAGES = 256;
const SLICE_INTERVAL_MS = 250;

/** Gives room that the database does not need any more back to the file system. */
export interface Trim {
  /** Begins to, where there is more than a little. Cheap; to be called when much may have been deleted. */
  start(): void;
  stop(): void;
}

/**
 * A large batch takes some 20 bytes a line in the database while it runs. Its pages are free when it has ended, and without
 * this the file would keep the size of the largest batches ever. In slices, for one of the loop's holds of a few milliseconds
 * is not felt and a whole `vacuum` is. Needs a database with `auto_vacuum = incremental`. A slice that fails changes nothing,
 * and the next end of a batch begins anew.
 */
export function createTrim(db: Database.Database): Trim {
  let timer: NodeJS.Timeout | null = null;

  const hasMore = (): boolean => (db.pragma('freelist_count', { simple: true }) as number) > SPARE_PAGES;

  function slice(): void {
    timer = null;
    try {
      // One step of the statement frees one page; `exec` makes them all.
      db.exec(`pragma incremental_vacuum(${SLICE_PAGES})`);
      if (hasMore()) schedule();
      // The file is cut when its pages are brought over from the write-ahead log.
      else db.pragma('wal_checkpoint(passive)');
    } catch (error) {
      // The disk is full or ill: tidying is the last thing that matters then.
      if (!(error instanceof Database.SqliteError)) throw error;
    }
  }

  function schedule(): void {
    timer ??= setTimeout(slice, SLICE_INTERVAL_MS).unref();
  }

  return {
    start() {
      if (timer === null && hasMore()) schedule();
    },
    stop() {
      if (timer !== null) clearTimeout(timer);
      timer = null;
    },
  };
}
