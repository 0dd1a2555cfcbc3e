import { describe, expect } from 'vitest';
import type { Store } from '../../src/engine/ports.ts';
import { FAILING_AFTER_MS } from '../../src/engine/webhooks/webhook-endpoint.ts';
import { HOUR_MS, T0 } from '../helpers/store-fixtures.ts';
import {
  anEndpoint,
  announce,
  attempt,
  claimDelivery,
  DELIVERED,
  FAILED,
  FIRST_SECRET,
  GONE,
  insertEndpoint,
  retryAt,
} from '../helpers/webhook-fixtures.ts';
import type { StoreIt } from './store-test.ts';

const LATER = T0 + HOUR_MS;

/** Webhook endpoints, and which events reach them. */
export function describeWebhookEndpoints(it: StoreIt): void {
  describe('webhook endpoints', () => {
    describeKeeping(it);
    describeChanges(it);
    describeSecrets(it);
    describeReceiving(it);
    describeHealth(it);
  });
}

function describeKeeping(it: StoreIt): void {
  it('are answered as they were inserted, to their owner alone', async ({ store }) => {
    const endpoint = await insertEndpoint(store, {
      name: 'Empfänger "ß" \u{1F600}',
      eventTypes: ['batch.failed', 'batch.completed'],
    });
    expect(await store.getWebhookEndpoint('ann', endpoint.id)).toEqual(endpoint);
    expect(await store.getWebhookEndpoint('bob', endpoint.id)).toBeNull();
    expect(await store.getWebhookEndpoint('ann', 'whe_unknown')).toBeNull();
  });

  it('are limited for each owner, also where several are inserted at once', async ({ store }) => {
    const insert = (owner: string) => store.insertWebhookEndpoint(anEndpoint({ owner }), FIRST_SECRET, 2);
    const results = await Promise.all([insert('ann'), insert('ann'), insert('ann'), insert('bob')]);
    expect([results.slice(0, 3).toSorted(), results[3]]).toEqual([['full', 'ok', 'ok'], 'ok']);
    const page = await store.listWebhookEndpoints('ann', undefined, 10);
    expect(page?.data).toHaveLength(2);
    await store.deleteWebhookEndpoint('ann', page?.data[0]?.id ?? '');
    expect(await insert('ann')).toBe('ok');
  });

  it('are listed newest first, page by page, to their owner alone', async ({ store }) => {
    const old = await insertEndpoint(store, { createdAt: T0 - 1 });
    const first = await insertEndpoint(store);
    const second = await insertEndpoint(store);
    const foreign = await insertEndpoint(store, { owner: 'bob' });
    const page = await store.listWebhookEndpoints('ann', undefined, 2);
    expect(page).toEqual({ data: [second, first], hasMore: true });
    expect(await store.listWebhookEndpoints('ann', first.id, 2)).toEqual({ data: [old], hasMore: false });
    expect(await store.listWebhookEndpoints('ann', foreign.id, 2)).toBeNull();
    expect(await store.listWebhookEndpoints('ann', 'whe_unknown', 2)).toBeNull();
    expect(await store.listWebhookEndpoints('carl', undefined, 2)).toEqual({ data: [], hasMore: false });
  });

  it('are deleted by their owner alone, once', async ({ store }) => {
    const { id } = await insertEndpoint(store);
    expect(await store.deleteWebhookEndpoint('bob', id)).toBe(false);
    expect(await store.deleteWebhookEndpoint('ann', id)).toBe(true);
    expect(await store.deleteWebhookEndpoint('ann', id)).toBe(false);
    expect(await store.getWebhookEndpoint('ann', id)).toBeNull();
    expect(await store.getWebhookSecrets(id, T0)).toEqual([]);
  });

  it('take their pending deliveries with them, also those under way', async ({ store }) => {
    const { id } = await insertEndpoint(store);
    await announce(store);
    const held = await claimDelivery(store);
    await announce(store);
    await store.deleteWebhookEndpoint('ann', id);
    expect(await store.settleDelivery(held.id, held.epoch, T0, retryAt(T0))).toBe('lost');
    await store.releaseDeadLeases(T0);
    expect(await store.claimDeliveries('w', LATER, 10)).toEqual([]);
    expect(await store.purgeEvents(T0 + 1)).toBe(2);
  });
}

