/** The wire's shapes of owners. */
import { z } from 'zod';
import type { OwnerLimits, OwnerStatus } from '../../engine/index.ts';
import { given, integerText } from '../wire.ts';

/** What is left out stays as it is; null: as the settings say. */
export const changeOwnerBody = z.object({
  weight: z.int().optional(),
  requests_per_minute: z.int().nullish(),
  max_stored_bytes: z.int().nullish(),
  max_queued_lines: z.int().nullish(),
  max_live_batches: z.int().nullish(),
});

export const listOwnersQuery = z.object({ limit: given(integerText), after: given(z.string()) });

/** An owner's object: what was set for it, `limits` in force, and what it uses now. Its `id` is its name. */
export function toOwnerObject({ owner, limits, usage }: OwnerStatus) {
  return {
    object: 'owner',
    id: owner.name,
    weight: owner.weight,
    ...toLimits(owner),
    limits: toLimits(limits),
    usage: {
      stored_bytes: usage.storedBytes,
      queued_lines: usage.queuedLines,
      live_batches: usage.liveBatches,
    },
  };
}

function toLimits(limits: OwnerLimits) {
  return {
    requests_per_minute: limits.requestsPerMinute,
    max_stored_bytes: limits.maxStoredBytes,
    max_queued_lines: limits.maxQueuedLines,
    max_live_batches: limits.maxLiveBatches,
  };
}
