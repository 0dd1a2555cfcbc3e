import type { Fault, FaultResult } from './fault.ts';

export interface Row extends FaultResult {
  readonly fault: Fault;
  readonly seconds: number;
}

/** Prints the table as Markdown, so that it can go into `docs/guarantees.md` as it stands. */
export function printTable(rows: readonly Row[], seconds: number): void {
  const cells = [
    ['Fault', 'Tries', 'Violations'],
    ...rows.map(({ fault, tries, violations, notes }) => [
      `${fault.family}: ${fault.name}${notes.length > 0 ? ` (${notes.join('; ')})` : ''}`,
      String(tries),
      String(violations.length),
    ]),
    ['**all**', sum(rows, (row) => row.tries), sum(rows, (row) => row.violations.length)],
  ];
  const widths = [0, 1, 2].map((i) => Math.max(...cells.map((row) => row[i]?.length ?? 0)));
  const print = (row: readonly string[], pad = ' '): void => {
    const padded = row.map((cell, i) =>
      i === 0 ? cell.padEnd(widths[i] ?? 0, pad) : cell.padStart(widths[i] ?? 0, pad),
    );
    process.stdout.write(`| ${padded.join(' | ')} |\n`);
  };
  process.stdout.write('\n');
  for (const [i, row] of cells.entries()) {
    print(row);
    if (i === 0) print(['', '-:', '-:'], '-');
  }
  process.stdout.write(`\nin ${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s\n`);
}

function sum(rows: readonly Row[], of: (row: Row) => number): string {
  return String(rows.reduce((total, row) => total + of(row), 0));
}
