/** One run of one thing. */
export interface Measurement {
  readonly itemsPerSecond: number;
  /** User and system time of the process, microseconds an item. */
  readonly cpuMicrosPerItem: number;
  /** Largest resident size of the process, bytes. */
  readonly peakMemoryBytes: number;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}

/** A Markdown table: a row a thing, each figure as its median and, in brackets, its range. */
export function formatTable(rows: Readonly<Record<string, readonly Measurement[]>>): string {
  const figure = (values: readonly number[], digits = 0): string =>
    `${median(values).toFixed(digits)} (${Math.min(...values).toFixed(digits)}–${Math.max(...values).toFixed(digits)})`;
  const body = Object.entries(rows).map(
    ([name, results]) =>
      `| ${name} | ${figure(results.map((result) => result.itemsPerSecond))} | ${figure(
        results.map((result) => result.cpuMicrosPerItem),
        1,
      )} | ${figure(results.map((result) => result.peakMemoryBytes / 1024 ** 2))} |`,
  );
  return ['| | items/s | CPU µs/item | peak memory MiB |', '|---|---|---|---|', ...body].join('\n');
}
