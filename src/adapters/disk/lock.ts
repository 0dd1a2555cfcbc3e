import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import Database from 'better-sqlite3';
import { FILE_MODE } from './io.ts';

/*
 * Why a lock of the operating system. A file with a process id must be judged by whoever finds it after a crash,
 * and a process id says too little: in a container the new process often has the very id of the dead one, and two
 * containers that share a volume do not see each other's processes. A lock on a file belongs to the process: the
 * kernel frees it however the process ends, and it holds across containers. Node has no call for it, but SQLite
 * does it on every platform, and the database in the same folder needs it to work there anyway. So: an empty
 * SQLite file and one exclusive transaction that lasts as long as the folder is in use and writes nothing.
 *
 * Two things to keep in mind. Closing any descriptor of a file frees all POSIX locks that the process has on it:
 * nothing but SQLite may open the lock file, hence the second file that says who holds it. And the lock file is
 * never removed: a process could lock the removed file while another locks the new one.
 */

/** A process that is about to end may hold the lock for a moment; one that just began has yet to say who it is. */
const WAIT_MS = 500;

/** Garbage collection closes a database that nobody refers to, which would free its lock. */
const held = new Set<Database.Database>();

export interface LockPaths {
  readonly lock: string;
  readonly lockOwner: string;
}

/**
 * Locks `folder` for this process until `release`. Throws where another process (or another part of this one)
 * has it, naming both. Blocks for up to half a second.
 */
export function lockFolder(folder: string, paths: LockPaths): { release(): void } {
  const db = lockFile(folder, paths);
  held.add(db);
  writeOwner(paths.lockOwner);
  return {
    release() {
      rmSync(paths.lockOwner, { force: true });
      db.close();
      held.delete(db);
    },
  };
}

function lockFile(folder: string, paths: LockPaths): Database.Database {
  try {
    return beginExclusive(paths.lock);
  } catch (error) {
    const code = error instanceof Database.SqliteError ? error.code : '';
    throw code.startsWith('SQLITE_BUSY')
      ? folderInUse(folder, paths.lockOwner, error)
      : cannotLock(folder, error);
  }
}

function beginExclusive(path: string): Database.Database {
  const db = new Database(path, { timeout: WAIT_MS });
  try {
    // No journal file beside it.
    db.pragma('journal_mode = memory');
    db.exec('begin exclusive');
    return db;
  } catch (error) {
    db.close();
    if (!(error instanceof Database.SqliteError) || error.code !== 'SQLITE_NOTADB') throw error;
    // Something else wrote into it. Nobody has the lock, or SQLite could not have looked at the bytes.
    truncateSync(path);
    return beginExclusive(path);
  }
}

function writeOwner(path: string): void {
  try {
    writeFileSync(path, `pid ${process.pid} on host ${hostname()}\n`, { mode: FILE_MODE });
  } catch {
    // It only helps a message; a full disk must not prevent a start that could free some of it.
  }
}

function folderInUse(folder: string, ownerPath: string, cause: unknown): Error {
  const owner = readOwner(ownerPath);
  return new Error(
    `The data folder ${folder} is in use by another process${owner === null ? '' : ` (${owner})`}. Only one process may use it at a time: stop that one, or choose another folder.`,
    { cause },
  );
}

/** `pid 17 on host name`, or null where that is not known. */
function readOwner(path: string): string | null {
  try {
    return /^pid \d+ on host \S+$/m.exec(readFileSync(path, 'utf8'))?.[0] ?? null;
  } catch {
    return null;
  }
}

function cannotLock(folder: string, cause: unknown): Error {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new Error(`The data folder ${folder} cannot be locked: ${reason}.`, { cause });
}
