/** What the API offers on batches: one verb a function. */
import type { KeyRestrictions } from '../owners/api-key.ts';
import { endpointsOf, maxListLimit } from './batch-format.ts';
import { newBatchId, NO_USAGE, parseCompletionWindow } from './batch.ts';
import type { Batch, BatchFormat } from './batch.ts';
import type { EngineContext } from '../context.ts';
import { EngineError } from '../errors.ts';
import { newBatchEvent } from '../webhooks/events.ts';
import { MAX_EXPIRY_SECONDS, MIN_EXPIRY_SECONDS } from '../files/file.ts';
import { overLimitError } from '../owners/owner-room.ts';
import type { Page } from '../ports.ts';
import { checkIntegerRange, checkLength, checkOneOf, quotedList } from '../values.ts';

export interface CreateBatchRequest {
  readonly owner: string;
  /** An unknown one is accepted: the batch then fails, as in the official API. */
  readonly inputFileId: string;
  readonly endpoint: string;
  /** `24h`, or another of the settings' windows. */
  readonly completionWindow: string;
  /** At most 16 pairs; keys of at most 64 and values of at most 512 characters. */
  readonly metadata?: Readonly<Record<string, string>> | null | undefined;
  /** 3600…2592000, from the output files' creation; default: they persist. */
  readonly outputExpiresAfterSeconds?: number | null | undefined;
  /** −100…100, default 0. */
  readonly priority?: number | undefined;
  /** Receives the batch's terminal event. */
  readonly webhookUrl?: string | null | undefined;
  /** What the caller's key allows; left out: everything. */
  readonly restrictions?: KeyRestrictions | undefined;
  /** Default: openai. */
  readonly format?: BatchFormat | undefined;
  /** How many lines the input is known to have; default: that is told by its validation. */
  readonly lines?: number | undefined;
}

/**
 * Creates a batch (`validating`), durably. Rejects with an EngineError that names the field at fault, `not_allowed` for an
 * endpoint that the caller's key does not allow, and with the limit that its owner would pass. Of the models that it allows the batch keeps a list, for its validation.
 */
export async function createBatch(ctx: EngineContext, request: CreateBatchRequest): Promise<Batch> {
  const batch = draftBatch(ctx, request);
  const event = newBatchEvent(ctx.settings, 'batch.queued', batch, batch.createdAt);
  const result = await ctx.store.createBatch(batch, event, await ctx.owners.limits(batch.owner));
  if (result.kind === 'over_limit') throw overLimitError(batch.owner, result);
  announceBatch(ctx, batch);
  return batch;
}

/** The new batch (`validating`), which no store has yet. Throws an EngineError that names the field at fault. */
export function draftBatch(ctx: EngineContext, request: CreateBatchRequest): Batch {
  checkOneOf('endpoint', request.endpoint, endpointsOf(ctx.settings, request.format ?? 'openai'));
  checkAllowedEndpoint(request.restrictions?.endpoints ?? null, request.endpoint);
  const windowMs = checkCompletionWindow(ctx, request.completionWindow);
  checkMetadata(request.metadata ?? null);
  if (request.outputExpiresAfterSeconds != null) {
    const param = 'output_expires_after.seconds';
    checkIntegerRange(param, request.outputExpiresAfterSeconds, MIN_EXPIRY_SECONDS, MAX_EXPIRY_SECONDS);
  }
  checkIntegerRange('priority', request.priority ?? 0, -100, 100);
  checkWebhookUrl(ctx, request.webhookUrl ?? null);

  const now = ctx.clock.now();
  const deadline = Math.max(now, ctx.clock.wall()) + windowMs;
  return newBatch(request, now, deadline);
}

/** Tells the log and the workers of a batch that was created. */
export function announceBatch(ctx: EngineContext, batch: Batch): void {
  ctx.log.info(
    { batchId: batch.id, owner: batch.owner, endpoint: batch.endpoint, inputFileId: batch.inputFileId },
    'batch created',
  );
  ctx.wake();
}

function newBatch(request: CreateBatchRequest, now: number, deadline: number): Batch {
  return {
    id: newBatchId(now),
    owner: request.owner,
    format: request.format ?? 'openai',
    endpoint: request.endpoint,
    // Halves of surrogate pairs cannot be stored: what is answered now is what is read later.
    inputFileId: request.inputFileId.toWellFormed(),
    completionWindow: request.completionWindow,
    status: 'validating',
    ending: null,
    model: null,
    errors: null,
    outputFileId: null,
    errorFileId: null,
    counts: { total: request.lines ?? 0, completed: 0, failed: 0 },
    unfinished: 0,
    usage: NO_USAGE,
    metadata: request.metadata ?? null,
    priority: request.priority ?? 0,
    webhookUrl: request.webhookUrl?.toWellFormed() ?? null,
    outputExpiresAfterSeconds: request.outputExpiresAfterSeconds ?? null,
    allowedModels: request.restrictions?.models ?? null,
    createdAt: now,
    expiresAt: deadline,
    inProgressAt: null,
    finalizingAt: null,
    completedAt: null,
    failedAt: null,
    expiredAt: null,
    cancellingAt: null,
    cancelledAt: null,
  };
}

