import { randomUUID } from 'node:crypto';
import { open, readFile, rename, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { DataFolder } from './data-folder.ts';
import { FILE_MODE, syncFolder } from './io.ts';
import { dataPaths } from './paths.ts';

/** Says which database elsewhere the files of a folder belong to. */
export interface DatabaseMark {
  /** Of the mark itself. */
  readonly path: string;
  /** The id of that database; null where none was written. */
  read(): Promise<string | null>;
  /** Durably. */
  write(databaseId: string): Promise<void>;
  /** True where the folder has a database of its own. */
  hasOwnDatabase(): Promise<boolean>;
}

export function databaseMark(folder: DataFolder): DatabaseMark {
  const { databaseId: path } = dataPaths(folder.path);
  return {
    path,
    read: () => readNote(path),
    write: (id) => writeNote(path, id),
    hasOwnDatabase: async () => (await unlessMissing(stat(folder.databasePath))) !== null,
  };
}

/** The id of the folder's own database, by which files elsewhere know whose they are; the first call makes it. */
export async function ownDatabaseId(folder: DataFolder): Promise<string> {
  const known = await readOwnDatabaseId(folder);
  if (known !== null) return known;
  const id = randomUUID();
  await writeNote(dataPaths(folder.path).ownDatabaseId, id);
  return id;
}

/** The same; null where none was made, for its files were never elsewhere. */
export async function readOwnDatabaseId(folder: DataFolder): Promise<string | null> {
  return await readNote(dataPaths(folder.path).ownDatabaseId);
}

/** Says where the files of the folder's own database are. */
export interface FilesNote {
  /** Of the note itself. */
  readonly path: string;
  /** `s3://bucket/prefix`, or `IN_FOLDER`; null: not said yet. */
  read(): Promise<string | null>;
  /** Durably. */
  write(place: string): Promise<void>;
}

/** How the place of files is called that are in their data folder. */
export const IN_FOLDER = 'a data folder';

export function filesNote(folder: DataFolder): FilesNote {
  const { filesPlace: path } = dataPaths(folder.path);
  return { path, read: () => readNote(path), write: (place) => writeNote(path, place) };
}

async function readNote(path: string): Promise<string | null> {
  return (await unlessMissing(readFile(path, 'utf8')))?.trim() ?? null;
}

/** By a rename, so that it is there whole or not at all. */
async function writeNote(path: string, text: string): Promise<void> {
  const handle = await open(`${path}.new`, 'w', FILE_MODE);
  try {
    await handle.writeFile(`${text}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${path}.new`, path);
  await syncFolder(dirname(path));
}

async function unlessMissing<T>(reading: Promise<T>): Promise<T | null> {
  try {
    return await reading;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
