import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { atMost } from '../part.ts';
import type { BenchContext, Part } from '../part.ts';
import { repeat, withService } from '../running.ts';
import { createFinishedBatches } from '../finished-batches.ts';

const BATCHES = 10_000;
const LISTS = 50;

/** A service with a past starts at once. */
export const start: Part = {
  name: 'start',
  title: 'Start with 10,000 finished batches in the database',
  async run(context) {
    const dataDir = join(await context.folder(), 'data');
    await mkdir(dataDir);
    await createFinishedBatches(dataDir, BATCHES);
    const runs = await repeat(context.runs, () => measure(context, dataDir));
    return [
      { name: 'ready after', unit: 's', values: runs.map(({ ready }) => ready), goal: atMost(2, '< 2') },
      { name: 'a list of 20', unit: 'ms', values: runs.map(({ list }) => list), goal: atMost(10, '< 10') },
    ];
  },
};

async function measure(context: BenchContext, dataDir: string): Promise<{ ready: number; list: number }> {
  const from = performance.now();
  return await withService(context, { dataDir }, async ({ service }) => {
    // The upstream's start is in it, too: some 50 ms.
    const ready = (performance.now() - from) / 1000;
    const times = await repeat(LISTS, async () => {
      const listFrom = performance.now();
      const { data } = (await (await fetch(`${service.url}/v1/batches?limit=20`)).json()) as {
        data: unknown[];
      };
      if (data.length !== 20) throw new Error('the list is not whole');
      return performance.now() - listFrom;
    });
    return { ready, list: times.toSorted((a, b) => a - b)[LISTS >> 1] ?? NaN };
  });
}
