/** Takes batches that were cancelled or that expired out of the slots, so that they can be finalized. */
import type { ChunkRun, Committer, EngineContext } from '../engine/index.ts';
import type { Lane } from './lane.ts';
import type { Lanes } from './lanes.ts';
import type { Slots } from './slots.ts';

/** Requests in flight of such a batch may still end within this time, milliseconds. */
const GRACE_MS = 2000;
/** How long to wait after the store failed before the chunks are given back again, milliseconds. */
const RETRY_MS = 1000;

export interface LaneStops {
  /** Stops the lanes of batches that are no longer in progress. */
  check(): Promise<void>;
  /** Hands chunks that were just read to the slots; those of a batch that stopped meanwhile go back unsent. */
  takeOn(runs: readonly ChunkRun[]): void;
  /** A request of a stopping lane ended. */
  noteLanded(lane: Lane): void;
  /** Gives all chunks of a lane back and forgets it. */
  giveBack(lane: Lane): Promise<void>;
  /** Ends all timers. */
  close(): void;
}

export function createLaneStops(options: {
  readonly ctx: EngineContext;
  readonly worker: string;
  readonly lanes: Lanes;
  readonly slots: Slots;
  readonly committer: Committer;
  /** A batch may be finalized now. */
  readonly onGivenBack: () => void;
}): LaneStops {
  const { ctx, worker, lanes, slots, committer, onGivenBack } = options;
  /** For each stopping lane the timer that is set, as the function that cancels it. */
  const timers = new Map<Lane, () => void>();
  /** Batches of which chunks were held at the last check and that are no longer in progress. */
  let stopped: ReadonlySet<string> = new Set();

  function after(lane: Lane, ms: number, fn: () => void): void {
    timers.get(lane)?.();
    timers.set(lane, ctx.clock.after(ms, fn));
  }

  function stop(lane: Lane): void {
    lanes.stop(lane);
    if (lane.flying.size === 0) void end(lane);
    else after(lane, GRACE_MS, () => slots.abort(lane));
  }

  /** Commits what the requests brought and gives the chunks back. */
  async function end(lane: Lane): Promise<void> {
    try {
      await committer.flush();
      await giveBack(lane);
      onGivenBack();
    } catch (error) {
      ctx.log.error(
        { err: error, batchId: lane.batch.id },
        'the chunks of a stopped batch cannot be given back',
      );
      after(lane, RETRY_MS, () => void end(lane));
    }
  }

  async function giveBack(lane: Lane): Promise<void> {
    // More of them may arrive while these are given back.
    while (lane.runs.size > 0) {
      const runs = [...lane.runs];
      await ctx.store.releaseChunks(runs.map((run) => run.ref));
      for (const run of runs) lanes.removeRun(run);
    }
    lanes.removeIfEmpty(lane);
    timers.get(lane)?.();
    timers.delete(lane);
  }

  return {
    async check() {
      stopped = new Set(await ctx.store.findStoppedBatches(worker));
      for (const batchId of stopped) {
        const lane = lanes.all.get(batchId);
        if (lane !== undefined && !lane.stopping) stop(lane);
      }
    },
    takeOn(runs) {
      // The lane that the last check stopped may be gone by now; the next one stops the lane that these make.
      for (const run of runs) run.stopped = stopped.has(run.batch.id);
      slots.addRuns(runs);
    },
    noteLanded(lane) {
      if (lane.flying.size === 0) void end(lane);
    },
    giveBack,
    close() {
      for (const cancel of timers.values()) cancel();
      timers.clear();
    },
  };
}
