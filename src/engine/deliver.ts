import { clientBatchId } from './batch-format.ts';
import type { EngineContext } from './context.ts';
import { isTerminalEvent, MAX_DELIVERY_WAIT_MS } from './event.ts';
import type { Delivery, EventRecord } from './event.ts';
import type { DeliveryResult, WebhookOutcome } from './ports.ts';
import { parseRetryAfterMs } from './retry.ts';
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
  const secret = ctx.settings.webhookSigningSecret;
  const outcome: WebhookOutcome =
    secret === null
      ? { kind: 'failed', message: 'there is no signing secret any more' }
      : await ctx.webhooks.send(
          {
            url: target.url,
            trusted: target.origin === 'configured',
            headers: {
              'content-type': 'application/json',
              ...signWebhook(secret, event.id, signatureTime(ctx, delivery.attempts), body),
            },
            body,
          },
          signal,
        );
  if (outcome.kind === 'aborted') return await ctx.store.releaseDeliveries([delivery]);
  const result = decideDelivery(outcome, delivery.attempts, ctx.clock.now());
  await ctx.store.settleDelivery(delivery.id, delivery.epoch, ctx.clock.now(), result);
  const fields = {
    deliveryId: delivery.id,
    eventId: event.id,
    type: event.type,
    attempt: delivery.attempts + 1,
  };
  if (result.kind === 'delivered')
    ctx.log.info({ ...fields, status: result.statusCode }, 'webhook delivered');
  else ctx.log.warn({ ...fields, ...result }, 'webhook not delivered');
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
 * longer change.
 */
export async function eventBody(ctx: EngineContext, event: EventRecord): Promise<string> {
  const batch = await ctx.store.getBatch(event.owner, event.batchId);
  return JSON.stringify({
    id: event.id,
    object: 'event',
    created_at: Math.floor(event.createdAt / 1000),
    type: event.type,
    data: {
      id: batch === null ? event.batchId : clientBatchId(batch),
      ...(batch !== null &&
        isTerminalEvent(event.type) && {
          request_counts: batch.counts,
          output_file_id: batch.outputFileId,
          error_file_id: batch.errorFileId,
        }),
    },
  });
}
