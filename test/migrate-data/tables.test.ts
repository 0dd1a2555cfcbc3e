/** A migration that adds a table or a column must tell the move of it. */
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { readMigrations } from '../../src/adapters/sql/migrations.ts';
import { columnsOf, MOVED_TABLES } from '../../src/adapters/sql/moved-tables.ts';
import { usePostgres } from '../helpers/postgres.ts';

/** What SQLite has that does not move, and why. */
const STAYS: Readonly<Record<string, string>> = {
  migrations: 'each database has its own',
  owner_usage: 'is counted from the rows that moved',
  'batches.chunks_claimed': 'PostgreSQL counts the chunks; none is claimed when the rows move',
};

const postgres = usePostgres();

function sqliteColumns(): Map<string, string[]> {
  const db = new Database(':memory:');
  for (const { sql } of readMigrations(new URL('../../migrations/sqlite/', import.meta.url))) db.exec(sql);
  const rows = db
    .prepare<[], { readonly table: string; readonly name: string }>(
      `
      select t.name as "table", c.name
      from pragma_table_list t
        join pragma_table_info(t.name) c
      where t.type = 'table' and t.schema = 'main' and t.name not like 'sqlite_%'
      `,
    )
    .all();
  db.close();
  return group(rows);
}

async function postgresColumns(): Promise<Map<string, string[]>> {
  await (await postgres.openStore()).close();
  return group(
    await postgres.query<{ table: string; name: string }>(
      `select table_name as "table", column_name as name from information_schema.columns where table_schema = 'public'`,
    ),
  );
}

function group(rows: readonly { readonly table: string; readonly name: string }[]): Map<string, string[]> {
  const tables = new Map<string, string[]>();
  for (const { table, name } of rows) tables.set(table, [...(tables.get(table) ?? []), name]);
  return tables;
}

describe('the tables that move', () => {
  const moved = new Map(MOVED_TABLES.map((table) => [table.name, [...columnsOf(table)].toSorted()]));

  it('are all that SQLite has, with all their columns', () => {
    const found = new Map(
      [...sqliteColumns()]
        .filter(([table]) => STAYS[table] === undefined)
        .map(([table, names]) => [
          table,
          names.filter((name) => STAYS[`${table}.${name}`] === undefined).toSorted(),
        ]),
    );
    expect(found).toEqual(moved);
  });

  it('have the same columns in PostgreSQL, and no others', async () => {
    const there = await postgresColumns();
    for (const [table, names] of moved) expect(there.get(table)?.toSorted(), table).toEqual(names);
  });
});
