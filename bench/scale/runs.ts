/** Batches that several workers run together, and what they cost. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchContext, Figure } from '../part.ts';
import type { Cluster } from './cluster.ts';
import { between } from './database.ts';

const POLL_MS = 200;
/** The middle of a run: the workers are busy, no batch is being prepared or ended. */
const [FROM, TO] = [0.1, 0.9];

export interface RunOptions {
  readonly model: string;
  readonly batches: number;
  /** Of each batch, 1 KB each. */
  readonly lines: number;
  readonly workers: number;
}

export interface RunResult {
  /** While the middle of the lines were run. */
  readonly linesPerSecond: number;
  /** From the creation of the first batch to the end of the last one. */
  readonly overallLinesPerSecond: number;
  readonly walBytesPerLine: number;
  readonly deadTuplesPerLine: number;
  /** Transactions of all processes, reading ones included. */
  readonly transactionsPerLine: number;
  /** Of the CPU time that the database and the nodes used together. */
  readonly databaseShare: number;
  readonly databaseMicrosPerLine: number;
  readonly nodesMicrosPerLine: number;
}

/** Runs batches over one uploaded file, all at once. */
export async function runBatches(cluster: Cluster, options: RunOptions): Promise<RunResult> {
  const { api, database } = cluster;
  const { batches, lines, model, workers } = options;
  await cluster.setWorkers(workers);
  const file = await api.upload(lines, { model });
  const total = batches * lines;
  const before = await database.work();
  const cpuBefore = cluster.nodesCpu();
  const began = performance.now();
  const ids = await api.createAll(file, batches);
  const marks: { readonly at: number; readonly done: number }[] = [];
  for (;;) {
    const counts = await Promise.all(ids.map(async (id) => await api.countFinished(id)));
    const done = counts.reduce((sum, { finished }) => sum + finished, 0);
    marks.push({ at: performance.now(), done });
    if (counts.every(({ isComplete }) => isComplete)) {
      if (done !== total) throw new Error(`${done} results for ${total} lines`);
      break;
    }
    await sleep(POLL_MS);
  }
  const ended = performance.now();
  const work = between(before, await database.work());
  const nodes = cluster.nodesCpu() - cpuBefore;
  const from = marks.find(({ done }) => done >= FROM * total);
  const to = marks.findLast(({ done }) => done <= TO * total);
  if (from === undefined || to === undefined || to.at <= from.at) throw new Error('the run was too short');
  return {
    linesPerSecond: ((to.done - from.done) / (to.at - from.at)) * 1000,
    overallLinesPerSecond: (total / (ended - began)) * 1000,
    walBytesPerLine: work.walBytes / total,
    deadTuplesPerLine: work.deadTuples / total,
    transactionsPerLine: work.commits / total,
    databaseShare: work.cpu / (work.cpu + nodes),
    databaseMicrosPerLine: (work.cpu / total) * 1e6,
    nodesMicrosPerLine: (nodes / total) * 1e6,
  };
}

/**
 * The same with 1, 2 and 4 workers, as often as the context wants, after one that nobody measures. The goals are those of the most
 * workers, which leave nothing of the machine unused.
 */
export async function runWithWorkers(
  context: BenchContext,
  cluster: Cluster,
  options: Omit<RunOptions, 'workers'>,
  goals: Partial<Record<keyof RunResult, Figure['goal']>>,
): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const workers of [1, 2, 4]) {
    const results: RunResult[] = [];
    await runBatches(cluster, { ...options, workers });
    for (let run = 1; run <= context.runs; run++) {
      results.push(await runBatches(cluster, { ...options, workers }));
      context.progress(`${workers} workers, run ${run}: ${JSON.stringify(results.at(-1), rounded)}`);
    }
    figures.push(...figuresOf(results, workers, workers === 4 ? goals : {}));
  }
  return figures;
}

const rounded = (_: string, value: unknown): unknown =>
  typeof value === 'number' ? Number(value.toPrecision(3)) : value;

const NAMES: Readonly<Record<keyof RunResult, { readonly name: string; readonly unit: string }>> = {
  linesPerSecond: { name: 'while they run', unit: 'lines/s' },
  overallLinesPerSecond: { name: 'from the create to the end', unit: 'lines/s' },
  walBytesPerLine: { name: 'written to the WAL', unit: 'bytes a line' },
  deadTuplesPerLine: { name: 'dead row versions', unit: 'a line' },
  transactionsPerLine: { name: 'transactions', unit: 'a line' },
  databaseShare: { name: 'the database’s share of the CPU time', unit: '' },
  databaseMicrosPerLine: { name: 'CPU of the database', unit: 'µs a line' },
  nodesMicrosPerLine: { name: 'CPU of all nodes', unit: 'µs a line' },
};

function figuresOf(
  results: readonly RunResult[],
  workers: number,
  goals: Partial<Record<keyof RunResult, Figure['goal']>>,
): Figure[] {
  const keys = Object.keys(NAMES) as (keyof RunResult)[];
  return keys.map((key, i): Figure => {
    const { name, unit } = NAMES[key];
    const label = i === 0 ? `${workers} worker${workers === 1 ? '' : 's'}: ${name}` : `… ${name}`;
    const goal = goals[key];
    const values = results.map((result) => result[key]);
    return goal === undefined ? { name: label, unit, values } : { name: label, unit, values, goal };
  });
}
