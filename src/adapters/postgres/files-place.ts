/** A database and the files that its rows name belong together. */
import type { Database } from './database.ts';

/** Where the files are by the settings of this process. */
export interface FilesPlace {
  /** `s3://bucket/prefix`, or `a data folder`. */
  readonly place: string;
  /** What lies beside the files and names their database. */
  readonly mark: {
    /** The id of the database that the files belong to, or null. */
    read(): Promise<string | null>;
    /** Durably. */
    write(databaseId: string): Promise<void>;
  };
  /** For a move only: the id of the database whose rows are moved here, which had the files so far; null: it has none. */
  readonly movedFrom?: string | null | undefined;
}

/**
 * Notes where the files are, the first time; later refuses every other place. Files that belong to another database are refused as
 * well: no row of this one names them, so they would be removed as leftovers.
 */
export async function bindFiles(db: Database, files: FilesPlace): Promise<void> {
  const { databaseId, known, owner } = await checkFiles(db, files);
  // Before the database says so: after a crash in between, the next start goes on here.
  if (owner !== databaseId) await files.mark.write(databaseId);
  if (known === null) await notePlace(db, files.place);
}

interface FoundFiles {
  readonly databaseId: string;
  /** The place that the database has noted. */
  readonly known: string | null;
  /** The id of the database that the files belong to. */
  readonly owner: string | null;
}

/** Rejects where `bindFiles` would, and changes nothing. */
export async function checkFiles(db: Database, { place, mark, movedFrom }: FilesPlace): Promise<FoundFiles> {
  const { databaseId, place: known } = await readPlace(db);
  if (known !== null && known !== place) throw elsewhere(known, place);
  const owner = await mark.read();
  if (owner !== null && owner !== databaseId && owner !== movedFrom) {
    throw movedFrom === undefined ? ofAnother(place) : cannotMoveTo(place);
  }
  if (owner === null && known !== null && movedFrom === undefined) {
    throw new Error(
      `The files of this database are not there: ${place} has no database-id, so that BLOB_URL or DATA_DIR says another one, or a new one.`,
    );
  }
  return { databaseId, known, owner };
}

async function readPlace(
  db: Database,
): Promise<{ readonly databaseId: string; readonly place: string | null }> {
  return await db.transaction(async (sql) => {
    await sql.run('insert into files_place default values on conflict do nothing');
    const row = await sql.get<{ readonly databaseId: string; readonly place: string | null }>(
      'select database_id as "databaseId", place from files_place',
    );
    if (row === undefined) throw new Error('the table files_place has no row');
    return row;
  });
}

/** Of several processes that start at once, the first one's place is the place. */
async function notePlace(db: Database, place: string): Promise<void> {
  const first = await db.transaction(async (sql) => {
    await sql.run('update files_place set place = $1 where place is null', place);
    return await sql.get<{ readonly place: string }>('select place from files_place');
  });
  if (first !== undefined && first.place !== place) throw elsewhere(first.place, place);
}

function elsewhere(known: string, place: string): Error {
  return new Error(
    `The files of this database are in ${known}, but BLOB_URL and DATA_DIR say ${place}. If all of them were copied there: update files_place set place = null;`,
  );
}

function ofAnother(place: string): Error {
  return new Error(
    `The files in ${place} belong to another database than DATABASE_URL's: set another BLOB_URL or DATA_DIR, or that database.`,
  );
}

function cannotMoveTo(place: string): Error {
  return new Error(
    `The files in ${place} belong to another database, as its database-id says: a service on either would remove the other's. Set another BLOB_URL (another prefix will do), or remove that database-id if its database is given up.`,
  );
}
