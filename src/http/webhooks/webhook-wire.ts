/** The wire's shapes of webhook endpoints: schemas of what comes in, and the objects that go out. */
import { z } from 'zod';
import { clientBatchId } from '../../engine/index.ts';
import type { DeliveryRecord, WebhookEndpoint } from '../../engine/index.ts';
import { toUnixSeconds } from '../wire.ts';

export const createWebhookEndpointBody = z.object({
  name: z.string(),
  url: z.string(),
  event_types: z.array(z.string()),
});

export const updateWebhookEndpointBody = z.object({
  name: z.string().optional(),
  url: z.string().optional(),
  event_types: z.array(z.string()).optional(),
  status: z.enum(['enabled', 'disabled']).optional(),
});

export const rotateSecretBody = z.object({ keep_old_secret_active_for_24_hours: z.boolean().nullish() });

export const testWebhookEndpointBody = z.object({ event_type: z.string() });

export const replayEventsBody = z.object({ since: z.int() });

/** A WebhookEndpoint object; the last two members are ours. */
export function toWebhookEndpointObject(endpoint: WebhookEndpoint) {
  return {
    id: endpoint.id,
    object: 'webhook_endpoint',
    name: endpoint.name,
    url: endpoint.url,
    event_types: endpoint.eventTypes,
    created_at: toUnixSeconds(endpoint.createdAt),
    updated_at: toUnixSeconds(endpoint.updatedAt),
    signing_secret_hint: endpoint.secretHint,
    status: endpoint.status,
    disabled_reason: endpoint.disabledReason,
  };
}

/** As above, the one time that its secret is shown. */
export function toWebhookEndpointWithSecret({
  endpoint,
  secret,
}: {
  readonly endpoint: WebhookEndpoint;
  readonly secret: string;
}) {
  return { ...toWebhookEndpointObject(endpoint), signing_secret: secret };
}

/** A WebhookDelivery object, which the official API does not have. */
export function toWebhookDeliveryObject(delivery: DeliveryRecord) {
  const { id, type, batchId, format } = delivery.event;
  return {
    id: delivery.id,
    object: 'webhook_delivery',
    event_id: id,
    event_type: type,
    batch_id: clientBatchId({ id: batchId, format }),
    created_at: toUnixSeconds(delivery.createdAt),
    status: delivery.state,
    attempts: delivery.attempts,
    next_attempt_at: toUnixSeconds(delivery.nextAttemptAt),
    last_attempt_at: toUnixSeconds(delivery.lastAttemptAt),
    last_status_code: delivery.lastStatusCode,
    last_duration_ms: delivery.lastDurationMs,
    last_response: delivery.lastResponse,
    last_error: delivery.lastError,
  };
}
