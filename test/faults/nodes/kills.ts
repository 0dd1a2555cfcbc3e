import type { Fault } from '../harness/fault.ts';
import { someMoment, tryOnClusters } from './tries.ts';
import type { ClusterTry } from './tries.ts';

export const killNodes: Fault = {
  family: 'nodes',
  name: 'SIGKILL of API nodes and workers at random moments, while ten batches run on five of them',
  needs: ['radosgw'],
  async run(trials) {
    const { random, quick } = trials;
    let kills = 0;

    function* tries(): Generator<ClusterTry> {
      for (let i = 1; i <= (quick ? 1 : 20); i++) {
        const count = random.between(2, 5);
        yield {
          name: `${count} kills, try ${i}`,
          async harm(cluster) {
            for (let kill = 0; kill < count; kill++) {
              await someMoment(random);
              const node = random.pick(cluster.nodes);
              await cluster.kill(node);
              await cluster.expireLease(node);
              await cluster.restart(node);
              kills++;
            }
          },
        };
      }
    }

    await tryOnClusters(trials, tries());
    trials.note(`${kills} kills, seed ${trials.seed}`);
  },
};
