/** A batch's lines on this worker, and which line of all of them goes next. */
import type { ChunkRun, Line, RunningBatch } from '../engine/index.ts';
import type { LimitedModel } from './model-limits.ts';
import type { Suspects } from './suspects.ts';

/** Lines of one model of one batch. */
export interface ModelQueue {
  readonly model: string;
  /** Null: the model has no limit. */
  readonly limited: LimitedModel | null;
  /** Chunks that have lines which were not taken yet, in order. */
  readonly runs: ChunkRun[];
  /** Lines whose wait for another attempt is over; they go first. */
  readonly again: Line[];
  inFlight: number;
}

/** What an owner has of the slots. */
export interface OwnerLoad {
  weight: number;
  inFlight: number;
  /** Rises with each line taken; of owners with as much in flight the one goes first that waits the longest. */
  lastTurn: number;
  lanes: number;
}

/** A batch of which this worker holds chunks. */
export interface Lane {
  readonly batch: RunningBatch;
  readonly load: OwnerLoad;
  readonly queues: Map<string, ModelQueue>;
  /** Every chunk held, also those whose lines are all taken. */
  readonly runs: Set<ChunkRun>;
  readonly flying: Set<Line>;
  /** True where the store has chunks of the batch that nobody had claimed when one was claimed last. */
  hasMore: boolean;
  /** True once the batch stopped: nothing more is sent, the chunks go back when nothing flies. */
  stopping: boolean;
}

/** True where lines of the queue could be sent. */
export function hasLines(queue: ModelQueue): boolean {
  return queue.again.length > 0 || queue.runs.length > 0;
}

/** Forgets a queue that is done: a batch may have thousands of models, which must not be looked at for each pick. */
export function dropIfIdle(lane: Lane, queue: ModelQueue): void {
  if (queue.inFlight === 0 && !hasLines(queue)) lane.queues.delete(queue.model);
}

/** Takes the queue's next line, of which there must be one that may go. */
export function takeLine({ again, runs }: ModelQueue, suspects: Suspects): Line {
  return takeAgain(again, suspects) ?? takeFrom(runs, suspects);
}

function takeAgain(again: Line[], suspects: Suspects): Line | undefined {
  if (again.length === 0) return undefined;
  const at = again.findIndex((line) => suspects.mayRetry(line));
  if (at > 0) return again.splice(at, 1)[0];
  return at === 0 ? again.shift() : undefined;
}

function takeFrom(runs: ChunkRun[], suspects: Suspects): Line {
  const at = runs.findIndex((run) => suspects.mayTake(run));
  const run = runs[at] as ChunkRun;
  const line = run.take() as Line;
  if (run.untaken === 0) runs.splice(at, 1);
  return line;
}

/** True where the queue has a line that may go now. */
function isSendable(queue: ModelQueue, hasRoom: (queue: ModelQueue) => boolean, suspects: Suspects): boolean {
  const mayRetry = queue.again.length > 0 && queue.again.some((line) => suspects.mayRetry(line));
  return (mayRetry || queue.runs.some((run) => suspects.mayTake(run))) && hasRoom(queue);
}

/**
 * Of which queue of which lane the next line is; null where none may go. Owners, batches and models in this order, as `takeNext` of
 * `lanes.ts` says.
 */
export function pickQueue(
  lanes: Iterable<Lane>,
  hasRoom: (queue: ModelQueue) => boolean,
  suspects: Suspects,
): { lane: Lane; queue: ModelQueue } | null {
  let best: { lane: Lane; queue: ModelQueue } | null = null;
  for (const lane of lanes) {
    if (best !== null && !goesBefore(lane, best.lane)) continue;
    let queue: ModelQueue | null = null;
    for (const candidate of lane.queues.values()) {
      if (queue !== null && candidate.inFlight >= queue.inFlight) continue;
      if (isSendable(candidate, hasRoom, suspects)) queue = candidate;
    }
    if (queue !== null) best = { lane, queue };
  }
  return best;
}

function goesBefore(a: Lane, b: Lane): boolean {
  if (a.load !== b.load) {
    const difference = a.load.inFlight * b.load.weight - b.load.inFlight * a.load.weight;
    return difference === 0 ? a.load.lastTurn < b.load.lastTurn : difference < 0;
  }
  if (a.batch.priority !== b.batch.priority) return a.batch.priority > b.batch.priority;
  if (a.flying.size !== b.flying.size) return a.flying.size < b.flying.size;
  return a.batch.expiresAt < b.batch.expiresAt;
}
