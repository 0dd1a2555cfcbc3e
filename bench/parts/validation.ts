import { atLeast, atMost, MIB } from '../part.ts';
import type { Part } from '../part.ts';
import { firstMessage, startNode, stop } from '../processes.ts';
import { repeat } from '../running.ts';

interface Validated {
  readonly seconds: number;
  readonly bytes: number;
  readonly longestHoldMs: number;
  readonly extraBytes: number;
}

/** What `prepare` does with an input file: scan it, check it, cut chunks, commit them. */
export const validation: Part = {
  name: 'validation',
  title: 'Validation: a file of 200 MB, 50,000 lines',
  async run(context) {
    const child = startNode(0, [
      '--max-semi-space-size=16',
      'bench/programs/validation.ts',
      await context.folder(),
      '50000',
      '4000',
    ]);
    try {
      await firstMessage(child);
      const ask = async (): Promise<Validated> => {
        const answer = firstMessage<Validated>(child);
        child.send('again');
        return await answer;
      };
      const runs = await repeat(context.runs, ask);
      return [
        {
          name: 'speed',
          unit: 'MB/s',
          values: runs.map(({ bytes, seconds }) => bytes / 1e6 / seconds),
          goal: atLeast(200),
        },
        {
          name: 'longest hold of the event loop',
          unit: 'ms',
          values: runs.map(({ longestHoldMs }) => longestHoldMs),
          goal: atMost(20),
        },
        {
          name: 'memory above idle',
          unit: 'MiB',
          values: runs.map(({ extraBytes }) => extraBytes / MIB),
          goal: atMost(150),
        },
      ];
    } finally {
      await stop(child);
    }
  },
};
