/** A database, an object store, one API node and some workers, all on this machine. */
import { randomUUID } from 'node:crypto';
import type { BenchContext } from '../part.ts';
import { startService } from '../service.ts';
import type { BenchService } from '../service.ts';
import { startDatabase } from './database.ts';
import type { BenchDatabase } from './database.ts';
import { startS3Server } from '../../test/helpers/s3-server.ts';

export interface ClusterOptions {
  /** Null: the built-in model `echo` answers, in the process of each worker. */
  readonly upstreamUrl: string | null;
  /** Requests in flight in each worker. */
  readonly concurrency: number;
}

export interface Cluster {
  readonly api: BenchService;
  readonly database: BenchDatabase;
  /** Lets so many workers run. */
  setWorkers(count: number): Promise<void>;
  /** CPU seconds of the API node and of all workers that run now. */
  nodesCpu(): number;
}

/** Runs `work` with a cluster without workers, and stops all of it whatever happens. */
export async function withCluster<T>(
  context: BenchContext,
  options: ClusterOptions,
  work: (cluster: Cluster) => Promise<T>,
): Promise<T> {
  /** What to stop, the last one first. */
  const running: (() => Promise<void>)[] = [];
  const workers: BenchService[] = [];
  try {
    const database = await startDatabase();
    running.unshift(() => database.stop());
    const objects = await startS3Server();
    running.unshift(() => objects.stop());
    const bucket = `bench-${randomUUID()}`;
    await objects.createBucket(bucket);
    const startNode = async (role: 'api' | 'worker'): Promise<BenchService> =>
      await startService({
        ...options,
        dataDir: await context.folder(),
        core: null,
        env: { ...objects.env, BLOB_URL: `s3://${bucket}`, DATABASE_URL: database.url, ROLE: role },
      });
    const api = await startNode('api');
    running.unshift(() => api.stop());
    running.unshift(async () => void (await Promise.all(workers.map((worker) => worker.stop()))));
    return await work({
      api,
      database,
      async setWorkers(count) {
        while (workers.length > count) await workers.pop()?.stop();
        while (workers.length < count) workers.push(await startNode('worker'));
      },
      nodesCpu: () => [api, ...workers].reduce((sum, node) => sum + node.cpu(), 0),
    });
  } finally {
    for (const stop of running) await stop();
  }
}
