/** A PostgreSQL server for the benchmark, and what it did meanwhile. */
import pg from 'pg';
import { startPostgresServer } from '../../test/helpers/postgres-server.ts';
import { treeCpuSeconds } from '../processes.ts';

/** As a database of this size would be run: every commit synced, checkpoints far between, room for what is in use. */
const SETTINGS = [
  'shared_buffers=512MB',
  'max_wal_size=4GB',
  'checkpoint_timeout=5min',
  // Looked for as often within these minutes as within hours elsewhere.
  'autovacuum_naptime=5s',
];

/** What a database has done so far. */
export interface DatabaseWork {
  readonly walBytes: number;
  /** Row versions that updates and deletes left behind. */
  readonly deadTuples: number;
  readonly commits: number;
  /** CPU seconds of all its processes. */
  readonly cpu: number;
}

export interface BenchDatabase {
  readonly url: string;
  work(): Promise<DatabaseWork>;
  /** Bytes of all tables, their indexes included. */
  tableBytes(): Promise<number>;
  stop(): Promise<void>;
}

/** Starts a server with an empty database. */
export async function startDatabase(): Promise<BenchDatabase> {
  const server = await startPostgresServer(SETTINGS);
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();

  async function numbers(text: string): Promise<Record<string, number>> {
    const [row] = (await client.query<Record<string, string>>(text)).rows;
    return Object.fromEntries(Object.entries(row ?? {}).map(([name, value]) => [name, Number(value)]));
  }

  return {
    url: server.url,
    async work() {
      const { wal, dead, commits } = await numbers(`
        select
          pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') as wal,
          (select coalesce(sum(n_tup_upd + n_tup_del), 0) from pg_stat_user_tables) as dead,
          (select sum(xact_commit) from pg_stat_database) as commits
      `);
      return {
        walBytes: wal ?? NaN,
        deadTuples: dead ?? NaN,
        commits: commits ?? NaN,
        cpu: treeCpuSeconds(server.pid),
      };
    },
    async tableBytes() {
      const { bytes } = await numbers(
        'select coalesce(sum(pg_total_relation_size(relid)), 0) as bytes from pg_stat_user_tables',
      );
      return bytes ?? NaN;
    },
    async stop() {
      await client.end();
      await server.stop();
    },
  };
}

/** What was done between two looks. */
export function between(before: DatabaseWork, after: DatabaseWork): DatabaseWork {
  return {
    walBytes: after.walBytes - before.walBytes,
    deadTuples: after.deadTuples - before.deadTuples,
    commits: after.commits - before.commits,
    cpu: after.cpu - before.cpu,
  };
}
