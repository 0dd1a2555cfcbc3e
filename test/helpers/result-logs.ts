/** Result logs of several processes over one PostgreSQL. */
import { onTestFinished, vi } from 'vitest';
import { createPostgresResultLog, openPostgres } from '../../src/adapters/postgres/index.ts';
import type { Database } from '../../src/adapters/postgres/index.ts';
import type { PostgresResultLogOptions } from '../../src/adapters/postgres/result-log.ts';
import type { ResultLog } from '../../src/engine/ports.ts';
import type { TestPostgres } from './postgres.ts';

/** What is opened is closed after the test. */
export interface TestResultLogs {
  /** Empties all tables. */
  readonly clear: () => Promise<void>;
  /** Connections of one's own. */
  readonly openDatabase: (url?: string) => Promise<Database>;
  /** The log of one of several processes. */
  readonly openLog: (options?: Omit<PostgresResultLogOptions, 'db'>, url?: string) => Promise<ResultLog>;
  /** A log of which the statements are noted that answer rows: `statements` has the values of each. */
  readonly openCounted: () => Promise<{ readonly results: ResultLog; readonly statements: unknown[][] }>;
  readonly piecesLeft: () => Promise<number>;
  /** An hour passes for the logs that were dropped. */
  readonly passAnHour: () => Promise<void>;
}

export function resultLogsOn(postgres: TestPostgres): TestResultLogs {
  async function openDatabase(url = postgres.url): Promise<Database> {
    const { store, db } = await openPostgres({ url, maxConnections: 4, onLost() {} });
    onTestFinished(() => store.close());
    return db;
  }

  return {
    async clear() {
      await (await postgres.openStore()).close();
    },
    openDatabase,
    async openLog(options = {}, url = postgres.url) {
      const results = createPostgresResultLog({ db: await openDatabase(url), ...options });
      onTestFinished(() => results.close());
      return results;
    },
    async openCounted() {
      const db = await openDatabase();
      const all = vi.fn(db.all.bind(db)) as unknown as Database['all'];
      const results = createPostgresResultLog({ db: { ...db, all } });
      onTestFinished(() => results.close());
      return { results, statements: vi.mocked(all).mock.calls };
    },
    async piecesLeft() {
      const [row] = await postgres.query<{ pieces: string }>('select count(*) as pieces from result_pieces');
      return Number(row?.pieces);
    },
    async passAnHour() {
      await postgres.query("update result_logs set dropped_at = dropped_at - interval '61 minutes'");
    },
  };
}

/** What the janitor does hourly. */
export const sweep = async (results: ResultLog): Promise<string[]> => await Array.fromAsync(results.list());
