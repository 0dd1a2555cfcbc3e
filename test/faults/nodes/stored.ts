/** What the database must hold, and must not, when all batches have ended. */
import { waitFor } from '../harness/wait.ts';
import type { Cluster } from './cluster.ts';

/** What is there of live batches only. (Dropped logs are remembered for an hour, and so are the names of their objects.) */
const OF_LIVE_BATCHES = [
  'chunks',
  'line_indexes',
  'segments',
  'result_logs where dropped_at is null',
  'result_pieces where bytes is not null',
];
/** Dropped logs go a moment after their batch. */
const TIDY_MS = 5000;
/** The janitor's sweep, which a worker makes at its start where nobody has for an hour. */
const SWEEP_MS = 15_000;

export async function checkStored(cluster: Cluster): Promise<string[]> {
  if (await isTidy(cluster, TIDY_MS)) return [];
  // What removing a log failed for is the sweep's.
  const [node] = cluster.workers;
  if (node === undefined) throw new Error('a cluster has workers');
  await cluster.query('delete from turns');
  await cluster.kill(node);
  await cluster.restart(node);
  return (await isTidy(cluster, SWEEP_MS)) ? [] : await findLeftovers(cluster);
}

async function isTidy(cluster: Cluster, timeoutMs: number): Promise<boolean> {
  const noLeftovers = async (): Promise<boolean> => (await findLeftovers(cluster)).length === 0;
  return await waitFor('the database is tidy', noLeftovers, timeoutMs).catch(() => false);
}

async function findLeftovers(cluster: Cluster): Promise<string[]> {
  const violations: string[] = [];
  for (const table of OF_LIVE_BATCHES) {
    const [row] = await cluster.query<{ count: string }>(`select count(*) from ${table}`);
    if (row?.count !== '0') violations.push(`${row?.count} rows of ended batches are left in ${table}`);
  }
  const held = await cluster.query<{ id: string }>('select id from batches where step_worker is not null');
  violations.push(...held.map(({ id }) => `the step of the ended batch ${id} is held`));
  return violations;
}
