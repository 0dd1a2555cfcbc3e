import { randomBytes } from 'node:crypto';
import { createShareOut } from '../../../engine/delivery-share.ts';
import { MAX_DELIVERY_WAIT_MS } from '../../../engine/event.ts';
import type { NewEvent } from '../../../engine/event.ts';
import type { Fenced, Store } from '../../../engine/ports.ts';
import type { DeliveryState, StoreState } from './state.ts';

export type DeliveryVerbs = Pick<
  Store,
  'claimDeliveries' | 'settleDelivery' | 'releaseDeliveries' | 'purgeEvents'
>;

/** Inserts an event and its deliveries, the first attempt of each due at once. */
export function insertEvent(state: StoreState, { event, targets }: NewEvent): void {
  const deliveries = targets.map((target): DeliveryState => {
    const id = `dlv_${randomBytes(16).toString('hex')}`;
    const delivery = { id, event, target, attempts: 0, epoch: 0 };
    return { delivery, state: 'pending', nextAt: event.createdAt, held: false };
  });
  for (const delivery of deliveries) state.deliveries.set(delivery.delivery.id, delivery);
  state.events.set(event.id, { record: event, deliveries });
}

function isDue({ nextAt }: DeliveryState, now: number): boolean {
  // Nothing is put off for so long: the clock was set back since.
  return nextAt <= now || nextAt > now + MAX_DELIVERY_WAIT_MS;
}

export function createDeliveryVerbs(state: StoreState): DeliveryVerbs {
  function findHeld(id: string, epoch: number): DeliveryState | undefined {
    const found = state.deliveries.get(id);
    return found?.held === true && found.delivery.epoch === epoch ? found : undefined;
  }

  return {
    async claimDeliveries(_worker, now, limit, share) {
      const fits = share === undefined ? () => true : createShareOut(share);
      const due = [...state.deliveries.values()]
        .filter((found) => found.state === 'pending' && !found.held && isDue(found, now))
        .toSorted((a, b) => a.nextAt - b.nextAt)
        .filter((found) => fits(found.delivery.target.url))
        .slice(0, limit);
      return due.map((found) => {
        found.held = true;
        found.delivery = { ...found.delivery, epoch: found.delivery.epoch + 1 };
        return found.delivery;
      });
    },
    async settleDelivery(id, epoch, _now, result): Promise<Fenced> {
      const found = findHeld(id, epoch);
      if (found === undefined) return 'lost';
      found.held = false;
      found.delivery = { ...found.delivery, attempts: found.delivery.attempts + 1 };
      if (result.kind === 'retry') found.nextAt = result.at;
      else found.state = result.kind;
      return 'ok';
    },
    async releaseDeliveries(deliveries) {
      for (const { id, epoch } of deliveries) {
        const found = findHeld(id, epoch);
        if (found !== undefined) found.held = false;
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
