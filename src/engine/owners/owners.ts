/** What the API offers on owners: one verb a function. */
import type { EngineContext } from '../context.ts';
import { checkOwnerName, limitsInForce, MAX_REQUESTS_PER_MINUTE, MAX_WEIGHT } from './owner.ts';
import type { Owner, OwnerChanges, OwnerLimits, OwnerUsage } from './owner.ts';
import { checkRoom } from './owner-room.ts';
import type { Page } from '../ports.ts';
import { checkIntegerRange } from '../values.ts';

/** An owner as an administrator sees it. */
export interface OwnerStatus {
  /** What was set for it. */
  readonly owner: Owner;
  /** In force; null: none. */
  readonly limits: OwnerLimits;
  readonly usage: OwnerUsage;
}

/** Owners over one context. Rejections are EngineErrors. */
export interface OwnerVerbs {
  /** The limits in force. Cheap enough for each request. */
  limits(name: string): Promise<OwnerLimits>;
  /** Rejects where the owner has no room for `added` at present: before a body is read that would be refused in the end. */
  checkRoom(name: string, added: Partial<OwnerUsage>): Promise<void>;
  /** Any name will do: owners are not created. `invalid_value` for what is no name. */
  get(name: string): Promise<OwnerStatus>;
  /** By name: owners for whom something was set, who have keys or who have something stored. */
  list(request: { readonly after?: string | undefined; readonly limit: number }): Promise<Page<OwnerStatus>>;
  /** Sets what `changes` names; in force from the next request on. Rejects with an EngineError that names the field at fault. */
  change(name: string, changes: OwnerChanges): Promise<OwnerStatus>;
}

/** The verbs over one context. `told` turns failures of storage into EngineErrors. */
export function createOwnerVerbs(ctx: EngineContext, told: <T>(verb: Promise<T>) => Promise<T>): OwnerVerbs {
  return {
    limits: (name) => told(ctx.owners.limits(name)),
    checkRoom: (name, added) => told(checkRoom(ctx, name, added)),
    get: (name) => told(getOwner(ctx, name)),
    list: (request) => told(listOwners(ctx, request)),
    change: (name, changes) => told(changeOwner(ctx, name, changes)),
  };
}

async function getOwner(ctx: EngineContext, name: string): Promise<OwnerStatus> {
  checkOwnerName('owner', name);
  return await statusOf(ctx, name);
}

async function statusOf(ctx: EngineContext, name: string): Promise<OwnerStatus> {
  const owner = await ctx.owners.get(name);
  const usage = await ctx.store.readOwnerUsage(name);
  return { owner, limits: limitsInForce(owner, ctx.settings.ownerLimits), usage };
}

async function listOwners(
  ctx: EngineContext,
  { after, limit }: { readonly after?: string | undefined; readonly limit: number },
): Promise<Page<OwnerStatus>> {
  checkIntegerRange('limit', limit, 1, 100);
  if (after !== undefined) checkOwnerName('after', after);
  const { data, hasMore } = await ctx.store.listOwnerNames({ after, limit });
  return { data: await Promise.all(data.map((name) => statusOf(ctx, name))), hasMore };
}

async function changeOwner(ctx: EngineContext, name: string, changes: OwnerChanges): Promise<OwnerStatus> {
  checkOwnerName('owner', name);
  const check = (param: string, value: number | null | undefined, min: number, max: number): void => {
    if (value != null) checkIntegerRange(param, value, min, max);
  };
  check('weight', changes.weight, 1, MAX_WEIGHT);
  check('requests_per_minute', changes.requestsPerMinute, 1, MAX_REQUESTS_PER_MINUTE);
  // None at all is a limit, too: it lets an owner end what it has, and begin nothing.
  check('max_stored_bytes', changes.maxStoredBytes, 0, Number.MAX_SAFE_INTEGER);
  check('max_queued_lines', changes.maxQueuedLines, 0, Number.MAX_SAFE_INTEGER);
  check('max_live_batches', changes.maxLiveBatches, 0, Number.MAX_SAFE_INTEGER);
  await ctx.owners.change(name, changes);
  ctx.log.info({ owner: name, changes }, 'owner changed');
  return await statusOf(ctx, name);
}
