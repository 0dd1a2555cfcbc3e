/** Takes batches that were cancelled or that expired out of the slots, so that they can be finalized. */
import type { Committer, EngineContext } from '../engine/index.ts';
import type { Lane, Lanes } from './lanes.ts';
import type { Slots } from './slots.ts';

/** Requests in flight of such a batch may still end within this time, milliseconds. */
const GRACE_MS = 2000;
/** How long to wait after the store failed before the chunks are given back again, milliseconds. */
const RETRY_MS = 1000;

export interface LaneStops {
  /** Stops the lanes of batches that are no longer in progress. */
  check(): Promise<void>;
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
    const runs = [...lane.runs];
    await ctx.store.releaseChunks(runs.map((run) => run.ref));
    for (const run of runs) lanes.removeRun(run);
    lanes.removeIfEmpty(lane);
    timers.get(lane)?.();
    timers.delete(lane);
  }

  return {
    async check() {
      for (const batchId of await ctx.store.findStoppedBatches(worker)) {
        const lane = lanes.all.get(batchId);
        if (lane !== undefined && !lane.stopping) stop(lane);
      }
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
