/**
 * `npm run bench:scale`: what several workers do on one PostgreSQL, all on this machine, and what that costs the database.
 *
 *     npm run bench:scale -- scale-churn    some parts
 *     BENCH_RUNS=1 npm run bench:scale      quicker, and less to be trusted
 *     npm run bench:scale -- --smoke        shorter still; nothing is saved
 */
import { parseArgs } from 'node:util';
import { hardware, updateTable } from '../report.ts';
import { runParts } from '../run-parts.ts';
import { parts } from './parts/index.ts';

const { values, positionals } = parseArgs({
  options: { smoke: { type: 'boolean', default: false } },
  allowPositionals: true,
});

await runParts({
  parts: parts.filter(({ name }) => positionals.length === 0 || positionals.includes(name)),
  smoke: values.smoke,
  machine: `${hardware}, shared by the database, the object store, all nodes and the clients`,
  publish: () => updateTable('docs/scaling.md', parts),
});