function describeChanges(it: StoreIt): void {
  it('change in what is given, at the time given', async ({ store }) => {
    const endpoint = await insertEndpoint(store);
    const renamed = await store.updateWebhookEndpoint('ann', endpoint.id, { name: 'other' }, LATER);
    expect(renamed).toEqual({ ...endpoint, name: 'other', updatedAt: LATER });
    const changes = { url: 'https://b.example/', eventTypes: ['batch.failed'] } as const;
    const changed = await store.updateWebhookEndpoint('ann', endpoint.id, changes, LATER + 1);
    expect(changed).toEqual({ ...endpoint, name: 'other', ...changes, updatedAt: LATER + 1 });
    expect(await store.getWebhookEndpoint('ann', endpoint.id)).toEqual(changed);
    expect(await store.updateWebhookEndpoint('ann', endpoint.id, changes, LATER + 2)).toEqual(changed);
    expect(await store.getWebhookEndpoint('ann', endpoint.id)).toEqual(changed);
  });

  it('are not changed by other owners', async ({ store }) => {
    const endpoint = await insertEndpoint(store);
    expect(await store.updateWebhookEndpoint('bob', endpoint.id, { name: 'x' }, LATER)).toBeNull();
    expect(await store.updateWebhookEndpoint('ann', 'whe_unknown', { name: 'x' }, LATER)).toBeNull();
    expect(await store.getWebhookEndpoint('ann', endpoint.id)).toEqual(endpoint);
  });

  it('bring what waits to a new URL', async ({ store }) => {
    const { id } = await insertEndpoint(store);
    await announce(store);
    const first = await claimDelivery(store);
    await store.updateWebhookEndpoint('ann', id, { url: 'https://b.example/' }, T0);
    expect(await store.settleDelivery(first.id, first.epoch, T0, retryAt(T0 + 1))).toBe('ok');
    expect(await claimDelivery(store, T0 + 1)).toMatchObject({
      id: first.id,
      target: { url: 'https://b.example/' },
    });
  });
}

function describeSecrets(it: StoreIt): void {
  const rotate = (store: Store, id: string, secret: string, oldUntil: number | null) =>
    store.rotateWebhookSecret({ owner: 'ann', id, secret, oldUntil, now: T0 + 1 });

  it('sign with the secret they were inserted with', async ({ store }) => {
    const { id } = await insertEndpoint(store);
    expect(await store.getWebhookSecrets(id, T0)).toEqual([FIRST_SECRET]);
    expect(await store.getWebhookSecrets('whe_unknown', T0)).toEqual([]);
  });

  it('sign with a new secret alone where the old one is not kept', async ({ store }) => {
    const endpoint = await insertEndpoint(store);
    const rotated = await rotate(store, endpoint.id, 'whsec_second-secret', null);
    expect(rotated).toEqual({ ...endpoint, secretHint: 'whsec_***ecret', updatedAt: T0 + 1 });
    expect(await store.getWebhookEndpoint('ann', endpoint.id)).toEqual(rotated);
    expect(await store.getWebhookSecrets(endpoint.id, T0)).toEqual(['whsec_second-secret']);
  });

  it('sign with both, the newest first, until the old one’s time is over', async ({ store }) => {
    const { id } = await insertEndpoint(store);
    await rotate(store, id, 'whsec_second', LATER);
    expect(await store.getWebhookSecrets(id, LATER - 1)).toEqual(['whsec_second', FIRST_SECRET]);
    expect(await store.getWebhookSecrets(id, LATER)).toEqual(['whsec_second']);
    await rotate(store, id, 'whsec_third', LATER);
    expect(await store.getWebhookSecrets(id, LATER - 1)).toEqual(['whsec_third', 'whsec_second']);
    await rotate(store, id, 'whsec_fourth', null);
    expect(await store.getWebhookSecrets(id, LATER - 1)).toEqual(['whsec_fourth']);
  });

  it('are given no secret by other owners', async ({ store }) => {
    const { id } = await insertEndpoint(store);
    const rotation = { id, secret: 'whsec_x', oldUntil: null, now: T0 };
    expect(await store.rotateWebhookSecret({ ...rotation, owner: 'bob' })).toBeNull();
    expect(await store.getWebhookSecrets(id, T0)).toEqual([FIRST_SECRET]);
  });
}

