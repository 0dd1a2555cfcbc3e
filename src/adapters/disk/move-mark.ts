import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import { FILE_MODE, syncFolder } from './io.ts';
import { dataPaths } from './paths.ts';

/** Where the data of a folder went, or is going. */
export interface MoveMark {
  /** By which the database knows the move. */
  readonly id: string;
  readonly state: 'under_way' | 'finished';
  /** Of the new database, without user and password. */
  readonly database: string;
  /** Where the files are, e.g. s3://bucket/prefix; null: in the folder. */
  readonly files: string | null;
}

/** Null where no move has begun. Rejects where the mark cannot be understood. */
export async function readMoveMark(root: string): Promise<MoveMark | null> {
  const path = dataPaths(root).moved;
  try {
    return JSON.parse(await readFile(path, 'utf8')) as MoveMark;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new Error(`The file ${path}, which says where the data of its folder went, cannot be read.`, {
      cause: error,
    });
  }
}

/** Puts the mark into the folder, durably, in place of one that is there; null: takes it away. */
export async function writeMoveMark(root: string, mark: MoveMark | null): Promise<void> {
  const path = dataPaths(root).moved;
  if (mark === null) await rm(path, { force: true });
  else {
    const next = `${path}.next`;
    const handle = await open(next, 'w', FILE_MODE);
    try {
      await handle.writeFile(`${JSON.stringify(mark, null, 2)}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(next, path);
  }
  await syncFolder(root);
}

/** What a service keeps in the folder; the rest it has elsewhere. */
export interface FolderUse {
  /** The database. */
  readonly state: boolean;
  /** Files and results. */
  readonly files: boolean;
}

/** Rejects where the service must not start on the folder, because what it would look for there was moved. */
export async function refuseMoved(root: string, use: FolderUse): Promise<void> {
  const mark = await readMoveMark(root);
  if (mark === null) return;
  const { moved, databaseId } = dataPaths(root);
  const alsoMarked = mark.files === null ? ` and, if it is there, ${databaseId}` : '';
  const undo = `To use the folder as it was before the move, remove ${moved}${alsoMarked}.`;
  if (mark.state === 'under_way') {
    throw new Error(
      `The data folder ${root} is being moved to ${placesOf(mark)}: run \`migrate-data\` again, and it goes on where it was. ${undo}`,
    );
  }
  if (use.state || (use.files && mark.files !== null)) {
    const setting = use.state ? 'DATABASE_URL' : 'BLOB_URL';
    throw new Error(
      `The data folder ${root} was moved to ${placesOf(mark)}: set ${setting} to start there. ${undo}`,
    );
  }
}

function placesOf({ database, files }: MoveMark): string {
  return files === null ? database : `${database} and ${files}`;
}

/** True where a database is kept in the folder, whatever was moved elsewhere. */
export async function hasDatabase(root: string): Promise<boolean> {
  return await stat(dataPaths(root).database).then(
    () => true,
    () => false,
  );
}
