/** Runs parts of a benchmark one after another and tells what they found. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BenchContext, Part } from './part.ts';
import { formatTable, resultOf, saveResult } from './report.ts';
import type { Result } from './report.ts';

export interface RunOptions {
  readonly parts: readonly Part[];
  /** A short run, whose results are not saved. */
  readonly smoke: boolean;
  /** The machine, and what of it the parts have. */
  readonly machine: string;
  /** What is to be written after all parts were run. */
  readonly publish: () => Promise<void>;
}

/** Prints the table of what the parts found, and answers that. */
export async function runParts({ parts, smoke, machine, publish }: RunOptions): Promise<Result[]> {
  const folders: string[] = [];
  const removeFolders = async (): Promise<void> => {
    for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
  };
  const context: BenchContext = {
    runs: Number(process.env['BENCH_RUNS'] ?? 5),
    smoke,
    async folder() {
      const folder = await mkdtemp(join(tmpdir(), 'anyllm-bench-'));
      folders.push(folder);
      return folder;
    },
    progress: (text) => void process.stderr.write(`  ${text}\n`),
  };
  const results: Result[] = [];
  try {
    for (const part of parts) {
      process.stderr.write(`${part.title}\n`);
      const result = resultOf(part, await part.run(context), machine);
      results.push(result);
      if (!smoke) await saveResult(part, result);
      await removeFolders();
    }
    if (!smoke) await publish();
    const runs = smoke ? '' : `medians of ${context.runs} runs\n`;
    process.stdout.write(`${machine}\n${runs}\n${formatTable(results)}\n`);
    return results;
  } finally {
    await removeFolders();
  }
}
