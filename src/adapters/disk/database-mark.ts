import { open, readFile, rename, stat } from 'node:fs/promises';
import type { DataFolder } from './data-folder.ts';
import { FILE_MODE, syncFolder } from './io.ts';
import { dataPaths } from './paths.ts';

/** Says which database elsewhere the files of a folder belong to. */
export interface DatabaseMark {
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
    read: async () => (await unlessMissing(readFile(path, 'utf8')))?.trim() ?? null,
    async write(databaseId) {
      // By a rename, so that it is there whole or not at all.
      const handle = await open(`${path}.new`, 'w', FILE_MODE);
      try {
        await handle.writeFile(`${databaseId}\n`);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(`${path}.new`, path);
      await syncFolder(folder.path);
    },
    hasOwnDatabase: async () => (await unlessMissing(stat(folder.databasePath))) !== null,
  };
}

async function unlessMissing<T>(reading: Promise<T>): Promise<T | null> {
  try {
    return await reading;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
