import { atLeast, atMost } from '../../part.ts';
import type { Part } from '../../part.ts';
import { withCluster } from '../cluster.ts';
import { runWithWorkers } from '../runs.ts';

/** What the engine and the database can do where answers cost nothing: the built-in model is part of each worker. */
export const engine: Part = {
  name: 'scale-engine',
  title: 'Engine: 4 batches of 50,000 lines of 1 KB, answered within the workers',
  run: (context) =>
    withCluster(context, { upstreamUrl: null, concurrency: 256 }, (cluster) =>
      runWithWorkers(
        context,
        cluster,
        { model: 'echo', batches: 4, lines: context.smoke ? 5000 : 50_000 },
        { linesPerSecond: atLeast(20_000, '≥ 20,000'), walBytesPerLine: atMost(1500, '≤ 1,500') },
      ),
    ),
};