/** The batch, or `batch_not_found` (unknown and another owner's alike); `invalid_value` for an id of another kind. */
export async function getBatch(ctx: EngineContext, owner: string, id: string): Promise<Batch> {
  checkBatchId(id);
  const batch = await ctx.store.getBatch(owner, id);
  if (batch === null) throw batchNotFound(id);
  return batch;
}

export interface ListBatchesRequest {
  readonly owner: string;
  readonly after?: string | undefined;
  /** Instead of `after`: those that were created next after this one. */
  readonly before?: string | undefined;
  /** 1…100, for Message Batches 1…1000. */
  readonly limit: number;
  /** Default: openai. */
  readonly format?: BatchFormat | undefined;
}

/** A page of the owner's batches of one format, newest first. `batch_not_found` for an unknown `after` or `before`. */
export async function listBatches(ctx: EngineContext, request: ListBatchesRequest): Promise<Page<Batch>> {
  const { owner, after, before, limit, format = 'openai' } = request;
  checkIntegerRange('limit', limit, 1, maxListLimit(format));
  const page =
    before === undefined
      ? await ctx.store.listBatches(owner, after, limit, format)
      : await ctx.store.listBatchesBefore(owner, before, limit, format);
  if (page === null) throw batchNotFound(before ?? after ?? '');
  return page;
}

/** Begins to cancel; a cancelling or cancelled batch is answered unchanged, any other ended one is a `conflict`. */
export async function cancelBatch(ctx: EngineContext, owner: string, id: string): Promise<Batch> {
  checkBatchId(id);
  const result = await ctx.store.cancelBatch(owner, id, ctx.clock.now());
  if (result.kind === 'missing') throw batchNotFound(id);
  if (result.kind === 'refused') {
    throw new EngineError('conflict', `Cannot cancel a batch with status '${result.status}'.`);
  }
  if (result.changed) {
    ctx.log.info({ batchId: id, owner }, 'batch cancelling');
    ctx.wake();
  }
  return result.batch;
}

/** Throws `invalid_value` for an id that no batch can have. */
export function checkBatchId(id: string): void {
  if (id.startsWith('batch')) return;
  throw new EngineError(
    'invalid_value',
    `Invalid 'batch_id': '${id}'. Expected an ID that begins with 'batch'.`,
    {
      param: 'batch_id',
    },
  );
}

export function batchNotFound(id: string): EngineError {
  return new EngineError('batch_not_found', `No batch found with id '${id}'.`);
}

function checkAllowedEndpoint(allowed: readonly string[] | null, endpoint: string): void {
  if (allowed === null || allowed.includes(endpoint)) return;
  throw new EngineError(
    'not_allowed',
    `Your API key does not allow the endpoint '${endpoint}'. It allows: ${quotedList(allowed)}.`,
    { param: 'endpoint' },
  );
}

/** The window in milliseconds. */
function checkCompletionWindow(ctx: EngineContext, window: string): number {
  checkOneOf('completion_window', window, ctx.settings.completionWindows);
  const windowMs = parseCompletionWindow(window);
  if (windowMs === null) throw new TypeError(`the settings allow an unreadable completion window: ${window}`);
  return windowMs;
}

/** Pairs of metadata that a batch may have. */
export const MAX_METADATA_PAIRS = 16;
const MAX_METADATA_KEY = 64;
const MAX_METADATA_VALUE = 512;

function checkMetadata(metadata: Readonly<Record<string, string>> | null): void {
  const pairs = Object.entries(metadata ?? {});
  if (pairs.length > MAX_METADATA_PAIRS) {
    throw new EngineError(
      'too_many_properties',
      `Invalid 'metadata': too many properties. Expected an object with at most ${MAX_METADATA_PAIRS} properties, but got ${pairs.length} properties instead.`,
      { param: 'metadata' },
    );
  }
  for (const [key, value] of pairs) {
    checkLength('metadata', key, MAX_METADATA_KEY);
    checkLength(`metadata.${key}`, value, MAX_METADATA_VALUE);
  }
}

function checkWebhookUrl(ctx: EngineContext, url: string | null): void {
  if (url === null) return;
  const reason =
    ctx.settings.webhookSigningSecret === null
      ? 'this server has no WEBHOOK_SIGNING_SECRET to sign webhooks with'
      : ctx.webhooks.check(url);
  if (reason !== null) {
    throw new EngineError('invalid_value', `Invalid 'webhook_url': ${reason}.`, { param: 'webhook_url' });
  }
}
