/** A part of the benchmark, and what it finds. */

/** One figure: its values of all runs. */
export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly values: readonly number[];
  /** What the median must be, in words and as a check. */
  readonly goal?: { readonly text: string; readonly isMet: (median: number) => boolean };
}

export interface BenchContext {
  /** How often each thing is measured. */
  readonly runs: number;
  /** True: a short run, for continuous integration. */
  readonly smoke: boolean;
  /** An empty folder, removed at the end. */
  folder(): Promise<string>;
  /** Tells how far it has come. */
  progress(text: string): void;
}

export interface Part {
  /** As it is asked for: `npm run bench -- <name>`. */
  readonly name: string;
  readonly title: string;
  run(context: BenchContext): Promise<readonly Figure[]>;
}

export const atLeast = (value: number, text = `≥ ${value}`): NonNullable<Figure['goal']> => ({
  text,
  isMet: (median) => median >= value,
});

export const atMost = (value: number, text = `≤ ${value}`): NonNullable<Figure['goal']> => ({
  text,
  isMet: (median) => median <= value,
});

export const MIB = 1024 ** 2;

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}
