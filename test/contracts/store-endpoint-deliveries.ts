import { describe, expect } from 'vitest';
import type { Store } from '../../src/engine/ports.ts';
import { T0 } from '../helpers/store-fixtures.ts';
import {
  announce,
  attempt,
  claimDelivery,
  DELIVERED,
  FAILED,
  insertEndpoint,
  retryAt,
} from '../helpers/webhook-fixtures.ts';
import type { StoreIt } from './store-test.ts';

/** What the owner of an endpoint sees of its deliveries, and what can be sent again. */
export function describeEndpointDeliveries(it: StoreIt): void {
  describe('the deliveries to an endpoint', () => {
    describeHistory(it);
    describeReplayOfOne(it);
    describeReplayOfMany(it);
  });
}

async function historyOf(store: Store, endpointId: string) {
  const page = await store.listDeliveries('ann', endpointId, undefined, 100);
  if (page === null) throw new Error('the endpoint is unknown');
  return page.data;
}

function describeHistory(it: StoreIt): void {
  it('are listed with what came of their last attempt', async ({ store }) => {
    const { id } = await insertEndpoint(store);
    const event = await announce(store);
    const untried = {
      id: expect.stringMatching(/^dlv_[0-9a-f]{32}$/),
      event,
      createdAt: T0,
      state: 'pending',
      attempts: 0,
      nextAttemptAt: T0,
      lastAttemptAt: null,
      lastStatusCode: null,
      lastDurationMs: null,
      lastResponse: null,
      lastError: null,
    };
    expect(await historyOf(store, id)).toEqual([untried]);
    const first = await claimDelivery(store);
    const refused = { durationMs: 12, response: 'not \0 now \u{1F600}' };
    await store.settleDelivery(first.id, first.epoch, T0 + 1, retryAt(T0 + 9), refused);
    const tried = { ...untried, id: first.id, attempts: 1, nextAttemptAt: T0 + 9, lastAttemptAt: T0 + 1 };
    expect(await historyOf(store, id)).toEqual([
      {
        ...tried,
        lastStatusCode: 503,
        lastDurationMs: 12,
        lastResponse: refused.response,
        lastError: 'answered 503',
      },
    ]);
    const second = await claimDelivery(store, T0 + 9);
    await store.settleDelivery(second.id, second.epoch, T0 + 9, DELIVERED, { durationMs: 3, response: '' });
    const done = { state: 'delivered', attempts: 2, nextAttemptAt: null, lastAttemptAt: T0 + 9 };
    expect(await historyOf(store, id)).toEqual([
      { ...tried, ...done, lastStatusCode: 200, lastDurationMs: 3, lastResponse: '' },
    ]);
  });

  it('are listed newest first, page by page, each endpoint’s to its owner alone', async ({ store }) => {
    const { id } = await insertEndpoint(store);
    const other = await insertEndpoint(store, { eventTypes: ['batch.failed'] });
    for (let n = 0; n < 3; n++) await announce(store, { at: T0 - n });
    await announce(store, { type: 'batch.failed' });
    const [newest, middle, oldest] = await historyOf(store, id);
    expect(newest?.event.createdAt).toBe(T0 - 2);
    expect(await store.listDeliveries('ann', id, undefined, 2)).toEqual({
      data: [newest, middle],
      hasMore: true,
    });
    expect(await store.listDeliveries('ann', id, middle?.id, 2)).toEqual({ data: [oldest], hasMore: false });
    const [foreign] = await historyOf(store, other.id);
    expect(await store.listDeliveries('ann', id, foreign?.id, 2)).toBeNull();
    expect(await store.listDeliveries('ann', id, 'dlv_unknown', 2)).toBeNull();
    expect(await store.listDeliveries('bob', id, undefined, 2)).toBeNull();
    expect(await store.listDeliveries('ann', 'whe_unknown', undefined, 2)).toBeNull();
  });

  it('are forgotten with their events', async ({ store }) => {
    const { id } = await insertEndpoint(store);
    await attempt(store, DELIVERED);
    await announce(store, { at: T0 });
    expect(await store.purgeEvents(T0 + 1)).toBe(1);
    expect(await historyOf(store, id)).toMatchObject([{ state: 'pending' }]);
  });
}

function describeReplayOfOne(it: StoreIt): void {
  it('are made again, due at once, of the same event, to the present URL', async ({ store }) => {
    const { id } = await insertEndpoint(store);
    const { id: first, event } = await attempt(store, FAILED);
    await store.updateWebhookEndpoint('ann', id, { url: 'https://b.example/' }, T0);
    const result = await store.replayDelivery('ann', id, first, T0 + 5);
    if (result.kind !== 'ok') return expect.unreachable();
    const { delivery } = result;
    expect(delivery).toMatchObject({
      event,
      createdAt: T0 + 5,
      state: 'pending',
      attempts: 0,
      nextAttemptAt: T0 + 5,
      lastAttemptAt: null,
    });
    expect(delivery.id).not.toBe(first);
    expect((await historyOf(store, id)).map((one) => one.id)).toEqual([delivery.id, first]);
    expect(await store.claimDeliveries('w', T0 + 4, 1)).toEqual([]);
    expect(await claimDelivery(store, T0 + 5)).toMatchObject({
      id: delivery.id,
      event,
      target: { url: 'https://b.example/', endpointId: id },
    });
  });

  it('are not made again of what the endpoint has not, or while it is disabled', async ({ store }) => {
    const { id } = await insertEndpoint(store);
    const other = await insertEndpoint(store, { eventTypes: ['batch.failed'] });
    const { id: first } = await attempt(store, DELIVERED);
    expect(await store.replayDelivery('bob', id, first, T0)).toEqual({ kind: 'missing' });
    expect(await store.replayDelivery('ann', 'whe_unknown', first, T0)).toEqual({ kind: 'missing' });
    expect(await store.replayDelivery('ann', other.id, first, T0)).toEqual({ kind: 'unknown_delivery' });
    expect(await store.replayDelivery('ann', id, 'dlv_unknown', T0)).toEqual({ kind: 'unknown_delivery' });
    await store.updateWebhookEndpoint('ann', id, { status: 'disabled' }, T0);
    expect(await store.replayDelivery('ann', id, first, T0)).toEqual({ kind: 'disabled' });
    expect(await historyOf(store, id)).toHaveLength(1);
  });
}

