import type { Part } from '../../part.ts';
import { startUpstream } from '../../upstream.ts';
import { withCluster } from '../cluster.ts';
import { runWithWorkers } from '../runs.ts';

/** A model server that takes 50 ms for each answer: more workers hold more requests. */
export const latency: Part = {
  name: 'scale-latency',
  title: 'Answers after 50 ms, 256 in flight in each worker: 4 batches of 20,000 lines of 1 KB',
  async run(context) {
    const upstream = await startUpstream({ latencyMs: 50, answerBytes: 1000 });
    try {
      const options = { upstreamUrl: upstream.url, concurrency: 256 };
      return await withCluster(context, options, (cluster) =>
        runWithWorkers(
          context,
          cluster,
          { model: 'bench', batches: 4, lines: context.smoke ? 5000 : 20_000 },
          {},
        ),
      );
    } finally {
      await upstream.stop();
    }
  },
};
