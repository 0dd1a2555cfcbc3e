import type { EngineContext } from './context.ts';
import { removeUnusedBlob } from './files/files.ts';
import { forgottenUntil } from './batches/submit.ts';
import { removeEndedParts } from './files/uploads.ts';

/** Settled events older than this are removed, milliseconds. */
const EVENT_RETENTION_MS = 30 * 24 * 3_600_000;
const FILES_A_STEP = 100;
const UPLOADS_A_STEP = 100;
/** Parts stay for this long after their upload expired: it may have been completed in time, and still be joined. Milliseconds. */
const JOINING_MS = 900_000;
/** Ended uploads older than this are removed: a late call then hears that there is no such upload. Milliseconds. */
const UPLOAD_RETENTION_MS = 30 * 24 * 3_600_000;

/**
 * Removes expired files, and their bytes where nothing else shares them; answers how many files. Stops early, between two
 * removals, where `signal` aborts; bytes that are left then are the sweep's.
 */
export async function removeExpiredFiles(ctx: EngineContext, signal: AbortSignal): Promise<number> {
  let removed = 0;
  for (;;) {
    signal.throwIfAborted();
    const blobs = await ctx.store.expireFiles(ctx.clock.now(), FILES_A_STEP);
    for (const blob of blobs) {
      signal.throwIfAborted();
      await removeUnusedBlob(ctx, blob.key);
    }
    removed += blobs.length;
    if (blobs.length < FILES_A_STEP) return removed;
  }
}

/**
 * Ends expired uploads and removes the parts of all that have ended, and their bytes where nothing else shares them; answers
 * how many expired. Stops early, between two removals, where `signal` aborts.
 */
export async function removeExpiredUploads(ctx: EngineContext, signal: AbortSignal): Promise<number> {
  const now = ctx.clock.now();
  let expired = 0;
  for (;;) {
    signal.throwIfAborted();
    const some = await ctx.store.expireUploads(now - JOINING_MS, UPLOADS_A_STEP);
    expired += some;
    if (some < UPLOADS_A_STEP) break;
  }
  await removeEndedParts(ctx, signal);
  await ctx.store.purgeUploads(now - UPLOAD_RETENTION_MS);
  return expired;
}

/** What a sweep removed. */
export interface SweepResult {
  readonly blobs: number;
  /** What writers of blobs left. */
  readonly abandoned: number;
  readonly logs: number;
  readonly events: number;
  /** Idempotency keys. */
  readonly keys: number;
}

/**
 * Removes what crashes left and nobody needs: blobs that no row names or that were never published, result logs of ended
 * batches, old events and idempotency keys. Where one of these cannot be removed, the others are; then it rejects with the first
 * failure. Stops early, between two removals, where `signal` aborts.
 */
export async function sweepLeftovers(ctx: EngineContext, signal: AbortSignal): Promise<SweepResult> {
  const failures: unknown[] = [];
  async function sweep(remove: () => Promise<number>): Promise<number> {
    signal.throwIfAborted();
    return await remove().catch((error: unknown) => {
      failures.push(error);
      return 0;
    });
  }

  const blobs = await sweep(() => removeUnnamedBlobs(ctx, signal));
  const logs = await sweep(() => removeEndedLogs(ctx, signal));
  const events = await sweep(() => ctx.store.purgeEvents(ctx.clock.now() - EVENT_RETENTION_MS));
  const keys = await sweep(() => ctx.store.forgetSubmissions(forgottenUntil(ctx.clock.now())));
  const abandoned = await sweep(() => ctx.blobs.removeAbandoned());
  if (failures.length > 0) throw failures[0];
  return { blobs, abandoned, logs, events, keys };
}

async function removeUnnamedBlobs(ctx: EngineContext, signal: AbortSignal): Promise<number> {
  let removed = 0;
  for await (const key of ctx.blobs.list()) {
    signal.throwIfAborted();
    if (!(await ctx.store.blobInUse(key)) && (await removeUnusedBlob(ctx, key))) removed++;
  }
  return removed;
}

async function removeEndedLogs(ctx: EngineContext, signal: AbortSignal): Promise<number> {
  let removed = 0;
  for await (const batchId of ctx.results.list()) {
    signal.throwIfAborted();
    if (await ctx.store.isBatchLive(batchId)) continue;
    await ctx.results.drop(batchId);
    removed++;
  }
  return removed;
}
