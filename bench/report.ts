/** The results as a Markdown table and as a JSON file. */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { median } from './part.ts';
import type { Figure, Part } from './part.ts';
import { placement } from './processes.ts';

export interface PartResult {
  readonly part: Part;
  readonly figures: readonly Figure[];
}

export const machine = `${cpus()[0]?.model ?? 'unknown CPU'}, ${cpus().length} cores, Node ${process.version}, ${placement}`;

/** True where every goal is met. */
export function isMet({ goal, values }: Figure): boolean {
  return goal === undefined || goal.isMet(median(values));
}

export function formatTable(results: readonly PartResult[]): string {
  const rows = results.flatMap(({ part, figures }) =>
    figures.map((figure, i) => [
      i === 0 ? part.title : '',
      figure.name,
      formatValues(figure),
      figure.goal === undefined ? '' : `${figure.goal.text}${isMet(figure) ? '' : ' **missed**'}`,
    ]),
  );
  return [['Part', 'Figure', 'Median (range)', 'Goal'], ['---', '---', '---', '---'], ...rows]
    .map((row) => `| ${row.join(' | ')} |`)
    .join('\n');
}

function formatValues({ values, unit }: Figure): string {
  const range =
    values.length > 1 ? ` (${formatNumber(Math.min(...values))}–${formatNumber(Math.max(...values))})` : '';
  return `${formatNumber(median(values))}${range} ${unit}`;
}

function formatNumber(value: number): string {
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US');
  return value.toFixed(Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2);
}

/** Writes `bench/results/<part>.json`. */
export async function saveResult({ part, figures }: PartResult): Promise<void> {
  await mkdir('bench/results', { recursive: true });
  const result = {
    part: part.title,
    machine,
    figures: figures.map((figure) => ({
      name: figure.name,
      unit: figure.unit,
      median: median(figure.values),
      values: figure.values,
      ...(figure.goal === undefined ? {} : { goal: figure.goal.text, met: isMet(figure) }),
    })),
  };
  await writeFile(`bench/results/${part.name}.json`, `${JSON.stringify(result, null, 2)}\n`);
}
