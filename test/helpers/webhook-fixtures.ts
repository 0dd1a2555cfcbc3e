/** Builders of webhook endpoints as a Store keeps them, and of their deliveries. */
import type { Delivery, EventRecord, EventType } from '../../src/engine/webhooks/event.ts';
import type { AttemptTrace, DeliveryResult, Store } from '../../src/engine/ports.ts';
import { newWebhookEndpointId } from '../../src/engine/webhooks/webhook-endpoint.ts';
import type { WebhookEndpoint } from '../../src/engine/webhooks/webhook-endpoint.ts';
import { aBatch, anEvent, T0 } from './store-fixtures.ts';

export const FIRST_SECRET = 'whsec_first-secret';

/** An enabled endpoint of `ann` that wants `batch.queued`. */
export function anEndpoint(fields: Partial<WebhookEndpoint> = {}): WebhookEndpoint {
  return {
    id: newWebhookEndpointId(),
    owner: 'ann',
    name: 'my receiver',
    url: 'https://mine.example/hook',
    eventTypes: ['batch.queued'],
    status: 'enabled',
    disabledReason: null,
    secretHint: 'whsec_***cret',
    createdAt: T0,
    updatedAt: T0,
    ...fields,
  };
}

export async function insertEndpoint(
  store: Store,
  fields: Partial<WebhookEndpoint> = {},
): Promise<WebhookEndpoint> {
  const endpoint = anEndpoint(fields);
  await store.insertWebhookEndpoint(endpoint, FIRST_SECRET, 20);
  return endpoint;
}

/** Makes an event of a new batch, which goes to no URL but those of endpoints. */
export async function announce(
  store: Store,
  { owner = 'ann', type = 'batch.queued', at = T0 }: { owner?: string; type?: EventType; at?: number } = {},
): Promise<EventRecord> {
  const batch = aBatch({ owner, createdAt: at });
  const event = anEvent(batch, type, at);
  await store.createBatch(batch, event);
  return event.event;
}

/** Claims one delivery that must be due. */
export async function claimDelivery(store: Store, now = T0): Promise<Delivery> {
  const [delivery] = await store.claimDeliveries('w', now, 1);
  if (delivery === undefined) throw new Error('no delivery is due');
  return delivery;
}

export const DELIVERED: DeliveryResult = { kind: 'delivered', statusCode: 200 };
export const FAILED: DeliveryResult = { kind: 'failed', statusCode: 500, error: 'answered 500' };
export const GONE: DeliveryResult = { kind: 'failed', statusCode: 410, error: 'answered 410' };

/** A result that puts the next attempt off until `at`. */
export function retryAt(at: number): DeliveryResult {
  return { kind: 'retry', at, statusCode: 503, error: 'answered 503' };
}

/** Makes an event, claims its delivery, and settles it; both at `at`. */
export async function attempt(
  store: Store,
  result: DeliveryResult,
  at = T0,
  trace: AttemptTrace = { durationMs: 7, response: 'thanks' },
): Promise<Delivery> {
  await announce(store, { at });
  const delivery = await claimDelivery(store, at);
  if ((await store.settleDelivery(delivery.id, delivery.epoch, at, result, trace)) !== 'ok') {
    throw new Error('the delivery is lost');
  }
  return delivery;
}
