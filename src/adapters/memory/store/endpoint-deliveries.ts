import type { DeliveryTarget } from '../../../engine/webhooks/event.ts';
import type { ReplayRefusal, Store } from '../../../engine/ports.ts';
import type { DeliveryRecord } from '../../../engine/webhooks/webhook-endpoint.ts';
import { insertDelivery } from './deliveries.ts';
import { deliveriesTo } from './endpoint-status.ts';
import { page } from './files.ts';
import type { DeliveryState, StoreState } from './state.ts';
import { findEndpoint } from './webhook-endpoints.ts';

function toRecord({
  delivery,
  state,
  nextAt,
  createdAt,
  lastAttempt,
  lastError,
}: DeliveryState): DeliveryRecord {
  return {
    id: delivery.id,
    event: delivery.event,
    createdAt,
    state,
    attempts: delivery.attempts,
    nextAttemptAt: state === 'pending' ? nextAt : null,
    lastAttemptAt: lastAttempt?.at ?? null,
    lastStatusCode: lastAttempt?.statusCode ?? null,
    lastDurationMs: lastAttempt?.durationMs ?? null,
    lastResponse: lastAttempt?.response ?? null,
    lastError,
  };
}

/** The history of deliveries to an endpoint, and sending events again. */
export function createEndpointDeliveryVerbs(
  state: StoreState,
): Pick<Store, 'listDeliveries' | 'replayDelivery' | 'replayEvents'> {
  /** Where to replay to, or why nothing can be. */
  function findReceiver(owner: string, endpointId: string): DeliveryTarget | ReplayRefusal {
    const endpoint = findEndpoint(state, owner, endpointId)?.endpoint;
    if (endpoint === undefined) return { kind: 'missing' };
    if (endpoint.status === 'disabled') return { kind: 'disabled' };
    return { url: endpoint.url, origin: 'endpoint', endpointId };
  }

  /** The owner's events of the endpoint's types of which none of its deliveries is pending; the oldest first. */
  function findReplayable(owner: string, endpointId: string) {
    const wanted = findEndpoint(state, owner, endpointId)?.endpoint.eventTypes ?? [];
    const pending = new Set(
      deliveriesTo(state, endpointId)
        .filter((one) => one.state === 'pending')
        .map((one) => one.delivery.event.id),
    );
    return [...state.events.values()]
      .map(({ record }) => record)
      .filter((event) => event.owner === owner && wanted.includes(event.type) && !pending.has(event.id))
      .toSorted((a, b) => a.createdAt - b.createdAt);
  }

  return {
    async listDeliveries(owner, endpointId, after, limit) {
      if (findEndpoint(state, owner, endpointId) === undefined) return null;
      const newestFirst = deliveriesTo(state, endpointId).toReversed();
      const at = newestFirst.findIndex(({ delivery }) => delivery.id === after);
      if (after !== undefined && at === -1) return null;
      return page(newestFirst.slice(at + 1).map(toRecord), limit);
    },
    async replayDelivery(owner, endpointId, deliveryId, now) {
      const receiver = findReceiver(owner, endpointId);
      if ('kind' in receiver) return receiver;
      const again = deliveriesTo(state, endpointId).find(({ delivery }) => delivery.id === deliveryId);
      if (again === undefined) return { kind: 'unknown_delivery' };
      const made = insertDelivery(state, again.delivery.event, receiver, now);
      return { kind: 'ok', delivery: toRecord(made) };
    },
    async replayEvents({ owner, endpointId, since, limit, now }) {
      const receiver = findReceiver(owner, endpointId);
      if ('kind' in receiver) return receiver;
      const found = findReplayable(owner, endpointId).filter(({ createdAt }) => createdAt >= since);
      const events = found.slice(0, limit);
      for (const event of events) insertDelivery(state, event, receiver, now);
      return { kind: 'ok', deliveries: events.length, nextCreatedAt: found[limit]?.createdAt ?? null };
    },
  };
}
