import { atLeast, atMost, MIB } from '../part.ts';
import type { Part } from '../part.ts';
import { repeat, withService } from '../running.ts';

const CONCURRENCY = 4000;
const LINES = 24_000;

/** An upstream that takes a second for each answer: what counts is that all slots stay full. */
export const latency: Part = {
  name: 'latency',
  title: 'Latency bound: answers after 1 s, 4,000 in flight',
  async run(context) {
    const runs = await repeat(context.runs, () =>
      withService(context, { latencyMs: 1000, concurrency: CONCURRENCY }, async ({ upstream, service }) => {
        // Without the first round, in which the connections are opened, and the last one, in which slots run empty.
        const [full, last] = await upstream.watch(CONCURRENCY, LINES - CONCURRENCY);
        const ended = service.submit(LINES).then((id) => service.completed(id, LINES, last));
        const { at: from } = await full;
        const { at: to } = await last;
        await ended;
        return {
          share: (LINES - 2 * CONCURRENCY) / ((to - from) / 1000) / CONCURRENCY,
          peak: service.peak() / MIB,
        };
      }),
    );
    return [
      {
        name: 'share of 4,000 items/s',
        unit: '',
        values: runs.map(({ share }) => share),
        goal: atLeast(0.9),
      },
      { name: 'peak memory', unit: 'MiB', values: runs.map(({ peak }) => peak), goal: atMost(400) },
    ];
  },
};
