/** What the nodes of all tries of a fault share: a PostgreSQL server and an S3 server, both real. */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { startPostgresServer } from '../../helpers/postgres-server.ts';
import type { PostgresServer } from '../../helpers/postgres-server.ts';
import { startS3Server } from '../../helpers/s3-server.ts';
import type { S3Server } from '../../helpers/s3-server.ts';
import { createScope } from '../harness/scope.ts';
import type { Scope } from '../harness/scope.ts';

export interface Servers {
  readonly postgres: PostgresServer;
  readonly s3: S3Server;
  /** A bucket on it. */
  readonly bucket: string;
  /** A database of one's own; answers its name. */
  createDatabase(): Promise<string>;
}

/** Runs `work` with both, and stops them whatever happens. */
export async function withServers(work: (servers: Servers) => Promise<void>): Promise<void> {
  const scope = createScope();
  try {
    await work(await startServers(scope));
  } finally {
    await scope.close();
  }
}

async function startServers(scope: Scope): Promise<Servers> {
  const postgres = await startPostgresServer();
  scope.defer(() => postgres.stop());
  const s3 = await startS3Server();
  scope.defer(() => s3.stop());
  const bucket = `faults-${randomUUID()}`;
  await s3.createBucket(bucket);
  return {
    postgres,
    s3,
    bucket,
    async createDatabase() {
      const name = `try_${randomUUID().replaceAll('-', '')}`;
      await withAdmin(postgres.url, (admin) => admin.query(`create database ${name}`));
      return name;
    },
  };
}

async function withAdmin<T>(url: string, work: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client({ connectionString: url });
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.end();
  }
}
