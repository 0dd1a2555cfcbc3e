/** Claimed chunks, sorted into a lane a batch and a queue a model; lane.ts says which line goes next. */
import type { ChunkRun, HeldChunks, Line, RunningBatch } from '../engine/index.ts';
import { dropIfIdle, hasLines, pickQueue, takeLine } from './lane.ts';
import type { Lane, ModelQueue, OwnerLoad } from './lane.ts';
import { NO_MODEL_LIMITS } from './model-limits.ts';
import type { ModelLimits } from './model-limits.ts';
import type { ModelWindows } from './model-windows.ts';
import type { Suspects } from './suspects.ts';

export interface Lanes {
  readonly all: ReadonlyMap<string, Lane>;
  /** Lines that could be sent now if there were slots and open gates. */
  readonly readyLines: number;
  /** Those of them whose models `counts` lets through. Looks at every queue. */
  countReady(counts: (model: string) => boolean): number;
  /** How many chunks have had their last line taken since the start. */
  readonly spentRuns: number;
  /** How many chunks have lines that were not taken yet, of each model of each batch that has any. Looks at every queue. */
  countUntaken(): HeldChunks[];
  /** Bytes held in memory. */
  readonly heldBytes: number;
  /** By owner, the highest priority among lanes with ready lines; owners without any are missing. */
  topPriorities(): ReadonlyMap<string, number>;
  /** True where a batch has chunks left, but none here with lines that were not taken yet. Looks at every lane. */
  hasDry(): boolean;
  /** Takes a chunk on. Into a lane that stops it goes as a stopped one, to be given back with it. */
  addRun(run: ChunkRun): void;
  removeRun(run: ChunkRun): void;
  /** A line may be sent (again). */
  putBack(line: Line): void;
  /**
   * Takes the next line and counts it as flying: of the owner with the fewest in flight for its weight, then of the one
   * that waits the longest; of its batches of the highest priority; among those of the one with the fewest in flight, then of
   * the nearest deadline; within a batch of the model with the fewest in flight.
   */
  takeNext(isOpen: (model: string) => boolean): Line | null;
  /** A taken line's attempt ended. */
  landed(line: Line): void;
  /** Nothing more of this batch is taken. */
  stop(lane: Lane): void;
  /** Nothing more of this chunk is taken. */
  stopRun(run: ChunkRun): void;
  /** Forgets a lane without chunks. */
  removeIfEmpty(lane: Lane): void;
}

