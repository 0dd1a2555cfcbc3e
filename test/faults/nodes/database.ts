import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from '../harness/fault.ts';
import { someMoment, tryOnClusters } from './tries.ts';
import type { ClusterTry } from './tries.ts';

export const restartDatabase: Fault = {
  family: 'nodes',
  name: 'PostgreSQL restarted in order and as after a crash, while ten batches run on five nodes',
  needs: ['radosgw'],
  async run(trials) {
    const { random, quick } = trials;

    function* tries(): Generator<ClusterTry> {
      for (let i = 1; i <= (quick ? 1 : 12); i++) {
        const signals = Array.from({ length: random.between(1, 3) }, () =>
          random.pick(['SIGINT', 'SIGQUIT'] as const),
        );
        yield {
          name: `${signals.join(', ')}, try ${i}`,
          async harm(_cluster, { postgres }) {
            for (const signal of signals) {
              await someMoment(random);
              await postgres.restart(signal);
            }
          },
        };
      }
    }

    await tryOnClusters(trials, tries());
  },
};

export const cutNetworks: Fault = {
  family: 'nodes',
  name: 'the network to PostgreSQL or S3 loses one direction for seconds, or all connections',
  needs: ['radosgw'],
  async run(trials) {
    const { random, quick } = trials;
    const cuts = (['objects', 'database'] as const).flatMap((wire) =>
      (['requests', 'answers', 'reset'] as const).map((how) => ({ wire, how })),
    );

    function* tries(): Generator<ClusterTry> {
      for (let i = 1; i <= (quick ? 1 : 3); i++) {
        for (const { wire, how } of quick ? [random.pick(cuts)] : cuts) {
          yield {
            name: `${wire}: ${how}, try ${i}`,
            async harm(cluster) {
              for (let cut = 0; cut < 3; cut++) {
                await someMoment(random);
                if (how === 'reset') {
                  cluster[wire].reset();
                  continue;
                }
                cluster[wire].hold(how);
                await sleep(random.between(500, 3000));
                cluster[wire].release();
              }
            },
          };
        }
      }
    }

    await tryOnClusters(trials, tries());
  },
};
