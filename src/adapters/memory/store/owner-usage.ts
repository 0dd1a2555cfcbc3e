/** What owners use now, and whether they have room for more. */
import { isTerminal } from '../../../engine/batches/batch.ts';
import { findBatchOverLimit, findOverLimit, NO_LIMITS } from '../../../engine/owners/owner.ts';
import type { OverLimit, OwnerLimits, OwnerUsage } from '../../../engine/owners/owner.ts';
import { liveBatch } from './state.ts';
import type { StoreState } from './state.ts';

/** Of its files, and of the parts of its pending uploads. */
export function storedBytesOf(state: StoreState, owner: string): number {
  let bytes = 0;
  for (const file of state.files.values()) if (file.owner === owner) bytes += file.blob.bytes;
  for (const { upload, partBytes } of state.uploads.values()) {
    if (upload.owner === owner && upload.status === 'pending') bytes += partBytes;
  }
  return bytes;
}

/** Of its live batches. */
function usageOfBatches(state: StoreState, owner: string): Omit<OwnerUsage, 'storedBytes'> {
  const live = [...state.batches.values()].filter(
    ({ batch }) => batch.owner === owner && !isTerminal(batch.status),
  );
  const left = live.map(liveBatch).map(({ counts }) => counts.total - counts.completed - counts.failed);
  return { queuedLines: left.reduce((sum, lines) => sum + lines, 0), liveBatches: live.length };
}

/** All that an owner uses. */
export function usageOf(state: StoreState, owner: string): OwnerUsage {
  return { storedBytes: storedBytesOf(state, owner), ...usageOfBatches(state, owner) };
}

/** Null where the owner has room for a batch; `lines`: as many as are known. */
export function refuseBatch(
  state: StoreState,
  owner: string,
  lines: number,
  limits: OwnerLimits = NO_LIMITS,
): OverLimit | null {
  return findBatchOverLimit(limits, usageOf(state, owner), lines);
}

/** Null where the owner has room for the lines of a batch that none were known of. */
export function refuseLines(
  state: StoreState,
  owner: string,
  lines: number,
  limits: OwnerLimits = NO_LIMITS,
): OverLimit | null {
  return findOverLimit('queuedLines', limits.maxQueuedLines, usageOfBatches(state, owner).queuedLines, lines);
}

/** Null where the owner has room for these bytes. */
export function refuseBytes(
  state: StoreState,
  owner: string,
  bytes: number,
  limits: OwnerLimits = NO_LIMITS,
): OverLimit | null {
  return findOverLimit('storedBytes', limits.maxStoredBytes, storedBytesOf(state, owner), bytes);
}
