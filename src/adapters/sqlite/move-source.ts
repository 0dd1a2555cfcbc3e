import Database from 'better-sqlite3';
import type { BlobRef } from '../../engine/files/file.ts';
import { columnsOf, liveCountsSql, MOVED_TABLES } from '../sql/moved-tables.ts';
import type { LiveCounts, MovedRow, MovedTable, RowPlace } from '../sql/moved-tables.ts';
import { createLeaseVerbs } from './leases.ts';
import { NAMED_BLOBS } from './named-blobs.ts';
import { openDatabase } from './open.ts';

/** A database whose rows are to move to another one. Nobody else may use it meanwhile. */
export interface MoveSource {
  /** A page of the table's rows, in the order of its key, after `place` (null: from the first one). */
  readRows(table: MovedTable, place: RowPlace | null, limit: number): readonly MovedRow[];
  countRows(table: MovedTable): number;
  /** The highest `seq` that the table ever had, as far as that is known; 0: none. */
  highestSeq(table: MovedTable): number;
  /** A page of the blobs that rows name, each once, by key. */
  readBlobs(afterKey: string, limit: number): readonly BlobRef[];
  countBlobs(): { readonly blobs: number; readonly bytes: number };
  /** Live batches, by `seq`. */
  readLiveCounts(afterSeq: number, limit: number): readonly LiveCounts[];
  /** The id of the batch with this `seq`. */
  batchId(seq: number): string;
  close(): void;
}

/**
 * Opens the SQLite file at `path`, which must be there; brings its tables up to date and frees what the last process held, as a
 * start of the service does.
 */
export async function openMoveSource({ path }: { readonly path: string }): Promise<MoveSource> {
  const db = openDatabase(path);
  try {
    await createLeaseVerbs(db).releaseDeadLeases(0);
    return createSource(db);
  } catch (error) {
    db.close();
    throw error;
  }
}

function createSource(db: Database.Database): MoveSource {
  const pages = new Map(MOVED_TABLES.map((table) => [table, preparePages(db, table)]));
  const liveCounts = db.prepare<[number, number], LiveCounts>(liveCountsSql('?', '?'));
  const blobs = db.prepare<[string, number], BlobRef>(
    `select key, bytes from (${NAMED_BLOBS}) where key > ? order by key limit ?`,
  );
  const sumBlobs = db.prepare<[], { readonly blobs: number; readonly bytes: number }>(
    `select count(*) as blobs, coalesce(sum(bytes), 0) as bytes from (${NAMED_BLOBS})`,
  );
  const findId = db.prepare<[number], string>('select id from batches where seq = ?').pluck();
  return {
    readRows: (table, place, limit) => pages.get(table)?.(place, limit) ?? [],
    countRows: ({ name }) => db.prepare<[], number>(`select count(*) from ${name}`).pluck().get() ?? 0,
    highestSeq: ({ name }) =>
      Math.max(
        db.prepare<[], number>(`select coalesce(max(seq), 0) from ${name}`).pluck().get() ?? 0,
        db.prepare<[string], number>('select seq from sqlite_sequence where name = ?').pluck().get(name) ?? 0,
      ),
    readBlobs: (afterKey, limit) => blobs.all(afterKey, limit),
    countBlobs: () => sumBlobs.get() ?? { blobs: 0, bytes: 0 },
    readLiveCounts: (afterSeq, limit) => liveCounts.all(afterSeq, limit),
    batchId(seq) {
      const id = findId.get(seq);
      if (id === undefined) throw new Error(`there is no batch with seq ${seq}`);
      return id;
    },
    close: () => db.close(),
  };
}

function preparePages(
  db: Database.Database,
  table: MovedTable,
): (place: RowPlace | null, limit: number) => MovedRow[] {
  const select = `select ${columnsOf(table).join(', ')} from ${table.name}`;
  const key = table.key.join(', ');
  const first = db.prepare<[number], MovedRow>(`${select} order by ${key} limit ?`);
  const next = db.prepare<(string | number)[], MovedRow>(
    `${select} where (${key}) > (${table.key.map(() => '?').join(', ')}) order by ${key} limit ?`,
  );
  return (place, limit) => (place === null ? first.all(limit) : next.all(...place, limit));
}