function describeReplayOfMany(it: StoreIt): void {
  const replay = (store: Store, endpointId: string, since: number, limit = 100, owner = 'ann') =>
    store.replayEvents({ owner, endpointId, since, limit, now: T0 + 50 });

  it('are made again for each event since then that has ended', async ({ store }) => {
    const { id } = await insertEndpoint(store);
    await attempt(store, DELIVERED, T0 - 1);
    const { event: delivered } = await attempt(store, DELIVERED, T0);
    const { event: failed } = await attempt(store, FAILED, T0 + 1);
    await announce(store, { at: T0 + 2 });
    await announce(store, { at: T0 + 3, type: 'batch.failed' });
    expect(await replay(store, id, T0)).toEqual({ kind: 'ok', deliveries: 2, nextCreatedAt: null });
    const made = (await historyOf(store, id)).filter(({ createdAt }) => createdAt === T0 + 50);
    expect(made.map(({ event }) => event)).toEqual([failed, delivered]);
    expect(made[0]).toMatchObject({ state: 'pending', attempts: 0, nextAttemptAt: T0 + 50 });
    // They are about to be sent: asked twice, they are sent once.
    expect(await replay(store, id, T0)).toMatchObject({ deliveries: 0 });
  });

  it('are made of what the endpoint missed: before it was there, while it was disabled, of types that it had not', async ({
    store,
  }) => {
    const before = await announce(store);
    const { id } = await insertEndpoint(store);
    const disabled = await insertEndpoint(store);
    await store.updateWebhookEndpoint('ann', disabled.id, { status: 'disabled' }, T0);
    const missed = await announce(store, { at: T0 + 1 });
    const failed = await announce(store, { at: T0 + 2, type: 'batch.failed' });
    await announce(store, { at: T0 + 3, owner: 'bob' });
    await store.updateWebhookEndpoint('ann', disabled.id, { status: 'enabled' }, T0 + 4);
    expect(await replay(store, disabled.id, T0)).toMatchObject({ deliveries: 2 });
    expect((await historyOf(store, disabled.id)).map(({ event }) => event)).toEqual([missed, before]);
    await store.updateWebhookEndpoint('ann', id, { eventTypes: ['batch.failed'] }, T0 + 4);
    expect(await replay(store, id, T0)).toMatchObject({ deliveries: 1 });
    expect((await historyOf(store, id)).map(({ event }) => event)).toEqual([failed, missed]);
  });

  it('are made once for an event that was sent twice', async ({ store }) => {
    const { id } = await insertEndpoint(store);
    await attempt(store, DELIVERED);
    await replay(store, id, T0);
    const again = await claimDelivery(store, T0 + 50);
    await store.settleDelivery(again.id, again.epoch, T0 + 50, DELIVERED);
    expect(await replay(store, id, T0)).toMatchObject({ deliveries: 1 });
  });

  it('are made up to a limit, the oldest first, with where to go on', async ({ store }) => {
    const { id } = await insertEndpoint(store);
    for (const at of [T0 + 3, T0 + 1, T0 + 2]) await attempt(store, DELIVERED, at);
    expect(await replay(store, id, T0, 2)).toEqual({ kind: 'ok', deliveries: 2, nextCreatedAt: T0 + 3 });
    const made = (await historyOf(store, id)).filter(({ state }) => state === 'pending');
    expect(made.map(({ event }) => event.createdAt)).toEqual([T0 + 2, T0 + 1]);
    expect(await replay(store, id, T0 + 3, 2)).toEqual({ kind: 'ok', deliveries: 1, nextCreatedAt: null });
  });

  it('are not made for other endpoints, other owners, or while it is disabled', async ({ store }) => {
    const { id } = await insertEndpoint(store);
    const other = await insertEndpoint(store, { eventTypes: ['batch.failed'] });
    await attempt(store, DELIVERED);
    expect(await replay(store, other.id, T0)).toMatchObject({ deliveries: 0 });
    expect(await replay(store, id, T0, 1, 'bob')).toEqual({ kind: 'missing' });
    expect(await replay(store, 'whe_unknown', T0)).toEqual({ kind: 'missing' });
    await store.updateWebhookEndpoint('ann', id, { status: 'disabled' }, T0);
    expect(await replay(store, id, T0)).toEqual({ kind: 'disabled' });
  });
}
