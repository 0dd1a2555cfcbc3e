/** Where the settings put state, files and result lines: a data folder with SQLite, PostgreSQL, an S3-compatible store. */
import type { Logger } from 'pino';
import {
  createDiskBlobStore,
  createDiskResultLog,
  databaseMark,
  filesNote,
  IN_FOLDER,
  openDataFolder,
  ownDatabaseId,
} from './adapters/disk/index.ts';
import type { DataFolder } from './adapters/disk/index.ts';
import type { PostgresOptions } from './adapters/postgres/index.ts';
import type { Bucket } from './adapters/s3/index.ts';
import { namesBlobs, openSqliteStore } from './adapters/sqlite/index.ts';
import type { BlobUrl, Config } from './config.ts';
import type { BlobStore, ResultLog, Store } from './engine/index.ts';

export interface Storage {
  readonly store: Store;
  readonly blobs: BlobStore;
  readonly results: ResultLog;
  /** Calls `onHint` when another process may have made work; answers how to stop that. Null where there is no other. */
  readonly listen: ((onHint: () => void) => { close(): Promise<void> }) | null;
}

/** What to close in the end, the last opened last. */
export type Opened = (() => Promise<unknown>)[];

/**
 * Opens all of it, and adds how to close it to `opened`. What the settings do not ask for is not loaded: the drivers take some
 * time, which most starts need not wait for.
 */
export async function openStorage(config: Config, log: Logger, opened: Opened): Promise<Storage> {
  const { DATABASE_URL: databaseUrl, BLOB_URL: blobUrl } = config;
  if (databaseUrl !== null && blobUrl !== null) {
    return await openShared({ config, log, opened, databaseUrl, blobUrl });
  }
  const use = { state: databaseUrl === null, files: blobUrl === null };
  const folder = await openDataFolder({ path: config.DATA_DIR, use });
  opened.push(() => folder.close());
  const store = await openOwnStore(config, folder, log);
  opened.push(() => store.close());
  const blobs =
    blobUrl === null ? await openFolderBlobs(config, folder) : await openBlobs(blobUrl, folder, opened);
  const results = await createDiskResultLog({ folder });
  opened.push(() => results.close());
  return { store, blobs, results, listen: null };
}

/** Nothing is on this machine's disk, so that any number of processes may do the same. */
async function openShared(options: {
  readonly config: Config;
  readonly log: Logger;
  readonly opened: Opened;
  readonly databaseUrl: string;
  readonly blobUrl: BlobUrl;
}): Promise<Storage> {
  const { config, log, opened, databaseUrl, blobUrl } = options;
  const { createPostgresResultLog, listenForHints, openPostgres } =
    await import('./adapters/postgres/index.ts');
  const { bucketMark, createS3BlobStore, createS3ResultObjects } = await import('./adapters/s3/index.ts');
  const bucket = await openBucketOf(blobUrl, opened);
  const { store, db } = await openPostgres({
    ...postgresOptions(config, databaseUrl, log),
    files: { place: placeOf(blobUrl), mark: bucketMark(bucket) },
  });
  opened.push(() => store.close());
  const results = createPostgresResultLog({ db, objects: createS3ResultObjects({ bucket }) });
  opened.push(() => results.close());
  return {
    store,
    blobs: createS3BlobStore({ bucket }),
    results,
    listen: (onHint) =>
      listenForHints({
        url: databaseUrl,
        onHint,
        onLost: (error) =>
          log.warn(
            { err: error },
            'the connection that hears of new batches was lost; they are found all the same',
          ),
      }),
  };
}

/** The store of a process that has its data folder to itself. */
async function openOwnStore(config: Config, folder: DataFolder, log: Logger): Promise<Store> {
  const mark = databaseMark(folder);
  if (config.DATABASE_URL === null) {
    if ((await mark.read()) !== null) {
      const wayBack = (await mark.hasOwnDatabase())
        ? ` To go back to the database in it, which was moved there, remove ${mark.path}.`
        : '';
      throw new Error(
        `The files in the data folder ${folder.path} belong to a PostgreSQL database: set DATABASE_URL, or another DATA_DIR.${wayBack}`,
      );
    }
    return openSqliteStore({ path: folder.databasePath });
  }
  if ((await mark.read()) === null && (await mark.hasOwnDatabase())) {
    throw new Error(
      `The data folder ${folder.path} has a SQLite database, to which its files belong: with DATABASE_URL set another DATA_DIR.`,
    );
  }
  const { openPostgresStore } = await import('./adapters/postgres/index.ts');
  return await openPostgresStore({
    ...postgresOptions(config, config.DATABASE_URL, log),
    files: { place: IN_FOLDER, mark },
  });
}

