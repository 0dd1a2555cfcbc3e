import { randomBytes } from 'node:crypto';
import { createShareOut } from '../../../engine/webhooks/delivery-share.ts';
import { MAX_DELIVERY_WAIT_MS } from '../../../engine/webhooks/event.ts';
import type { DeliveryTarget, EventRecord, NewEvent } from '../../../engine/webhooks/event.ts';
import type { DeliveryResult, Fenced, Store } from '../../../engine/ports.ts';
import { judgeEndpoint } from '../../../engine/webhooks/webhook-endpoint.ts';
import { disableEndpoint } from './endpoint-status.ts';
import type { DeliveryState, StoreState } from './state.ts';

export type DeliveryVerbs = Pick<
  Store,
  'claimDeliveries' | 'settleDelivery' | 'releaseDeliveries' | 'purgeEvents'
>;

/** Inserts an event and its deliveries, to the endpoints that want it as well, the first attempt of each due at once. */
export function insertEvent(state: StoreState, { event, targets }: NewEvent): void {
  const wanting = [...state.endpoints.values()].filter(
    ({ endpoint: { owner, status, eventTypes } }) =>
      owner === event.owner && status === 'enabled' && eventTypes.includes(event.type),
  );
  const endpointTargets = wanting.map(({ endpoint: { id, url } }): DeliveryTarget => ({
    url,
    origin: 'endpoint',
    endpointId: id,
  }));
  state.events.set(event.id, { record: event, deliveries: [] });
  for (const target of [...targets, ...endpointTargets])
    insertDelivery(state, event, target, event.createdAt);
}

/** Adds a delivery to an event that is there, due at `now`. */
export function insertDelivery(
  state: StoreState,
  event: EventRecord,
  target: DeliveryTarget,
  now: number,
): DeliveryState {
  const id = `dlv_${randomBytes(16).toString('hex')}`;
  const made: DeliveryState = {
    delivery: { id, event, target, attempts: 0, epoch: 0 },
    state: 'pending',
    nextAt: now,
    worker: null,
    createdAt: now,
    lastAttempt: null,
    lastError: null,
  };
  state.deliveries.set(id, made);
  state.events.get(event.id)?.deliveries.push(made);
  return made;
}

function isDue({ nextAt }: DeliveryState, now: number): boolean {
  // Nothing is put off for so long: the clock was set back since.
  return nextAt <= now || nextAt > now + MAX_DELIVERY_WAIT_MS;
}

export function createDeliveryVerbs(state: StoreState): DeliveryVerbs {
  function findHeld(id: string, epoch: number): DeliveryState | undefined {
    const found = state.deliveries.get(id);
    return found !== undefined && found.worker !== null && found.delivery.epoch === epoch ? found : undefined;
  }

  /** Notes how an endpoint does after an attempt, and disables it where it is to be. */
  function judge(target: DeliveryTarget, result: DeliveryResult, now: number): void {
    const found = target.origin === 'endpoint' ? state.endpoints.get(target.endpointId) : undefined;
    if (found === undefined) return;
    const { failingSince, disabledReason } = judgeEndpoint(found.failingSince, result, now);
    found.failingSince = failingSince;
    if (disabledReason !== null) disableEndpoint(state, found, disabledReason, now);
  }

  return {
    async claimDeliveries(worker, now, limit, share) {
      const fits = share === undefined ? () => true : createShareOut(share);
      const due = [...state.deliveries.values()]
        .filter((found) => found.state === 'pending' && found.worker === null && isDue(found, now))
        .toSorted((a, b) => a.nextAt - b.nextAt)
        .filter((found) => fits(found.delivery.target.url))
        .slice(0, limit);
      return due.map((found) => {
        found.worker = worker;
        found.delivery = { ...found.delivery, epoch: found.delivery.epoch + 1 };
        return found.delivery;
      });
    },
    async settleDelivery(id, epoch, now, result, trace): Promise<Fenced> {
      const found = findHeld(id, epoch);
      if (found === undefined) return 'lost';
      found.worker = null;
      found.delivery = { ...found.delivery, attempts: found.delivery.attempts + 1 };
      if (result.kind === 'retry') found.nextAt = result.at;
      else found.state = result.kind;
      found.lastAttempt = { at: now, statusCode: result.statusCode, ...trace };
      found.lastError = result.kind === 'delivered' ? null : result.error;
      judge(found.delivery.target, result, now);
      return 'ok';
    },
    async releaseDeliveries(deliveries) {
      for (const { id, epoch } of deliveries) {
        const found = findHeld(id, epoch);
        if (found !== undefined) found.worker = null;
      }
    },
    async purgeEvents(before) {
      const old = [...state.events.values()].filter(
        ({ record, deliveries }) =>
          record.createdAt < before && deliveries.every((found) => found.state !== 'pending'),
      );
      for (const { record, deliveries } of old) {
        state.events.delete(record.id);
        for (const { delivery } of deliveries) state.deliveries.delete(delivery.id);
      }
      return old.length;
    },
  };
}
