/**
 * `npm run bench`: how fast the service is, next to what a bare loop can do on the same core.
 *
 *     npm run bench -- throughput width     some parts
 *     BENCH_RUNS=1 npm run bench            quicker, and less to be trusted
 *     npm run bench:smoke                   the short run of continuous integration
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { writeChart } from './chart.ts';
import type { BenchContext } from './part.ts';
import { parts } from './parts/index.ts';
import { formatTable, machine, meetsGoals, resultOf, saveResult, updateReadme } from './report.ts';
import type { Result } from './report.ts';

const { values, positionals } = parseArgs({
  options: { smoke: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const wanted = parts.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
const folders: string[] = [];
const context: BenchContext = {
  runs: Number(process.env['BENCH_RUNS'] ?? 5),
  smoke: values.smoke,
  async folder() {
    const folder = await mkdtemp(join(tmpdir(), 'anyllm-bench-'));
    folders.push(folder);
    return folder;
  },
  progress: (text) => void process.stderr.write(`  ${text}\n`),
};

const results: Result[] = [];
try {
  for (const part of wanted) {
    process.stderr.write(`${part.title}\n`);
    const result = resultOf(part, await part.run(context));
    results.push(result);
    if (!values.smoke) await saveResult(part, result);
    for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
  }
  if (!values.smoke) {
    await writeChart();
    await updateReadme(parts);
  }
  const runs = values.smoke ? '' : `medians of ${context.runs} runs\n`;
  process.stdout.write(`${machine}\n${runs}\n${formatTable(results)}\n`);
  // Goals are for a quiet machine; the short run has its own, which any machine must meet.
  if (values.smoke && !results.every(meetsGoals)) process.exitCode = 1;
} finally {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
}
