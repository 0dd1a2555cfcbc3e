/** Owners (projects): what an administrator may set for each. Pure. */
import { EngineError } from '../errors.ts';

/** How much an owner may use; null: as the settings say, or without limit where these are the settings. */
export interface OwnerLimits {
  /** Requests to the API. */
  readonly requestsPerMinute: number | null;
  /** Of its files and the parts of its uploads. */
  readonly maxStoredBytes: number | null;
  /** Lines of its live batches that have no result yet. */
  readonly maxQueuedLines: number | null;
  /** Batches that have not ended. */
  readonly maxLiveBatches: number | null;
}

export const NO_LIMITS: OwnerLimits = {
  requestsPerMinute: null,
  maxStoredBytes: null,
  maxQueuedLines: null,
  maxLiveBatches: null,
};

/** An owner as it is kept. One that is not kept has weight 1 and no limits of its own. */
export interface Owner extends OwnerLimits {
  /** Its name, which keys carry. */
  readonly name: string;
  /** Its share of the worker, next to those of other owners: 1…1,000. */
  readonly weight: number;
}

/** What can be set for an owner. */
export const OWNER_FIELDS = [
  'weight',
  'requestsPerMinute',
  'maxStoredBytes',
  'maxQueuedLines',
  'maxLiveBatches',
] as const satisfies readonly (keyof Owner)[];
export type OwnerField = (typeof OWNER_FIELDS)[number];

/** What is left out stays as it is. */
export type OwnerChanges = { readonly [Name in OwnerField]?: Owner[Name] | undefined };

/** `before`, with those of its fields that `only` names as `after` has them. */
export function changedOwner(before: Owner, after: Owner, only: readonly OwnerField[]): Owner {
  return { ...before, ...Object.fromEntries(only.map((field) => [field, after[field]])) };
}

export const MAX_WEIGHT = 1000;
/** Most requests a minute that a limit may allow. */
export const MAX_REQUESTS_PER_MINUTE = 1_000_000;

/** What an owner uses now, of that which can be limited. */
export interface OwnerUsage {
  /** Bytes of its files, and of the parts of its pending uploads, equal ones of one upload counted once. */
  readonly storedBytes: number;
  readonly queuedLines: number;
  readonly liveBatches: number;
}

/** Why something was not stored: with `added` more, its owner would use more than `max`. Nothing was changed. */
export interface OverLimit {
  readonly kind: 'over_limit';
  readonly what: keyof OwnerUsage;
  readonly max: number;
  readonly used: number;
  readonly added: number;
}

/** What a Store answers that was to insert something which a limit may forbid. */
export type Inserted = { readonly kind: 'ok' } | OverLimit;

/** Null where `added` has room, as nothing always has; null for `max`: no limit. */
export function findOverLimit(
  what: keyof OwnerUsage,
  max: number | null,
  used: number,
  added: number,
): OverLimit | null {
  if (max === null || added <= 0 || used + added <= max) return null;
  return { kind: 'over_limit', what, max, used, added };
}

/** False where nothing but requests is limited. */
export function limitsUsage({ maxStoredBytes, maxLiveBatches, maxQueuedLines }: OwnerLimits): boolean {
  return maxStoredBytes !== null || maxLiveBatches !== null || maxQueuedLines !== null;
}

/**
 * The same for a new batch. Before its lines are known it counts as one, and its results as a byte: where none has room, no batch
 * has.
 */
export function findBatchOverLimit(limits: OwnerLimits, used: OwnerUsage, lines: number): OverLimit | null {
  return (
    findOverLimit('storedBytes', limits.maxStoredBytes, used.storedBytes, 1) ??
    findOverLimit('liveBatches', limits.maxLiveBatches, used.liveBatches, 1) ??
    findOverLimit('queuedLines', limits.maxQueuedLines, used.queuedLines, Math.max(1, lines))
  );
}

/** An owner for whom nothing was set. */
export function newOwner(name: string): Owner {
  return { name, weight: 1, ...NO_LIMITS };
}

/** The limits in force: what was set for the owner, else the settings'. Null: none. */
export function limitsInForce(owner: OwnerLimits, settings: OwnerLimits): OwnerLimits {
  return {
    requestsPerMinute: owner.requestsPerMinute ?? settings.requestsPerMinute,
    maxStoredBytes: owner.maxStoredBytes ?? settings.maxStoredBytes,
    maxQueuedLines: owner.maxQueuedLines ?? settings.maxQueuedLines,
    maxLiveBatches: owner.maxLiveBatches ?? settings.maxLiveBatches,
  };
}

const NAME = /^[A-Za-z0-9_.-]{1,64}$/;

/** Throws `invalid_value` for what is no owner's name; `param` is what the caller knows it by. */
export function checkOwnerName(param: string, name: string): void {
  if (NAME.test(name)) return;
  throw new EngineError(
    'invalid_value',
    `Invalid '${param}': expected 1 to 64 characters of A-Z, a-z, 0-9, '_', '.' and '-'.`,
    { param },
  );
}
