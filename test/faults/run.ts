/**
 * `npm run faults`: runs every fault and prints the table of what was tried and what was violated. Exits with 1 where
 * anything was.
 *
 *     npm run faults -- --only kill --seed 7 --quick
 */
import { parseArgs } from 'node:util';
import { catalogue } from './catalogue.ts';
import { runFault } from './harness/fault.ts';
import { missingNeeds } from './harness/needs.ts';
import { printTable } from './harness/table.ts';
import type { Row } from './harness/table.ts';

const { values } = parseArgs({
  options: {
    /** Only faults whose family or name contains this. */
    only: { type: 'string', default: '' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    quick: { type: 'boolean', default: false },
  },
});

const seed = Number(values.seed);
process.stdout.write(`seed ${seed} (repeat with --seed ${seed})\n\n`);
const startedAt = performance.now();
const rows: Row[] = [];
for (const fault of catalogue) {
  if (!`${fault.family}: ${fault.name}`.includes(values.only)) continue;
  const missing = missingNeeds(fault);
  const begun = performance.now();
  process.stdout.write(`${fault.family}: ${fault.name} …`);
  const result =
    missing.length > 0
      ? { tries: 0, violations: [`cannot run without ${missing.join(', ')}`], notes: [] }
      : await runFault(fault, { quick: values.quick, seed });
  const seconds = (performance.now() - begun) / 1000;
  rows.push({ fault, ...result, seconds });
  process.stdout.write(
    ` ${result.tries} tries, ${result.violations.length} violations, ${seconds.toFixed(0)} s\n`,
  );
  for (const violation of result.violations) process.stdout.write(`  VIOLATION ${violation}\n`);
}
printTable(rows, (performance.now() - startedAt) / 1000);
process.exitCode = rows.every((row) => row.violations.length === 0) ? 0 : 1;
