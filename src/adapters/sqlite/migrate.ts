import { readdirSync, readFileSync } from 'node:fs';
import type { Database } from 'better-sqlite3';
import { transaction } from './transaction.ts';

export interface Migration {
  /** Its file name, e.g. `0001_initial.sql`: names sort in the order in which migrations run. */
  readonly name: string;
  readonly sql: string;
}

/** Reads the migrations in `folder` (a URL that ends in a slash), in order. */
export function readMigrations(folder: URL): Migration[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.sql'))
    .toSorted()
    .map((name) => ({ name, sql: readFileSync(new URL(name, folder), 'utf8') }));
}

/**
 * Runs the migrations that the database lacks, each in a transaction of its own that also records it. Throws where
 * the database has one that `migrations` does not have at that place: another, newer program wrote it.
 */
export function migrate(db: Database, migrations: readonly Migration[]): void {
  db.exec(
    'create table if not exists migrations (name text not null primary key, applied_at integer not null) strict',
  );
  const applied = db.prepare<[], string>('select name from migrations order by name').pluck().all();
  refuseOtherVersion(db.name, applied, migrations);
  const record = db.prepare<[string]>(
    `insert into migrations (name, applied_at) values (?, cast(unixepoch('subsec') * 1000 as integer))`,
  );
  for (const { name, sql } of migrations.slice(applied.length)) {
    const run = transaction(db, () => {
      db.exec(sql);
      record.run(name);
    });
    run();
  }
}

function refuseOtherVersion(path: string, applied: readonly string[], known: readonly Migration[]): void {
  const at = applied.findIndex((name, i) => name !== known[i]?.name);
  if (at === -1) return;
  const here = known[at]?.name ?? `none (its newest one is ${known.at(-1)?.name})`;
  throw new Error(
    `The database ${path} has migration ${applied[at]} where this program has ${here}. Another version of the program, probably a newer one, wrote this database: start that version.`,
  );
}
