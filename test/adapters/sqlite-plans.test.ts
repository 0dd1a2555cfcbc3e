import Database from 'better-sqlite3';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { openSqliteStore } from '../../src/adapters/sqlite/index.ts';
import { openDatabase } from '../../src/adapters/sqlite/open.ts';

/** The text of each statement that the store prepares. */
async function preparedStatements(): Promise<string[]> {
  const prepare = vi.spyOn(Database.prototype, 'prepare');
  const store = openSqliteStore({ path: ':memory:' });
  const texts = prepare.mock.calls.map(([text]) => text);
  prepare.mockRestore();
  await store.close();
  return texts.map((text) => text.replaceAll(/\s+/g, ' ').trim());
}

/** What SQLite would do, one line a step. */
function explain(db: Database.Database, text: string): string[] {
  const names = [...text.matchAll(/:(\w+)/g)].map(([, name]) => [name, 1]);
  const values = names.length > 0 ? [Object.fromEntries(names)] : [...text.matchAll(/\?/g)].map(() => 1);
  const steps = db
    .prepare<unknown[], { readonly detail: string }>(`explain query plan ${text}`)
    .all(...values);
  return steps.map(({ detail }) => detail);
}

describe('the statements of the SQLite store', () => {
  it('never read a whole table, nor sort what an index could give in order', async () => {
    const db = openDatabase(':memory:');
    onTestFinished(() => void db.close());
    const tables = db
      .prepare<[], string>("select name from sqlite_master where type = 'table'")
      .pluck()
      .all();
    // Single letters are the aliases of tables in joins and subqueries.
    const wholeTable = new RegExp(`^SCAN (${tables.join('|')}|[a-z])$`);
    const statements = (await preparedStatements()).filter(
      (text) => !/\bmigrations\b|^(?:begin|commit|rollback)/.test(text),
    );
    expect(statements.length).toBeGreaterThan(40);
    const faults = statements.flatMap((text) =>
      explain(db, text)
        .filter((step) => wholeTable.test(step) || step.startsWith('USE TEMP B-TREE'))
        .map((step) => `${step}: ${text}`),
    );
    expect(faults).toEqual([]);
  });

  it('find the events to replay by the owner, and whether one is on its way by its own deliveries, not by all of the endpoint', async () => {
    const db = openDatabase(':memory:');
    onTestFinished(() => void db.close());
    const statements = (await preparedStatements()).filter((text) => text.includes('e.created_at >= :since'));
    expect(statements).toHaveLength(1);
    const searches = statements
      .flatMap((text) => explain(db, text))
      .filter((step) => step.startsWith('SEARCH'));
    expect(searches).toEqual([
      'SEARCH e USING INDEX events_by_owner (owner=? AND created_at>?)',
      'SEARCH w USING INTEGER PRIMARY KEY (rowid=?)',
      expect.stringMatching(/USING INDEX deliveries_by_event \(event=\?\)$/),
    ]);
  });

  it('find the chunks to claim in order, without a look at those that are claimed or done', async () => {
    const db = openDatabase(':memory:');
    onTestFinished(() => void db.close());
    const statements = (await preparedStatements()).filter((text) =>
      /^select .*c\.state = 'ready'/.test(text),
    );
    expect(statements.flatMap((text) => explain(db, text))).toEqual([
      'SEARCH c USING COVERING INDEX chunks_ready (batch=? AND number>?)',
    ]);
  });
});
