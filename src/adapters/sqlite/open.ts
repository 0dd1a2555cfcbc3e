import Database from 'better-sqlite3';
import { readMigrations } from '../sql/migrations.ts';
import { migrate } from './migrate.ts';

/** The same folder from src/adapters/sqlite/ and from dist/adapters/sqlite/. */
const MIGRATIONS = new URL('../../../migrations/sqlite/', import.meta.url);

/** One process owns the database; only a backup or a curious operator may hold it for a moment. */
const BUSY_TIMEOUT_MS = 5000;
/** A large transaction makes the write-ahead log grow; the next checkpoint cuts it back to this size. */
const WAL_LIMIT_BYTES = 16 * 1024 * 1024;

/** Opens the database file (or `:memory:`), creates it where it is missing, and brings its tables up to date. */
export function openDatabase(path: string): Database.Database {
  const db = new Database(path, { timeout: BUSY_TIMEOUT_MS });
  try {
    // Only before the first table is made; see trim.ts.
    db.pragma('auto_vacuum = incremental');
    db.pragma('journal_mode = wal');
    // On every connection: a new database reads as FULL, but a reopened one in WAL mode as NORMAL, under which
    // power loss takes back what was answered.
    db.pragma('synchronous = full');
    db.pragma('foreign_keys = on');
    db.pragma(`journal_size_limit = ${WAL_LIMIT_BYTES}`);
    migrate(db, readMigrations(MIGRATIONS));
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}