function describeReceiving(it: StoreIt): void {
  it('receive the types that they asked for, of their owner’s batches', async ({ store }) => {
    const queued = await insertEndpoint(store);
    const both = await insertEndpoint(store, {
      url: 'https://both.example/',
      eventTypes: ['batch.failed', 'batch.queued'],
    });
    await insertEndpoint(store, { owner: 'bob' });
    const event = await announce(store);
    await announce(store, { type: 'batch.completed' });
    await announce(store, { owner: 'carl' });
    const due = await store.claimDeliveries('w', T0, 10);
    expect(due.map(({ event, target }) => ({ event, target }))).toEqual([
      { event, target: { url: queued.url, origin: 'endpoint', endpointId: queued.id } },
      { event, target: { url: both.url, origin: 'endpoint', endpointId: both.id } },
    ]);
  });

  it('receive from their insertion on, also by a change, and until they are disabled', async ({ store }) => {
    await announce(store);
    const { id } = await insertEndpoint(store, { eventTypes: ['batch.failed'] });
    await announce(store);
    await store.updateWebhookEndpoint('ann', id, { eventTypes: ['batch.queued'] }, T0);
    const wanted = await announce(store);
    const due = await store.claimDeliveries('w', T0, 10);
    expect(due.map(({ event }) => event.id)).toEqual([wanted.id]);
    await store.updateWebhookEndpoint('ann', id, { status: 'disabled' }, T0);
    await announce(store);
    await store.updateWebhookEndpoint('ann', id, { status: 'enabled' }, T0);
    const again = await announce(store);
    expect((await store.claimDeliveries('w', T0, 10)).map(({ event }) => event.id)).toEqual([again.id]);
  });

  it('end what waits, and what is under way, when they are disabled', async ({ store }) => {
    const { id } = await insertEndpoint(store);
    await announce(store);
    const held = await claimDelivery(store);
    await announce(store);
    const off = await store.updateWebhookEndpoint('ann', id, { status: 'disabled' }, T0);
    expect(off).toMatchObject({ status: 'disabled', disabledReason: null });
    expect(await store.settleDelivery(held.id, held.epoch, T0, DELIVERED)).toBe('lost');
    await store.releaseDeliveries([held]);
    await store.releaseDeadLeases(T0);
    expect(await store.claimDeliveries('w', LATER, 10)).toEqual([]);
    const page = await store.listDeliveries('ann', id, undefined, 10);
    expect(
      page?.data.map(({ state, lastError, nextAttemptAt }) => [state, lastError, nextAttemptAt]),
    ).toEqual([
      ['failed', 'the endpoint was disabled', null],
      ['failed', 'the endpoint was disabled', null],
    ]);
  });
}

function describeHealth(it: StoreIt): void {
  const statusOf = async (store: Store, id: string) => {
    const endpoint = await store.getWebhookEndpoint('ann', id);
    return [endpoint?.status, endpoint?.disabledReason, endpoint?.updatedAt];
  };
  const well = ['enabled', null, T0];

  it('are disabled by a 410, with all that waits for them', async ({ store }) => {
    const { id } = await insertEndpoint(store);
    const other = await insertEndpoint(store, { eventTypes: ['batch.failed'] });
    await announce(store, { at: T0 + 1 });
    await attempt(store, GONE, T0);
    expect(await statusOf(store, id)).toEqual(['disabled', 'gone', T0]);
    expect(await statusOf(store, other.id)).toEqual(well);
    expect(await store.claimDeliveries('w', LATER, 10)).toEqual([]);
    const page = await store.listDeliveries('ann', id, undefined, 10);
    expect(page?.data.map(({ lastError }) => lastError)).toEqual([
      'answered 410',
      'the endpoint was disabled',
    ]);
  });

  it('are disabled by failures without a success for five days', async ({ store }) => {
    const { id } = await insertEndpoint(store);
    await attempt(store, FAILED, T0);
    await attempt(store, FAILED, T0 + FAILING_AFTER_MS - 1);
    expect(await statusOf(store, id)).toEqual(well);
    await announce(store, { at: T0 + FAILING_AFTER_MS });
    const last = await claimDelivery(store, T0 + FAILING_AFTER_MS);
    await store.settleDelivery(last.id, last.epoch, T0 + FAILING_AFTER_MS, retryAt(T0 + FAILING_AFTER_MS));
    expect(await statusOf(store, id)).toEqual(['disabled', 'failing', T0 + FAILING_AFTER_MS]);
    expect(await store.claimDeliveries('w', T0 + FAILING_AFTER_MS, 10)).toEqual([]);
  });

  it('are given another five days by a success', async ({ store }) => {
    const { id } = await insertEndpoint(store);
    await attempt(store, FAILED, T0);
    await attempt(store, DELIVERED, T0 + 5);
    await attempt(store, FAILED, T0 + FAILING_AFTER_MS);
    expect(await statusOf(store, id)).toEqual(well);
  });

  it('are given another five days by a new URL', async ({ store }) => {
    const { id } = await insertEndpoint(store);
    await attempt(store, FAILED, T0);
    await store.updateWebhookEndpoint('ann', id, { url: 'https://b.example/' }, T0);
    await attempt(store, FAILED, T0 + FAILING_AFTER_MS);
    expect(await statusOf(store, id)).toEqual(well);
  });

  it('start afresh when they are enabled again', async ({ store }) => {
    const { id } = await insertEndpoint(store);
    await attempt(store, FAILED, T0);
    await attempt(store, FAILED, T0 + FAILING_AFTER_MS);
    const at = T0 + FAILING_AFTER_MS + 1;
    const enabled = await store.updateWebhookEndpoint('ann', id, { status: 'enabled' }, at);
    expect(enabled).toMatchObject({ status: 'enabled', disabledReason: null, updatedAt: at });
    await attempt(store, FAILED, at);
    expect(await statusOf(store, id)).toEqual(['enabled', null, at]);
  });
}
