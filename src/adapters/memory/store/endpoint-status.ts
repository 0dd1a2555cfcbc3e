import { ENDED_BY_DISABLING } from '../../../engine/webhooks/webhook-endpoint.ts';
import type { DisabledReason } from '../../../engine/webhooks/webhook-endpoint.ts';
import type { DeliveryState, EndpointState, StoreState } from './state.ts';

/** Disables an endpoint on the service's own account. */
export function disableEndpoint(
  state: StoreState,
  found: EndpointState,
  disabledReason: DisabledReason,
  now: number,
): void {
  const { endpoint } = found;
  const updatedAt = Math.max(now, endpoint.updatedAt);
  found.endpoint = { ...endpoint, status: 'disabled', disabledReason, updatedAt };
  endPending(state, endpoint.id);
}

/** Ends what waits for a disabled endpoint, and what is under way. */
export function endPending(state: StoreState, endpointId: string): void {
  for (const found of deliveriesTo(state, endpointId)) {
    if (found.state !== 'pending') continue;
    found.state = 'failed';
    found.worker = null;
    found.delivery = { ...found.delivery, epoch: found.delivery.epoch + 1 };
    found.lastError = ENDED_BY_DISABLING;
  }
}

/** All deliveries to an endpoint, in the order in which they were made. */
export function deliveriesTo(state: StoreState, endpointId: string): DeliveryState[] {
  return [...state.deliveries.values()].filter(
    ({ delivery: { target } }) => target.origin === 'endpoint' && target.endpointId === endpointId,
  );
}
