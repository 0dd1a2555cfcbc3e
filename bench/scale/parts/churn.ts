import { setImmediate as turn } from 'node:timers/promises';
import { openPostgresStore } from '../../../src/adapters/postgres/index.ts';
import { NO_USAGE } from '../../../src/engine/batches/batch.ts';
import type { NewSegment } from '../../../src/engine/run/chunk.ts';
import type { BatchStep, ChunkClaim, Store } from '../../../src/engine/ports.ts';
import {
  aBlob,
  aFile,
  chunksOf,
  claim,
  createBatch,
  finishOf,
  refOf,
  startOf,
} from '../../../test/helpers/store-fixtures.ts';
import { atLeast, atMost, MIB } from '../../part.ts';
import type { BenchContext, Figure, Part } from '../../part.ts';
import { between, startDatabase } from '../database.ts';
import type { BenchDatabase } from '../database.ts';

const WORKERS = 4;
const LIVE_BATCHES = 10;
const CHUNKS_A_BATCH = 64;
const LINES_A_CHUNK = 256;
/** What one commit adds to how many chunks. */
const CHUNKS_A_COMMIT = 8;
const LINES_A_SEGMENT = 32;
/** A worker that is never idle commits every 20 ms: this is an hour of it. */
const COMMITS_AN_HOUR = 180_000;
const SLICES = 12;

/** What the workers share. */
interface Churn {
  readonly store: Store;
  commits: number;
  liveBatches: number;
}

/**
 * The row versions of an hour as quickly as they can be made: batches are started, claimed, committed and finished again and
 * again, without the bytes of their lines. What they leave behind must not slow the next ones down.
 */
export const churn: Part = {
  name: 'scale-churn',
  title: 'The commits of an hour, as fast as they go',
  async run(context) {
    const database = await startDatabase();
    const store = await openPostgresStore({ url: database.url, maxConnections: WORKERS, onLost() {} });
    try {
      return await measure(context, database, store);
    } finally {
      await store.close();
      await database.stop();
    }
  },
};

async function measure(context: BenchContext, database: BenchDatabase, store: Store): Promise<Figure[]> {
  const slice = (context.smoke ? COMMITS_AN_HOUR / 20 : COMMITS_AN_HOUR) / SLICES;
  const state: Churn = { store, commits: 0, liveBatches: 0 };
  // The first ones plan their statements and fill the caches.
  await runWorkers(state, slice / 4);
  const speeds: number[] = [];
  const sizes: number[] = [];
  const before = await database.work();
  const from = state.commits;
  for (let i = 1; i <= SLICES; i++) {
    const [began, committed] = [performance.now(), state.commits];
    await runWorkers(state, slice);
    speeds.push((state.commits - committed) / ((performance.now() - began) / 1000));
    sizes.push((await database.tableBytes()) / MIB);
    context.progress(
      `${i} of ${SLICES}: ${Math.round(speeds.at(-1) ?? 0)} commits/s, ${Math.round(sizes.at(-1) ?? 0)} MiB`,
    );
  }
  const work = between(before, await database.work());
  const quarter = SLICES / 4;
  return [
    { name: `commits, each to ${CHUNKS_A_COMMIT} chunks`, unit: 'commits/s', values: speeds },
    {
      name: 'the last quarter ÷ the first',
      unit: '',
      values: [mean(speeds.slice(-quarter)) / mean(speeds.slice(0, quarter))],
      goal: atLeast(0.95),
    },
    { name: 'all tables', unit: 'MiB', values: sizes },
    {
      name: '… at the end ÷ after the first twelfth',
      unit: '',
      values: [(sizes.at(-1) ?? NaN) / (sizes[0] ?? NaN)],
      goal: atMost(2),
    },
    {
      name: 'dead row versions',
      unit: 'a commit',
      values: [work.deadTuples / (state.commits - from)],
    },
  ];
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** So many more commits, by all workers together. */
async function runWorkers(state: Churn, commits: number): Promise<void> {
  const until = state.commits + commits;
  await Promise.all(Array.from({ length: WORKERS }, (_, i) => runWorker(state, `worker-${i}`, until)));
}

async function runWorker(state: Churn, worker: string, until: number): Promise<void> {
  const { store } = state;
  await store.renewLease(worker);
  while (state.commits < until) {
    if (state.liveBatches < LIVE_BATCHES) {
      state.liveBatches++;
      await createBatch(store, { owner: worker });
    }
    const step = await store.claimBatchStep(worker, Date.now());
    if (step !== null) await takeStep(state, step);
    const held = await claim(store, { worker, limit: CHUNKS_A_COMMIT });
    if (held.length > 0) await finishChunks(state, held);
    else await turn();
  }
}

async function takeStep(state: Churn, step: BatchStep): Promise<void> {
  if (step.step === 'prepare') {
    const chunks = chunksOf(CHUNKS_A_BATCH, { lineCount: LINES_A_CHUNK });
    await state.store.startBatch(startOf(step, { chunks, input: aBlob(step.batch.id) }));
    return;
  }
  const outputFile = aFile({ owner: step.batch.owner });
  await state.store.finishBatch(finishOf(step, 'completed', { outputFile }));
  state.liveBatches--;
}

async function finishChunks(state: Churn, held: readonly ChunkClaim[]): Promise<void> {
  for (let from = 0; from < LINES_A_CHUNK; from += LINES_A_SEGMENT) {
    const segments = held.map((claimed) => segmentAt(claimed, from));
    const fenced = await state.store.commitSegments(segments, Date.now());
    if (fenced.includes('lost')) throw new Error('a chunk was lost to nobody');
    state.commits++;
  }
}

function segmentAt({ chunk }: ChunkClaim, from: number): NewSegment {
  const places = Array.from({ length: LINES_A_SEGMENT }, (_, i) => from + i);
  return {
    ...refOf(chunk),
    logPosition: from * 1000,
    lines: { places, lengths: places.map(() => 1000), succeeded: places.map(() => true) },
    usage: { ...NO_USAGE, totalTokens: LINES_A_SEGMENT },
  };
}
