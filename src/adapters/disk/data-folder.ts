import { resolve } from 'node:path';
import { makeFolder } from './io.ts';
import { lockFolder } from './lock.ts';
import { refuseMoved } from './move-mark.ts';
import type { FolderUse } from './move-mark.ts';
import { dataPaths } from './paths.ts';

/** A folder that this process alone uses. */
export interface DataFolder {
  /** Absolute. */
  readonly path: string;
  /** Where a database file belongs. */
  readonly databasePath: string;
  /** Lets another process have the folder. Everything that uses it must be closed before. */
  close(): Promise<void>;
}

export interface DataFolderOptions {
  readonly path: string;
  /** What is kept in it. Default: everything. */
  readonly use?: FolderUse;
}

const EVERYTHING: FolderUse = { state: true, files: true };

/**
 * Creates the folder where it is missing (readable by its owner only) and locks it. Rejects where another process
 * has it, with a message that names the folder and the process, and where its data was moved elsewhere. The lock of a process that
 * died is gone with it.
 */
export async function openDataFolder({ path, use = EVERYTHING }: DataFolderOptions): Promise<DataFolder> {
  const folder = await lockDataFolder({ path });
  try {
    await refuseMoved(folder.path, use);
    return folder;
  } catch (error) {
    await folder.close();
    throw error;
  }
}

/** As `openDataFolder`, but also where its data was moved: for whoever moves it. */
export async function lockDataFolder({ path }: { readonly path: string }): Promise<DataFolder> {
  const root = resolve(path);
  const paths = dataPaths(root);
  await makeFolder(root);
  const lock = lockFolder(root, paths);
  let locked = true;
  return {
    path: root,
    databasePath: paths.database,
    async close() {
      // Once only: a second call must not remove what a later owner wrote.
      if (locked) lock.release();
      locked = false;
    },
  };
}
