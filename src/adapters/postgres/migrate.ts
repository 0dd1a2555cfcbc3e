import { missingMigrations, readMigrations } from '../sql/migrations.ts';
import type { Migration } from '../sql/migrations.ts';
import type { Database } from './database.ts';

/** The same folder from src/adapters/postgres/ and from dist/adapters/postgres/. */
const MIGRATIONS = new URL('../../../migrations/postgres/', import.meta.url);

/** A number that no other program is likely to lock by, for the one migration at a time. */
const LOCK = 4_717_253_001;

/**
 * Runs the migrations that the database lacks, all of them or none. Of several processes that start at once, one runs them and
 * the others wait for it. Rejects where the database has a migration that `migrations` does not have at that place: another, newer
 * program wrote it.
 */
export async function migrate(db: Database, migrations: readonly Migration[]): Promise<void> {
  await db.bareTransaction(async (sql) => {
    await sql.run('select pg_advisory_xact_lock($1)', LOCK);
    await sql.exec(`
      create table if not exists migrations (name text not null primary key, applied_at timestamptz not null default now())
    `);
    const applied = await sql.all<{ readonly name: string }>(
      'select name from migrations order by name collate "C"',
    );
    const { database } =
      (await sql.get<{ readonly database: string }>('select current_database() as database')) ?? {};
    const names = applied.map(({ name }) => name);
    for (const { name, sql: text } of missingMigrations(database ?? '', names, migrations)) {
      await sql.exec(text);
      await sql.run('insert into migrations (name) values ($1)', name);
    }
  });
}

/** Brings the database's tables up to date with this program. Rejects as `migrate`. */
export async function migrateDatabase(db: Database): Promise<void> {
  await migrate(db, readMigrations(MIGRATIONS));
}
