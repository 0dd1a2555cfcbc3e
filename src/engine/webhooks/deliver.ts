import { clientBatchId } from '../batches/batch-format.ts';
import type { EngineContext } from '../context.ts';
import { isTerminalEvent, MAX_DELIVERY_WAIT_MS } from './event.ts';
import type { Delivery, DeliveryTarget, EventRecord } from './event.ts';
import type { AttemptTrace, DeliveryResult, Fenced, WebhookOutcome, WebhookRequest } from '../ports.ts';
import { parseRetryAfterMs } from '../run/retry.ts';
import { signWebhook } from './webhook-signature.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Waits between the attempts of a delivery, milliseconds: ten attempts over some three days. */
export const DELIVERY_SCHEDULE_MS: readonly number[] = [
  5 * SECOND,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  14 * HOUR,
  20 * HOUR,
  MAX_DELIVERY_WAIT_MS,
];

/**
 * One attempt of a delivery: posts the signed event and records how it went. Where `signal` aborts, the attempt
 * is not counted and the delivery given back. Rejects only where the store fails.
 */
export async function attemptDelivery(
  ctx: EngineContext,
  delivery: Delivery,
  signal: AbortSignal,
): Promise<void> {
  const { event, target } = delivery;
  const body = await eventBody(ctx, event);
  const secrets = await secretsOf(ctx, target);
  const startedAt = ctx.clock.monotonic();
  const outcome = await postSigned(
    ctx,
    { url: target.url, trusted: target.origin === 'configured' },
    { secrets, id: event.id, at: signatureTime(ctx, delivery.attempts), body },
    signal,
  );
  if (outcome.kind === 'aborted') return await ctx.store.releaseDeliveries([delivery]);
  const result = decideDelivery(outcome, delivery.attempts, ctx.clock.now());
  const trace = {
    durationMs: Math.round(ctx.clock.monotonic() - startedAt),
    response: outcome.kind === 'answered' ? outcome.body : null,
  };
  const settled = await settle(ctx, delivery, result, trace);
  if (settled === 'ok') await logAttempt(ctx, delivery, result);
}

/** What an attempt brings, and what signs it, the newest first: none where there is no secret any more. */
export interface SignedPost {
  readonly secrets: readonly string[];
  /** The `webhook-id`. */
  readonly id: string;
  /** The time of the signature, milliseconds. */
  readonly at: number;
  readonly body: string;
}

/** Posts a signed JSON body once. Never rejects. */
export async function postSigned(
  ctx: EngineContext,
  to: Pick<WebhookRequest, 'url' | 'trusted'>,
  { secrets, id, at, body }: SignedPost,
  signal: AbortSignal,
): Promise<WebhookOutcome> {
  const [newest, ...older] = secrets;
  if (newest === undefined) return { kind: 'failed', message: 'there is no signing secret any more' };
  const signature = signWebhook([newest, ...older], id, at, body);
  const headers = { 'content-type': 'application/json', ...signature };
  return await ctx.webhooks.send({ ...to, headers, body }, signal);
}

/** Looked up for each attempt, for an endpoint's may have been replaced since the last one. */
async function secretsOf(ctx: EngineContext, target: DeliveryTarget): Promise<readonly string[]> {
  if (target.origin === 'endpoint') {
    return await ctx.store.getWebhookSecrets(target.endpointId, ctx.clock.now());
  }
  const secret = ctx.settings.webhookSigningSecret;
  return secret === null ? [] : [secret];
}

/** Only the deliveries of endpoints have a history that somebody can read. */
async function settle(
  ctx: EngineContext,
  { id, epoch, target }: Delivery,
  result: DeliveryResult,
  trace: AttemptTrace,
): Promise<Fenced> {
  const now = ctx.clock.now();
  if (target.origin !== 'endpoint') return await ctx.store.settleDelivery(id, epoch, now, result);
  return await ctx.store.settleDelivery(id, epoch, now, result, trace);
}

async function logAttempt(
  ctx: EngineContext,
  { id, event, target, attempts }: Delivery,
  result: DeliveryResult,
): Promise<void> {
  const fields = { deliveryId: id, eventId: event.id, type: event.type, attempt: attempts + 1 };
  if (result.kind === 'delivered') {
    ctx.log.info({ ...fields, status: result.statusCode }, 'webhook delivered');
    return;
  }
  ctx.log.warn({ ...fields, ...result }, 'webhook not delivered');
  if (target.origin !== 'endpoint') return;
  const reason = (await ctx.store.getWebhookEndpoint(event.owner, target.endpointId))?.disabledReason ?? null;
  // Disabling ends all of the endpoint's deliveries, so that hardly another one than the one that did it finds it so.
  if (reason !== null) ctx.log.warn({ endpointId: target.endpointId, reason }, 'webhook endpoint disabled');
}

/**
 * Receivers judge by their own clocks whether a signature is fresh. While the wall clock is in doubt nobody here knows
 * the right time, so attempts take turns: the next one is but seconds away.
 */
function signatureTime({ clock }: EngineContext, attempts: number): number {
  return attempts % 2 === 0 ? clock.wall() : clock.now();
}

/**
 * What an attempt means: any 2xx is success; 410 ends it; everything else, redirects included, is tried again on
 * the schedule, or later where Retry-After asks for it. Pure. `attempts` counts those before this one.
 */
export function decideDelivery(
  outcome: Exclude<WebhookOutcome, { kind: 'aborted' }>,
  attempts: number,
  now: number,
): DeliveryResult {
  const statusCode = outcome.kind === 'answered' ? outcome.status : null;
  if (statusCode !== null && statusCode >= 200 && statusCode < 300) return { kind: 'delivered', statusCode };
  const error = outcome.kind === 'answered' ? `answered ${outcome.status}` : outcome.message;
  const scheduledMs = DELIVERY_SCHEDULE_MS[attempts];
  if (scheduledMs === undefined || statusCode === 410) return { kind: 'failed', statusCode, error };
  const askedMs = outcome.kind === 'answered' ? parseRetryAfterMs(outcome.retryAfter, now) : null;
  const waitMs = Math.max(scheduledMs, Math.min(askedMs ?? 0, MAX_DELIVERY_WAIT_MS));
  return { kind: 'retry', at: now + waitMs, statusCode, error };
}

/**
 * The JSON that is posted, with the id that the client knows. A terminal event also tells the batch's counts and files, which no
 * longer change, unless the batch was deleted.
 */
export async function eventBody(ctx: EngineContext, event: EventRecord): Promise<string> {
  const batch = isTerminalEvent(event.type) ? await ctx.store.getBatch(event.owner, event.batchId) : null;
  return JSON.stringify({
    id: event.id,
    object: 'event',
    created_at: Math.floor(event.createdAt / 1000),
    type: event.type,
    data: {
      id: clientBatchId({ id: event.batchId, format: event.format }),
      ...(batch !== null && {
        request_counts: batch.counts,
        output_file_id: batch.outputFileId,
        error_file_id: batch.errorFileId,
      }),
    },
  });
}
