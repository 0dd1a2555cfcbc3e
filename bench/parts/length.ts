import { statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { atMost, median, MIB } from '../part.ts';
import type { Figure, Part } from '../part.ts';
import { repeat, warmUp, withService } from '../running.ts';

/** Much longer than the pauses between two steps of it, and it may be seen only at its end. */
const TRIM_PAUSE_MS = 10_000;
const LENGTHS = [10_000, 100_000, 1_000_000];

interface Run {
  readonly microsALine: number;
  readonly peak: number;
}

/** Long batches cost no more a line, no more memory, and leave nothing behind. */
export const length: Part = {
  name: 'length',
  title: 'Length: 10,000, 100,000 and 1,000,000 lines',
  async run(context) {
    const dataDir = await context.folder();
    return await withService(context, { dataDir }, async (running) => {
      const { service } = running;
      await warmUp(running);
      const before = databaseBytes(dataDir);
      const byLength = new Map<number, Run[]>();
      for (const lines of LENGTHS) {
        byLength.set(
          lines,
          await repeat(context.runs, async (run) => {
            service.forgetPeak();
            const { seconds } = await running.timeBatch(lines);
            context.progress(`${lines} lines, run ${run}: ${((seconds * 1e6) / lines).toFixed(1)} µs a line`);
            return { microsALine: (seconds * 1e6) / lines, peak: service.peak() / MIB };
          }),
        );
      }
      const growth = ((await trimmedBytes(dataDir)) - before) / MIB;
      return [
        ...figures(byLength),
        { name: 'growth of the database', unit: 'MiB', values: [growth], goal: atMost(1) },
      ];
    });
  },
};

function figures(byLength: ReadonlyMap<number, readonly Run[]>): Figure[] {
  const found: Figure[] = [];
  for (const [lines, runs] of byLength) {
    const shortest = byLength.get(LENGTHS[0] as number) ?? [];
    const isFirst = runs === shortest;
    const limit = (of: (run: Run) => number, factor: number, text: string) =>
      isFirst ? {} : { goal: atMost(factor * median(shortest.map(of)), text) };
    found.push(
      {
        name: `${lines.toLocaleString('en-US')} lines`,
        unit: 'µs a line',
        values: runs.map((run) => run.microsALine),
        ...limit((run) => run.microsALine, 1.1, 'at most 10% more than the shortest'),
      },
      {
        name: `… peak memory`,
        unit: 'MiB',
        values: runs.map((run) => run.peak),
        ...limit((run) => run.peak, 1.2, 'at most 20% more than the shortest'),
      },
    );
  }
  return found;
}

/** The service gives free pages back bit by bit: waits until the file has kept its size for a while. */
async function trimmedBytes(dataDir: string): Promise<number> {
  for (let last = Infinity; ; await sleep(TRIM_PAUSE_MS)) {
    const bytes = databaseBytes(dataDir);
    if (bytes === last) return bytes;
    last = bytes;
  }
}

/** Without the write-ahead log, which is cut back now and then. */
function databaseBytes(dataDir: string): number {
  return statSync(join(dataDir, 'database.db')).size;
}
