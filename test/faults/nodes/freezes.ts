/** A worker that is stopped as a whole, be it by its machine or by a debugger, while others take its work. */
import assert from 'node:assert/strict';
import type { Fault } from '../harness/fault.ts';
import { waitFor } from '../harness/wait.ts';
import { MAX_CONCURRENCY } from '../harness/world.ts';
import type { Cluster, ClusterNode } from './cluster.ts';
import { someMoment, tryOnClusters } from './tries.ts';
import type { ClusterTry } from './tries.ts';

/** From the last sign of life of a worker to the moment at which others have its chunks. */
const TAKEOVER_MS = 45_000;

export const freezeWorkers: Fault = {
  family: 'nodes',
  name: 'SIGSTOP of a worker beyond its lease, SIGCONT when others have its work: it can write nothing of that',
  needs: ['radosgw'],
  async run(trials) {
    const { random, quick } = trials;
    let slowest = 0;

    function* tries(): Generator<ClusterTry> {
      for (let i = 1; i <= (quick ? 1 : 12); i++) {
        yield {
          name: `lease ended by hand, try ${i}`,
          // By its own clock its lease goes on, so that it may claim and send some lines again before it hears of it.
          retriesALine: 1,
          async harm(cluster) {
            await someMoment(random);
            const node = await freezeOne(cluster, random.pick(cluster.workers));
            await cluster.expireLease(node);
            await thawWhenTaken(cluster, node, TAKEOVER_MS);
          },
        };
      }
      for (let i = 1; i <= (quick ? 0 : 3); i++) {
        yield {
          name: `lease that ends by itself, try ${i}`,
          // Requests that it had begun, but not written to their sockets, are sent when it goes on.
          retriesALine: 1,
          repeatsInAll: MAX_CONCURRENCY,
          async harm(cluster) {
            const node = await freezeOne(cluster, random.pick(cluster.workers));
            const frozenAt = performance.now();
            await thawWhenTaken(cluster, node, TAKEOVER_MS);
            slowest = Math.max(slowest, performance.now() - frozenAt);
          },
        };
      }
    }

    await tryOnClusters(trials, tries());
    if (slowest > 0) trials.note(`others had its work after ${Math.round(slowest / 1000)} s at the most`);
  },
};

/** Stops a worker that holds chunks: this one, or where it has none left any other. */
async function freezeOne(cluster: Cluster, first: ClusterNode): Promise<ClusterNode> {
  const candidates = [first, ...cluster.workers];
  const node = await waitFor('a worker holds chunks', async () => {
    for (const candidate of candidates) if ((await cluster.countHeld(candidate)) > 0) return candidate;
    return null;
  });
  node.process.kill('SIGSTOP');
  cluster.noteCrash();
  return node;
}

async function thawWhenTaken(cluster: Cluster, node: ClusterNode, timeoutMs: number): Promise<void> {
  await waitFor('others have its chunks', async () => (await cluster.countHeld(node)) === 0, timeoutMs);
  node.process.kill('SIGCONT');
  await waitFor('it has a lease again', async () => (await readLease(cluster, node)) === 1);
  assert.equal(node.process.hasEnded, false, 'the process that was stopped has ended');
}

async function readLease(cluster: Cluster, { worker }: ClusterNode): Promise<number> {
  const alive = 'select id from workers where id = $1 and alive_until > now()';
  return (await cluster.query(alive, [worker])).length;
}
