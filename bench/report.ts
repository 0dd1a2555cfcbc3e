/** The results as a Markdown table, as JSON files, and in the README. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { format, resolveConfig } from 'prettier';
import { median } from './part.ts';
import type { Figure, Part } from './part.ts';
import { placement } from './processes.ts';

export const RESULTS = 'bench/results';

/** What a part found, as it is saved. */
export interface Result {
  readonly part: string;
  readonly machine: string;
  readonly figures: readonly SavedFigure[];
}

export interface SavedFigure {
  readonly name: string;
  readonly unit: string;
  readonly median: number;
  readonly values: readonly number[];
  readonly goal?: string;
  /** Whether the median meets the goal. */
  readonly met?: boolean;
}

export const hardware = `${cpus()[0]?.model ?? 'unknown CPU'}, ${cpus().length} cores, Node ${process.version}`;
export const machine = `${hardware}, ${placement}`;

/** `where`: the machine, and what of it the part had. */
export function resultOf(
  part: Pick<Part, 'title'>,
  figures: readonly Figure[],
  where: string = machine,
): Result {
  return { part: part.title, machine: where, figures: figures.map(savedFigure) };
}

function savedFigure({ name, unit, values, goal }: Figure): SavedFigure {
  const figure = { name, unit, median: median(values), values };
  return goal === undefined ? figure : { ...figure, goal: goal.text, met: goal.isMet(figure.median) };
}

/** True where no goal is missed. */
export const meetsGoals = ({ figures }: Result): boolean => figures.every(({ met }) => met !== false);

export function formatTable(results: readonly Result[]): string {
  const rows = results.flatMap(({ part, figures }) =>
    figures.map((figure, i) => [
      i === 0 ? part : '',
      figure.name,
      formatValues(figure),
      figure.goal === undefined ? '' : `${figure.goal}${figure.met === false ? ' **missed**' : ''}`,
    ]),
  );
  return [['Part', 'Figure', 'Median (range)', 'Goal'], ['---', '---', '---', '---'], ...rows]
    .map((row) => `| ${row.join(' | ')} |`)
    .join('\n');
}

function formatValues({ values, median: middle, unit }: SavedFigure): string {
  const range =
    values.length > 1 ? ` (${formatNumber(Math.min(...values))}–${formatNumber(Math.max(...values))})` : '';
  return `${formatNumber(middle)}${range} ${unit}`.trim();
}

function formatNumber(value: number): string {
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US');
  return value.toFixed(Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2);
}

/** Writes `bench/results/<part>.json`. */
export async function saveResult({ name }: Pick<Part, 'name'>, result: Result): Promise<void> {
  await mkdir(RESULTS, { recursive: true });
  await writeFile(`${RESULTS}/${name}.json`, `${JSON.stringify(result, null, 2)}\n`);
}

/** What was saved of a part; null where it was never run. */
export async function readResult(name: string): Promise<Result | null> {
  const text = await readFile(`${RESULTS}/${name}.json`, 'utf8').catch(() => null);
  return text === null ? null : (JSON.parse(text) as Result);
}

const TABLE_START = '<!-- bench -->\n';
const TABLE_END = '<!-- /bench -->';

/** Puts the table of all saved results of these parts into the file, between its two marks. */
export async function updateTable(path: string, parts: readonly Pick<Part, 'name'>[]): Promise<void> {
  const results = (await Promise.all(parts.map(({ name }) => readResult(name)))).filter(
    (result) => result !== null,
  );
  const before = await readFile(path, 'utf8');
  const [from, to] = [before.indexOf(TABLE_START), before.indexOf(TABLE_END)];
  if (from === -1 || to < from) throw new Error(`${path} has no marks for the table of the benchmark`);
  const machines = [...new Set(results.map((result) => result.machine))].join('; ');
  const table = `\nMedians (and ranges) of repeated runs on: ${machines}.\n\n${formatTable(results)}\n`;
  const text = before.slice(0, from) + TABLE_START + table + before.slice(to);
  await writeFile(path, await format(text, { ...(await resolveConfig(path)), filepath: path }));
}
