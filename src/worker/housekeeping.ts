import { removeExpiredFiles, removeExpiredUploads, sweepLeftovers } from '../engine/index.ts';
import type { EngineContext } from '../engine/index.ts';
import { createTasks } from './tasks.ts';

/** Expired files and uploads are removed this often. */
const EXPIRE_INTERVAL_MS = 60_000;
/** What crashes left is looked for this often, by one worker of all that share a store; by a store's only one also at its start. */
const SWEEP_INTERVAL_MS = 3_600_000;

export interface Housekeeping {
  /** Begins what is due. */
  fill(): void;
  stop(): Promise<void>;
}

/** Removes expired files, expired uploads and leftovers in the background, now and then. */
export function createHousekeeping(ctx: EngineContext): Housekeeping {
  const tasks = createTasks({ max: 1, clock: ctx.clock, log: ctx.log, onEnd: () => {} });
  let expireAt = -Infinity;
  let sweepAt = -Infinity;

  async function removeFiles(signal: AbortSignal): Promise<void> {
    const files = await removeExpiredFiles(ctx, signal);
    if (files > 0) ctx.log.info({ files }, 'expired files removed');
  }

  async function removeUploads(signal: AbortSignal): Promise<void> {
    const uploads = await removeExpiredUploads(ctx, signal);
    if (uploads > 0) ctx.log.info({ uploads }, 'expired uploads removed');
  }

  /** Each is done even where the other fails. */
  async function removeExpired(signal: AbortSignal): Promise<void> {
    const ends = await Promise.allSettled([removeFiles(signal), removeUploads(signal)]);
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  /** It asks for each blob there is, so not each of many workers does it. */
  async function sweep(signal: AbortSignal): Promise<void> {
    if (!(await ctx.store.takeTurn('sweep', SWEEP_INTERVAL_MS))) return;
    const swept = await sweepLeftovers(ctx, signal);
    if (swept.blobs + swept.abandoned + swept.logs + swept.events > 0)
      ctx.log.info(swept, 'leftovers removed');
  }

  return {
    fill() {
      const now = ctx.clock.monotonic();
      if (tasks.free > 0 && now >= expireAt) {
        expireAt = now + EXPIRE_INTERVAL_MS;
        tasks.start('removal of expired files and uploads', removeExpired);
      }
      if (tasks.free > 0 && now >= sweepAt) {
        sweepAt = now + SWEEP_INTERVAL_MS;
        tasks.start('sweep of leftovers', sweep);
      }
    },
    stop: () => tasks.stop(),
  };
}
