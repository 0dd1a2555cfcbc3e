import type { Database } from 'better-sqlite3';
import { missingMigrations } from '../sql/migrations.ts';
import type { Migration } from '../sql/migrations.ts';
import { transaction } from './transaction.ts';

/**
 * Runs the migrations that the database lacks, each in a transaction of its own that also records it. Throws where
 * the database has one that `migrations` does not have at that place: another, newer program wrote it.
 */
export function migrate(db: Database, migrations: readonly Migration[]): void {
  db.exec(
    'create table if not exists migrations (name text not null primary key, applied_at integer not null) strict',
  );
  const applied = db.prepare<[], string>('select name from migrations order by name').pluck().all();
  const record = db.prepare<[string]>(
    `insert into migrations (name, applied_at) values (?, cast(unixepoch('subsec') * 1000 as integer))`,
  );
  for (const { name, sql } of missingMigrations(db.name, applied, migrations)) {
    const run = transaction(db, () => {
      db.exec(sql);
      record.run(name);
    });
    run();
  }
}