export function createLanes(
  suspects: Suspects,
  windows: ModelWindows,
  limits: ModelLimits = NO_MODEL_LIMITS,
): Lanes {
  const lanes = new Map<string, Lane>();
  const loads = new Map<string, OwnerLoad>();
  let turn = 0;
  let readyLines = 0;
  let heldBytes = 0;
  let spentRuns = 0;

  function queueOf(lane: Lane, model: string): ModelQueue {
    let queue = lane.queues.get(model);
    if (queue === undefined) {
      queue = { model, limited: limits.find(model), runs: [], again: [], inFlight: 0 };
      lane.queues.set(model, queue);
    }
    return queue;
  }

  /** Lines of the queue became ready or, less than 0, are ready no more. */
  function addReady({ limited }: ModelQueue, lines: number): void {
    readyLines += lines;
    if (limited !== null) limits.addReady(limited, lines);
  }

  function newLane(batch: RunningBatch): Lane {
    let load = loads.get(batch.owner);
    if (load === undefined)
      loads.set(batch.owner, (load = { weight: 1, inFlight: 0, lastTurn: 0, lanes: 0 }));
    load.lanes++;
    return {
      batch,
      load,
      queues: new Map(),
      runs: new Set(),
      flying: new Set(),
      hasMore: false,
      stopping: false,
    };
  }

  function dropReady(queue: ModelQueue, run: ChunkRun): void {
    const at = queue.runs.indexOf(run);
    if (at !== -1) {
      queue.runs.splice(at, 1);
      addReady(queue, -run.untaken);
    }
    const kept = queue.again.filter((line) => line.run !== run);
    addReady(queue, kept.length - queue.again.length);
    queue.again.splice(0, queue.again.length, ...kept);
  }

  function stopRun(lane: Lane, run: ChunkRun): void {
    dropReady(queueOf(lane, run.model), run);
    run.stopped = true;
  }

  return {
    all: lanes,
    get readyLines() {
      return readyLines;
    },
    countReady(counts) {
      let count = 0;
      for (const lane of lanes.values()) {
        for (const { model, again, runs } of lane.queues.values()) {
          if (counts(model)) count += runs.reduce((sum, run) => sum + run.untaken, again.length);
        }
      }
      return count;
    },
    get spentRuns() {
      return spentRuns;
    },
    countUntaken() {
      const counts: HeldChunks[] = [];
      for (const { batch, queues } of lanes.values()) {
        for (const { model, runs } of queues.values()) {
          if (runs.length > 0) counts.push({ batchId: batch.id, model, chunks: runs.length });
        }
      }
      return counts;
    },
    get heldBytes() {
      return heldBytes;
    },
    topPriorities() {
      const tops = new Map<string, number>();
      for (const { batch, queues } of lanes.values()) {
        if (batch.priority <= (tops.get(batch.owner) ?? -Infinity)) continue;
        if ([...queues.values()].some(hasLines)) tops.set(batch.owner, batch.priority);
      }
      return tops;
    },
    hasDry() {
      for (const { hasMore, stopping, queues } of lanes.values()) {
        if (hasMore && !stopping && ![...queues.values()].some(({ runs }) => runs.length > 0)) return true;
      }
      return false;
    },
    addRun(run) {
      let lane = lanes.get(run.batch.id);
      if (lane === undefined) lanes.set(run.batch.id, (lane = newLane(run.batch)));
      lane.load.weight = run.batch.weight;
      lane.hasMore = run.hasMore;
      lane.runs.add(run);
      windows.addRun(run);
      heldBytes += run.bytes;
      if (lane.stopping) run.stopped = true;
      if (run.stopped) return;
      const queue = queueOf(lane, run.model);
      queue.runs.push(run);
      suspects.addRun(run);
      addReady(queue, run.untaken);
    },
    removeRun(run) {
      const lane = lanes.get(run.batch.id);
      if (lane === undefined || !lane.runs.delete(run)) return;
      const queue = queueOf(lane, run.model);
      dropReady(queue, run);
      dropIfIdle(lane, queue);
      suspects.removeRun(run);
      windows.removeRun(run);
      heldBytes -= run.bytes;
      run.stopped = true;
    },
    putBack(line) {
      const lane = lanes.get(line.run.batch.id);
      if (lane === undefined || line.run.stopped) return;
      const queue = queueOf(lane, line.run.model);
      queue.again.push(line);
      addReady(queue, 1);
    },
    takeNext(isOpen) {
      const hasRoom = ({ model, limited }: ModelQueue): boolean =>
        (limited === null || limits.hasRoom(limited)) && isOpen(model) && windows.hasRoom(model);
      const found = pickQueue(lanes.values(), hasRoom, suspects);
      if (found === null) return null;
      const { lane, queue } = found;
      const runsBefore = queue.runs.length;
      const line = takeLine(queue, suspects);
      spentRuns += runsBefore - queue.runs.length;
      addReady(queue, -1);
      queue.inFlight++;
      if (queue.limited !== null) queue.limited.inFlight++;
      lane.flying.add(line);
      lane.load.inFlight++;
      lane.load.lastTurn = ++turn;
      windows.began(queue.model);
      suspects.took();
      return line;
    },
    landed(line) {
      const lane = lanes.get(line.run.batch.id);
      if (lane === undefined || !lane.flying.delete(line)) return;
      const queue = queueOf(lane, line.run.model);
      queue.inFlight--;
      if (queue.limited !== null) queue.limited.inFlight--;
      lane.load.inFlight--;
      windows.ended(queue.model);
      suspects.landed();
      dropIfIdle(lane, queue);
    },
    stop(lane) {
      lane.stopping = true;
      for (const run of lane.runs) stopRun(lane, run);
    },
    stopRun(run) {
      const lane = lanes.get(run.batch.id);
      if (lane !== undefined) stopRun(lane, run);
    },
    removeIfEmpty(lane) {
      if (lane.runs.size > 0 || lane.flying.size > 0) return;
      // Another one of the same batch may have begun since.
      if (lanes.get(lane.batch.id) !== lane) return;
      lanes.delete(lane.batch.id);
      lane.load.lanes--;
      if (lane.load.lanes === 0) loads.delete(lane.batch.owner);
    },
  };
}
