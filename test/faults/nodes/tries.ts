/** How each try of this family goes: ten batches run on a cluster, something is done to it, and everything must be right. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Trials } from '../harness/fault.ts';
import { checkWitnessed } from '../harness/invariants/index.ts';
import type { InvariantOptions } from '../harness/invariants/index.ts';
import type { Random } from '../harness/random.ts';
import { startCluster } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { awaitEnds, submitBatches } from './program.ts';
import { withServers } from './servers.ts';
import type { Servers } from './servers.ts';
import { checkStored } from './stored.ts';

/** Until all batches have ended, what is done to them included. A lease takes half a minute to end. */
const END_MS = 120_000;

export interface ClusterTry extends InvariantOptions {
  readonly name: string;
  /** Does the harm, and mends what a restart or a network would mend. */
  readonly harm: (cluster: Cluster, servers: Servers) => Promise<void>;
}

/** Makes the tries one after another: each has six processes already. */
export async function tryOnClusters(trials: Trials, tries: Iterable<ClusterTry>): Promise<void> {
  await withServers(async (servers) => {
    for (const { name, harm, ...options } of tries) {
      await trials.attempt(name, async (scope) => {
        const cluster = await startCluster(scope, servers);
        const submitted = submitBatches(cluster);
        // It is awaited below, where its failure belongs.
        submitted.catch(() => {});
        await harm(cluster, servers);
        await submitted;
        await awaitEnds(cluster, END_MS);
        await checkWitnessed(cluster, () => checkStored(cluster), options);
      });
    }
  });
}

/** A moment within the life of the batches, which is some three seconds. */
export async function someMoment(random: Random): Promise<void> {
  await sleep(random.between(0, 1500));
}
