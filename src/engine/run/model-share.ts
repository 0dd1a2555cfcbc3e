/** A model's limit is shared out to the workers that are alive: each has so many slots, and their sum is never above it. */

/** What a worker tells of a model when it renews its lease. */
export interface ModelDemand {
  readonly model: string;
  /** Requests of it in flight at a time, of all workers together, as far as this worker knows. At least 1. */
  readonly limit: number;
  /** So many of its requests may be in flight until the answer is there: its slots, or more where more are in flight. */
  readonly held: number;
}

/** What a worker may have of a model from now on. */
export interface ModelSlots {
  readonly model: string;
  /** So many requests in flight, and no more. */
  readonly slots: number;
  /** What it would have were all slots free: with less it should ask again soon. */
  readonly share: number;
}

/** A worker's lease, and what it has of limited models for as long as that. */
export interface WorkerLease {
  /** From before it was asked for, milliseconds; Infinity: nobody else can take what it holds. */
  readonly validMs: number;
  /** True where it had none: never, or others have taken it for dead, so that it holds nothing any more. */
  readonly isNew: boolean;
  /** Of each model that was asked for. */
  readonly slots: readonly ModelSlots[];
}

/** What is set aside for a worker that is alive. */
export interface SlotHolder {
  readonly worker: string;
  /** As far as it knows. */
  readonly limit: number;
  readonly slots: number;
}

/** A worker's new part of a model's limit. */
export interface SlotShare {
  /** To be set aside for it. */
  readonly setAside: number;
  /** What it may use: less, where it has more than its share, which it gives back only once it says that it holds less. */
  readonly slots: number;
  readonly share: number;
}

/**
 * Shares a model's limit out: to each worker that is alive the same, the remainder to those whose names come first. What a
 * worker lacks of its share it gets out of what is free; what it has beyond it stays set aside until it holds less. Of several
 * limits the smallest holds. `setAside`: what is set aside for `worker` now; `others`: the other workers that are alive.
 */
export function shareSlots(
  worker: string,
  demand: Pick<ModelDemand, 'limit' | 'held'>,
  setAside: number,
  others: readonly SlotHolder[],
): SlotShare {
  const limit = Math.min(demand.limit, ...others.map((other) => other.limit));
  const rank = others.filter((other) => other.worker < worker).length;
  const workers = others.length + 1;
  const share = Math.floor(limit / workers) + (rank < limit % workers ? 1 : 0);
  const kept = Math.min(setAside, demand.held);
  if (kept >= share) return { setAside: kept, slots: share, share };
  const taken = others.reduce((sum, { slots }) => sum + slots, kept);
  const slots = kept + Math.max(0, Math.min(share - kept, limit - taken));
  return { setAside: slots, slots, share };
}

/** The lease of the one worker of a store that one process owns: it has every limit to itself. */
export function soleLease(demands: readonly ModelDemand[], isNew: boolean): WorkerLease {
  const slots = demands.map(({ model, limit }) => ({ model, slots: limit, share: limit }));
  return { validMs: Infinity, isNew, slots };
}
