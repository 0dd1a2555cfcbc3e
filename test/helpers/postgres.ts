/** A PostgreSQL server for the tests of one file. */
import pg from 'pg';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { openPostgresStore } from '../../src/adapters/postgres/index.ts';
import type { Store } from '../../src/engine/ports.ts';
import { startPostgresServer } from './postgres-server.ts';
import type { PostgresServer } from './postgres-server.ts';

export interface TestPostgres {
  readonly url: string;
  /** Empties all tables and opens a store over them. */
  openStore(): Promise<Store>;
  /** The same, closed at the end of the test. */
  openEmpty(): Promise<Store>;
  /** A statement as the administrator. */
  query<Row extends object>(text: string): Promise<Row[]>;
}

/** Starts the server before the file's tests and stops it after them. Its members may be used within tests. */
export function usePostgres(): TestPostgres {
  let server: PostgresServer;
  let admin: pg.Client;
  /** What was opened, the last one first; empty where the server did not start. */
  const opened: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    server = await startPostgresServer();
    opened.unshift(() => server.stop());
    admin = new pg.Client({ connectionString: server.url });
    await admin.connect();
    opened.unshift(() => admin.end());
  }, 60_000);
  afterAll(async () => {
    for (const close of opened) await close();
  });

  async function clear(): Promise<void> {
    const tables = await admin.query<{ tablename: string }>(
      "select tablename from pg_tables where schemaname = 'public' and tablename <> 'migrations'",
    );
    const names = tables.rows.map(({ tablename }) => tablename).join(', ');
    if (names !== '') await admin.query(`truncate ${names} restart identity cascade`);
  }

  async function openStore(): Promise<Store> {
    await clear();
    return await openPostgresStore({ url: server.url, maxConnections: 4, onLost() {} });
  }

  return {
    get url() {
      return server.url;
    },
    async query<Row extends object>(text: string) {
      return (await admin.query<Row>(text)).rows;
    },
    openStore,
    async openEmpty() {
      const store = await openStore();
      onTestFinished(() => store.close());
      return store;
    },
  };
}