function postgresOptions(config: Config, url: string, log: Logger): PostgresOptions {
  return {
    url,
    maxConnections: config.DATABASE_CONNECTIONS,
    onLost: (error) => log.warn({ err: error }, 'a connection to the database was lost'),
    onClockOff: (ms) =>
      log.warn(
        { seconds: Math.round(ms / 1000) },
        "this machine's clock is not the database's; deadlines are judged by the clock of whichever node looks first",
      ),
  };
}

/** Those of a database elsewhere know it by the folder's mark. */
async function openFolderBlobs({ DATABASE_URL }: Config, folder: DataFolder): Promise<BlobStore> {
  const blobs = await createDiskBlobStore({ folder });
  if (DATABASE_URL === null) {
    await bindOwnFiles(folder, IN_FOLDER, async (known) =>
      known === null ? await hasAny(blobs.list()) : known === IN_FOLDER,
    );
  }
  return blobs;
}

async function hasAny(items: AsyncIterable<unknown>): Promise<boolean> {
  for await (const _item of items) return true;
  return false;
}

/** A bucket beside a data folder. */
async function openBlobs(blobUrl: BlobUrl, folder: DataFolder, opened: Opened): Promise<BlobStore> {
  const { bucketMark, createS3BlobStore } = await import('./adapters/s3/index.ts');
  const bucket = await openBucketOf(blobUrl, opened);
  const mark = bucketMark(bucket);
  const place = placeOf(blobUrl);
  const [owner, own] = [await mark.read(), await ownDatabaseId(folder)];
  if (owner !== null && owner !== own) throw await ofAnother(folder, place);
  await bindOwnFiles(folder, place, (known) => owner === own && (known === null || known === place));
  if (owner === null) await mark.write(own);
  return createS3BlobStore({ bucket });
}

/** Says the way back after a move only where these may have been the folder's files: another one's must not be taken over. */
async function ofAnother(folder: DataFolder, place: string): Promise<Error> {
  const known = await filesNote(folder).read();
  const wayBack =
    known === null || known === place
      ? ` If they were moved to it from this folder, and you go back: copy the file own-database-id of the folder to ${place}/database-id.`
      : '';
  return new Error(
    `The files in ${place} belong to another database than the one in ${folder.path}: set another BLOB_URL, or that DATA_DIR.${wayBack}`,
  );
}

/**
 * Notes where the files of the folder's own database are; later refuses every other place, for they would be missing there. While the
 * database names none, they may be anywhere. `areThere` tells by what is noted: null in a folder that an earlier version made.
 */
async function bindOwnFiles(
  folder: DataFolder,
  place: string,
  areThere: (known: string | null) => boolean | Promise<boolean>,
): Promise<void> {
  const note = filesNote(folder);
  const known = await note.read();
  if (!(await areThere(known)) && namesBlobs({ path: folder.databasePath })) {
    const there = place === IN_FOLDER ? 'that folder' : place;
    throw new Error(
      `The files of the database in ${folder.path} are not in ${there}: ${whereInstead(known, place, note.path)}`,
    );
  }
  if (known === place) return;
  await note.write(place).catch((error: unknown) => {
    // Without a note the next start finds out anew: a full disk must not prevent one that could free some of it.
    if (known !== null) throw error;
  });
}

function whereInstead(known: string | null, place: string, notePath: string): string {
  if (known === null) return 'set BLOB_URL as it was before, or not at all where it was not set.';
  if (known === place)
    return 'it has no database-id, so that BLOB_URL or the AWS settings name another store.';
  if (known === IN_FOLDER)
    return 'they are in that folder, and do not move by themselves. Take BLOB_URL away.';
  return `they are in ${known}, and do not move by themselves. Set BLOB_URL to that. Once all objects there were copied elsewhere, name that place in ${notePath}.`;
}

async function openBucketOf(blobUrl: BlobUrl, opened: Opened): Promise<Bucket> {
  const bucket = await openBlobUrl(blobUrl);
  opened.push(async () => bucket.close());
  return bucket;
}

/** Rejects, naming the setting, where the bucket cannot be used. */
export async function openBlobUrl(blobUrl: BlobUrl): Promise<Bucket> {
  const { openBucket } = await import('./adapters/s3/index.ts');
  return await openBucket(blobUrl).catch((cause: Error) => {
    throw new Error(`BLOB_URL: the bucket cannot be used: ${cause.message}`, { cause });
  });
}

/** How a database names the place of its files. */
export function placeOf({ bucket, prefix }: BlobUrl): string {
  return prefix === '' ? `s3://${bucket}` : `s3://${bucket}/${prefix}`;
}
