/** What is told where an owner has no room left within its limits. */
import type { BatchError } from '../batches/batch.ts';
import type { EngineContext } from '../context.ts';
import { EngineError } from '../errors.ts';
import { findOverLimit, limitsUsage } from './owner.ts';
import type { OverLimit, OwnerUsage } from './owner.ts';

/**
 * Rejects as an insert of `added` would at present. It spares work that would be in vain; whether there is room is decided by
 * the Store, when it inserts.
 */
export async function checkRoom(
  ctx: EngineContext,
  owner: string,
  added: Partial<OwnerUsage>,
): Promise<void> {
  const limits = await ctx.owners.limits(owner);
  if (!limitsUsage(limits)) return;
  const used = await ctx.store.readOwnerUsage(owner);
  const over =
    findOverLimit('storedBytes', limits.maxStoredBytes, used.storedBytes, added.storedBytes ?? 0) ??
    findOverLimit('liveBatches', limits.maxLiveBatches, used.liveBatches, added.liveBatches ?? 0) ??
    findOverLimit('queuedLines', limits.maxQueuedLines, used.queuedLines, added.queuedLines ?? 0);
  if (over !== null) throw overLimitError(owner, over);
}

/** Answers a check for bytes that come one after the other: it throws once all that came so far have no room. */
export async function openRoom(
  ctx: EngineContext,
  owner: string | undefined,
): Promise<(bytes: number) => void> {
  const max = owner === undefined ? null : (await ctx.owners.limits(owner)).maxStoredBytes;
  if (owner === undefined || max === null) return () => {};
  const { storedBytes } = await ctx.store.readOwnerUsage(owner);
  return (bytes) => {
    const over = findOverLimit('storedBytes', max, storedBytes, bytes);
    if (over !== null) throw overLimitError(owner, over);
  };
}

/** The refusal of a request that would pass a limit. */
export function overLimitError(owner: string, { what, max, used, added }: OverLimit): EngineError {
  switch (what) {
    case 'storedBytes':
      return new EngineError(
        'storage_limit_exceeded',
        `The owner '${owner}' may store at most ${max} bytes (max_stored_bytes) and has stored ${used}: there is no room for ${added} more. Delete files that are no longer needed.`,
      );
    case 'liveBatches':
      return new EngineError(
        'batch_limit_exceeded',
        `The owner '${owner}' may have at most ${max} batches that have not ended (max_live_batches) and has ${used}. Wait for the end of one, or cancel one.`,
      );
    case 'queuedLines':
      return new EngineError(
        'queued_lines_limit_exceeded',
        `The owner '${owner}' may have at most ${max} requests without a result in its batches (max_queued_lines) and has ${used}: there is no room for ${added} more. Wait until some have ended.`,
      );
  }
}

/** Why a batch fails whose lines have no room. */
export function queuedLinesFault(owner: string, { max, used, added }: OverLimit): BatchError {
  return {
    code: 'queued_lines_limit_exceeded',
    message: `This batch has ${added} requests. The owner '${owner}' may have at most ${max} without a result in its batches (max_queued_lines), and has ${used} in others. Create it again when some of those have ended.`,
    param: null,
    line: null,
  };
}
