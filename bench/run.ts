/**
 * `npm run bench`: how fast the service is, next to what a bare loop can do on the same core.
 *
 *     npm run bench -- throughput width     some parts
 *     BENCH_RUNS=1 npm run bench            quicker, and less to be trusted
 *     npm run bench:smoke                   the short run of continuous integration
 */
import { parseArgs } from 'node:util';
import { writeChart } from './chart.ts';
import { parts } from './parts/index.ts';
import { machine, meetsGoals, updateTable } from './report.ts';
import { runParts } from './run-parts.ts';

const { values, positionals } = parseArgs({
  options: { smoke: { type: 'boolean', default: false } },
  allowPositionals: true,
});

const results = await runParts({
  parts: parts.filter(({ name }) => positionals.length === 0 || positionals.includes(name)),
  smoke: values.smoke,
  machine,
  async publish() {
    await writeChart();
    await updateTable('README.md', parts);
  },
});
// Goals are for a quiet machine; the short run has its own, which any machine must meet.
if (values.smoke && !results.every(meetsGoals)) process.exitCode = 1;
