import type { Store } from '../../../engine/ports.ts';
import { changeEndpoint, isFreshStart, secretHintOf } from '../../../engine/webhooks/webhook-endpoint.ts';
import { deliveriesTo, endPending } from './endpoint-status.ts';
import { page } from './files.ts';
import type { EndpointState, StoreState } from './state.ts';

type EndpointVerbs = Pick<
  Store,
  | 'insertWebhookEndpoint'
  | 'getWebhookEndpoint'
  | 'listWebhookEndpoints'
  | 'updateWebhookEndpoint'
  | 'rotateWebhookSecret'
  | 'deleteWebhookEndpoint'
  | 'getWebhookSecrets'
>;

/** The endpoint of this owner, or undefined. */
export function findEndpoint(state: StoreState, owner: string, id: string): EndpointState | undefined {
  const found = state.endpoints.get(id);
  return found?.endpoint.owner === owner ? found : undefined;
}

export function createEndpointVerbs(state: StoreState): EndpointVerbs {
  const ownedBy = (owner: string) =>
    [...state.endpoints.values()].map(({ endpoint }) => endpoint).filter((one) => one.owner === owner);

  return {
    async insertWebhookEndpoint(endpoint, secret, max) {
      if (ownedBy(endpoint.owner).length >= max) return 'full';
      state.endpoints.set(endpoint.id, { endpoint, secret, oldSecret: null, failingSince: null });
      return 'ok';
    },
    getWebhookEndpoint: async (owner, id) => findEndpoint(state, owner, id)?.endpoint ?? null,
    async listWebhookEndpoints(owner, after, limit) {
      if (after !== undefined && findEndpoint(state, owner, after) === undefined) return null;
      const newestFirst = ownedBy(owner)
        .toSorted((a, b) => a.createdAt - b.createdAt)
        .toReversed();
      return page(newestFirst.slice(newestFirst.findIndex(({ id }) => id === after) + 1), limit);
    },
    async updateWebhookEndpoint(owner, id, changes, now) {
      const found = findEndpoint(state, owner, id);
      if (found === undefined) return null;
      const before = found.endpoint;
      const after = changeEndpoint(before, changes, now);
      found.endpoint = after;
      if (isFreshStart(before, after)) found.failingSince = null;
      if (after.url !== before.url) redirectPending(state, id, after.url);
      if (after !== before && after.status === 'disabled') endPending(state, id);
      return after;
    },
    async rotateWebhookSecret({ owner, id, secret, oldUntil, now }) {
      const found = findEndpoint(state, owner, id);
      if (found === undefined) return null;
      found.oldSecret = oldUntil === null ? null : { secret: found.secret, until: oldUntil };
      found.secret = secret;
      const updatedAt = Math.max(now, found.endpoint.updatedAt);
      found.endpoint = { ...found.endpoint, secretHint: secretHintOf(secret), updatedAt };
      return found.endpoint;
    },
    async deleteWebhookEndpoint(owner, id) {
      if (findEndpoint(state, owner, id) === undefined) return false;
      dropPending(state, id);
      state.endpoints.delete(id);
      return true;
    },
    async getWebhookSecrets(id, now) {
      const found = state.endpoints.get(id);
      if (found === undefined) return [];
      const { secret, oldSecret } = found;
      return oldSecret !== null && oldSecret.until > now ? [secret, oldSecret.secret] : [secret];
    },
  };
}

function redirectPending(state: StoreState, endpointId: string, url: string): void {
  for (const found of deliveriesTo(state, endpointId)) {
    if (found.state !== 'pending') continue;
    found.delivery = { ...found.delivery, target: { url, origin: 'endpoint', endpointId } };
  }
}

function dropPending(state: StoreState, endpointId: string): void {
  for (const found of deliveriesTo(state, endpointId)) {
    if (found.state !== 'pending') continue;
    const { id, event } = found.delivery;
    state.deliveries.delete(id);
    const ofEvent = state.events.get(event.id)?.deliveries;
    ofEvent?.splice(ofEvent.indexOf(found), 1);
  }
}
