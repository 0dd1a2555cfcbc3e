/** What happens to deliveries and webhook endpoints. */
import { FAILING_AFTER_MS } from '../../../src/engine/webhooks/webhook-endpoint.ts';
import { T0 } from '../../helpers/store-fixtures.ts';
import { anEndpoint, DELIVERED, FAILED, GONE, retryAt } from '../../helpers/webhook-fixtures.ts';

import { pick } from './world.ts';
import type { Action } from './world.ts';

export const DELIVERY_ACTIONS: Readonly<Record<string, Action>> = {
  async claimDeliveries({ both, deliveries }, n, m) {
    const claimed = await both((store) => store.claimDeliveries('worker', T0 + (n % 4), 1 + (m % 2)));
    claimed?.[0].forEach((delivery, i) => deliveries.push([delivery, claimed[1][i] ?? delivery]));
  },
  async settle({ both, deliveries }, n, m) {
    const pair = pick(deliveries, n);
    if (pair === undefined) return;
    const failure = { statusCode: null, error: 'no connection' };
    const result = (
      [
        { kind: 'delivered', statusCode: 200 },
        { kind: 'retry', at: T0 + (m % 5), ...failure },
        { kind: 'failed', ...failure },
      ] as const
    )[m % 3];
    if (result === undefined) return;
    await both((store, side) => store.settleDelivery(pair[side].id, pair[side].epoch, T0, result));
  },
  async giveBack({ both, deliveries }, n) {
    const pair = pick(deliveries, n);
    if (pair !== undefined) await both((store, side) => store.releaseDeliveries([pair[side]]));
  },
  purge: ({ both }, n) => both((store) => store.purgeEvents(T0 + (n % 4))),
};

export const ENDPOINT_ACTIONS: Readonly<Record<string, Action>> = {
  async insertEndpoint({ both, endpoints }, n, m) {
    const types = (['batch.queued', 'batch.in_progress', 'batch.completed'] as const).slice(n % 3);
    const endpoint = anEndpoint({ eventTypes: types, createdAt: T0 + (m % 2) });
    endpoints.push(endpoint.id);
    await both((store) => store.insertWebhookEndpoint(endpoint, 'whsec_first', 4));
  },
  async updateEndpoint({ both, endpoints }, n, m) {
    const changes = [
      { url: `https://${m % 5}.example/` },
      { status: 'enabled' },
      { status: 'enabled' },
      { status: 'disabled' },
    ] as const;
    const change = changes[m % 4] ?? {};
    await both((store) =>
      store.updateWebhookEndpoint('ann', pick(endpoints, n) ?? 'whe_unknown', change, T0 + (n % 3)),
    );
  },
  async rotateSecret({ both, endpoints }, n, m) {
    const id = pick(endpoints, n) ?? 'whe_unknown';
    const oldUntil = m % 2 === 0 ? T0 + 1 : null;
    const rotation = { owner: 'ann', id, secret: `whsec_${m}`, oldUntil, now: T0 };
    await both((store) => store.rotateWebhookSecret(rotation));
  },
  async deleteEndpoint({ both, endpoints }, n, m) {
    if (m % 3 > 0) return;
    await both((store) => store.deleteWebhookEndpoint('ann', pick(endpoints, n) ?? 'whe_unknown'));
  },
  async settleOfEndpoint({ both, deliveries }, n, m) {
    const pair = pick(
      deliveries.filter(([{ target }]) => target.origin === 'endpoint'),
      n,
    );
    const result = [GONE, DELIVERED, FAILED, retryAt(T0 + (n % 5))][m % 4];
    if (pair === undefined || result === undefined) return;
    const trace = { durationMs: n, response: m % 2 === 0 ? null : 'text' };
    const now = T0 + (n % 3) * FAILING_AFTER_MS;
    await both((store, side) => store.settleDelivery(pair[side].id, pair[side].epoch, now, result, trace));
  },
  async replay({ both, endpoints }, n, m) {
    const endpointId = pick(endpoints, n) ?? 'whe_unknown';
    const query = { owner: 'ann', endpointId, since: T0 + (m % 3), limit: 1 + (n % 3), now: T0 + (m % 4) };
    await both((store) => store.replayEvents(query));
  },
  async replayOne({ both, endpoints, deliveries }, n, m) {
    const pair = pick(deliveries, n);
    if (pair === undefined) return;
    const endpointId = pick(endpoints, m) ?? 'whe_unknown';
    await both((store, side) => store.replayDelivery('ann', endpointId, pair[side].id, T0 + (n % 4)));
  },
};
