/** `migrate-data`: moves a data folder to PostgreSQL and, where they move too, its files to another store. */
import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import {
  createDiskBlobStore,
  createDiskResultLog,
  databaseMark,
  hasDatabase,
  IN_FOLDER,
  lockDataFolder,
  readMoveMark,
  readOwnDatabaseId,
  writeMoveMark,
} from '../adapters/disk/index.ts';
import type { DataFolder, MoveMark } from '../adapters/disk/index.ts';
import { bindFiles, checkFiles, openMoveTarget } from '../adapters/postgres/index.ts';
import type { Database, MoveTarget } from '../adapters/postgres/index.ts';
import { openMoveSource } from '../adapters/sqlite/index.ts';
import type { MoveSource } from '../adapters/sqlite/index.ts';
import { copyData, finishMove } from './move.ts';
import type { Storage } from './parts.ts';

/** Where files and results go. */
export interface TargetStorage {
  /** Without secrets, e.g. `s3://bucket/prefix`. */
  readonly name: string;
  /** Called when the database's tables are up to date. */
  open(db: Database): Promise<OpenedStorage>;
}

/** `mark`: what lies beside the files and says whose they are. */
interface OpenedStorage extends Storage {
  readonly mark: Parameters<typeof bindFiles>[1]['mark'];
  close(): Promise<void>;
}

export interface MigrateOptions {
  /** The folder; no service may run on it. */
  readonly dataDir: string;
  readonly databaseUrl: string;
  readonly maxConnections: number;
  /** Null: files and results stay in the folder, where the service goes on using them. */
  readonly storage: TargetStorage | null;
  /** Takes a line for the operator. */
  readonly say: (line: string) => void;
  /** Stops the move between two writes. */
  readonly signal: AbortSignal;
}

/**
 * Moves the data folder. Resolves when it is moved, also where it was before. Rejects where it cannot be, with everything left so
 * that the next run goes on; the service does not start on either side until one is finished.
 */
export async function migrateData(
  options: MigrateOptions,
  { openTarget }: { readonly openTarget: typeof openMoveTarget } = { openTarget: openMoveTarget },
): Promise<void> {
  const { dataDir, databaseUrl, maxConnections } = options;
  if (!(await hasDatabase(resolve(dataDir)))) {
    throw new Error(`The data folder ${resolve(dataDir)} (DATA_DIR) has no database to move.`);
  }
  await closingAll(async (closeLater) => {
    const folder = closeLater(await lockDataFolder({ path: dataDir }));
    const source = closeLater(await openMoveSource({ path: folder.databasePath }));
    const target = closeLater(await openTarget({ url: databaseUrl, maxConnections, onLost() {} }));
    await migrateFolder(options, folder, source, target);
  });
}

/** Has what `work` opens closed after it, the last one first. */
async function closingAll(
  work: (closeLater: <T extends { close(): unknown }>(opened: T) => T) => Promise<void>,
): Promise<void> {
  const opened: { close(): unknown }[] = [];
  try {
    await work((one) => {
      opened.unshift(one);
      return one;
    });
  } finally {
    for (const one of opened) await one.close();
  }
}

async function migrateFolder(
  options: MigrateOptions,
  folder: DataFolder,
  source: MoveSource,
  target: MoveTarget,
): Promise<void> {
  const { storage, say, signal } = options;
  const known = await readMoveMark(folder.path);
  const files = storage?.name ?? null;
  const mark: MoveMark = {
    id: known?.id ?? randomUUID(),
    state: 'under_way',
    database: describeDatabase(options.databaseUrl),
    files,
  };
  const move = { id: mark.id, source: folder.path, files };
  const state = await stateOf(target, move, known);
  if (state === 'finished') {
    // A run that was killed at its very end has not noted it in the folder.
    if (known?.state !== 'finished') await writeMoveMark(folder.path, { ...mark, state: 'finished' });
    say(`${folder.path} was moved already: start the service with the same settings`);
    return;
  }
  say(`${state === 'new' ? 'moving' : 'going on to move'} ${folder.path} to ${mark.database}`);
  say(`files and results ${files === null ? 'stay where they are' : `go to ${files}`}`);
  await closingAll(async (closeLater) => {
    // What cannot be opened or must not be used must not keep the service off the folder.
    const to = storage && closeLater(await storage.open(target.db));
    const blobs = await createDiskBlobStore({ folder });
    const results = closeLater(await createDiskResultLog({ folder }));
    const filesPlace = {
      place: files ?? IN_FOLDER,
      mark: to?.mark ?? databaseMark(folder),
      movedFrom: await readOwnDatabaseId(folder),
    };
    await checkFiles(target.db, filesPlace);
    await writeMoveMark(folder.path, mark);
    await target.begin(move);
    const parts = { id: mark.id, source, target, from: { blobs, results }, to, say, signal };
    await copyData(parts);
    // Again: the copying may have taken hours.
    await bindFiles(target.db, filesPlace);
    await finishMove(parts);
  });
  await writeMoveMark(folder.path, { ...mark, state: 'finished' });
  say('moved: start the service with the same settings; the folder still has all that it had');
}

async function stateOf(
  target: MoveTarget,
  move: Parameters<MoveTarget['stateOf']>[0],
  known: MoveMark | null,
): Promise<'new' | 'under_way' | 'finished'> {
  const state = await target.stateOf(move);
  if (known?.state !== 'finished' || state === 'finished') return state;
  throw new Error(
    `The data folder ${move.source} was moved to ${known.database} already, and DATABASE_URL names another database.`,
  );
}

/** Where a database is, without user and password. */
function describeDatabase(url: string): string {
  const { host, pathname } = new URL(url);
  return `postgres://${host}${pathname}`;
}
