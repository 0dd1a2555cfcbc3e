import { describe, expect } from 'vitest';
import type { Store } from '../../src/engine/ports.ts';
import {
  aBatch,
  anEvent,
  batchIn,
  claimStepOf,
  createBatch,
  failOf,
  finishOf,
  startBatch,
  startOf,
  T0,
} from '../helpers/store-fixtures.ts';
import type { StoreIt } from './store-test.ts';

const URLS = ['https://a.example/hook', 'https://b.example/hook'];

/** A batch whose first event goes to `urls`. */
async function announce(store: Store, urls: readonly string[] = URLS, createdAt = T0) {
  const batch = aBatch({ createdAt });
  const event = anEvent(batch, 'batch.queued', createdAt, urls);
  await store.createBatch(batch, event);
  return event.event;
}

async function claimOne(store: Store, now = T0) {
  const [delivery] = await store.claimDeliveries('w', now, 1);
  if (delivery === undefined) throw new Error('no delivery is due');
  return delivery;
}

/** Events and their way to receivers. */
export function describeDeliveries(it: StoreIt): void {
  describe('deliveries', () => {
    describeEvents(it);
    describeAttempts(it);
    describePurge(it);
  });
}

function describeEvents(it: StoreIt): void {
  it('are one for each target of an event, due at once', async ({ store }) => {
    const event = await announce(store);
    expect(await store.claimDeliveries('w', T0 - 1, 10)).toEqual([]);
    const due = await store.claimDeliveries('w', T0, 10);
    expect(due.map(({ target }) => target.url).toSorted()).toEqual(URLS);
    expect(new Set(due.map(({ id }) => id)).size).toBe(2);
    for (const delivery of due) {
      expect(delivery).toMatchObject({ event, attempts: 0, target: { origin: 'configured' } });
      expect(delivery.id).toMatch(/^dlv_[0-9a-f]{32}$/);
    }
  });

  it('keep the origin of their target', async ({ store }) => {
    const batch = aBatch();
    const event = anEvent(batch, 'batch.queued');
    await store.createBatch(batch, { ...event, targets: [{ url: 'https://c.example', origin: 'batch' }] });
    expect((await claimOne(store)).target).toEqual({ url: 'https://c.example', origin: 'batch' });
  });

  it('come with each change of state, and not where the change was lost', async ({ store }) => {
    const types = async () =>
      (await store.claimDeliveries('w', T0, 100)).map(({ event }) => event.type).toSorted();
    const { id, owner } = await createBatch(store);
    const event = (type: Parameters<typeof anEvent>[1]) =>
      anEvent({ id, owner }, type, T0, ['https://a.example']);
    const prepare = await claimStepOf(store, id);
    await store.startBatch(startOf(prepare, { event: event('batch.in_progress') }));
    await store.startBatch(startOf(prepare, { event: event('batch.in_progress') }));
    await store.failBatch(failOf(prepare, { event: event('batch.failed') }));
    expect(await types()).toEqual(['batch.in_progress']);
    await store.cancelBatch(owner, id, T0);
    const finalize = await claimStepOf(store, id);
    await store.finishBatch(finishOf(finalize, 'cancelled', { event: event('batch.cancelled') }));
    await store.finishBatch(finishOf(finalize, 'cancelled', { event: event('batch.cancelled') }));
    expect(await types()).toEqual(['batch.cancelled']);
    const failing = await createBatch(store);
    const step = await claimStepOf(store, failing.id);
    await store.failBatch(failOf(step, { event: anEvent(failing, 'batch.failed', T0, URLS) }));
    expect(await types()).toEqual(['batch.failed', 'batch.failed']);
  });
}

function describeAttempts(it: StoreIt): void {
  it('are claimed once, the longest due first, up to the limit', async ({ store }) => {
    const late = await announce(store, ['https://a.example'], T0 + 2);
    const early = await announce(store, ['https://a.example'], T0 + 1);
    const order = [await claimOne(store, T0 + 5), await claimOne(store, T0 + 5)];
    expect(order.map(({ event }) => event.id)).toEqual([early.id, late.id]);
    expect(await store.claimDeliveries('w', T0 + 5, 10)).toEqual([]);
  });

  it('are due where they were put off for longer than any is: the clock was set back since', async ({
    store,
  }) => {
    await announce(store, ['https://a.example']);
    const { id, epoch } = await claimOne(store);
    const retry = { kind: 'retry', at: T0 + 60_000, statusCode: 503, error: 'answered 503' } as const;
    await store.settleDelivery(id, epoch, T0, retry);
    const day = 24 * 3_600_000;
    expect(await store.claimDeliveries('w', T0 + 60_000 - day, 1)).toEqual([]);
    expect(await store.claimDeliveries('w', T0 + 60_000 - day - 1, 1)).toHaveLength(1);
  });

  it('are shared out between receivers, whatever the paths of their URLs', async ({ store }) => {
    for (let n = 0; n < 4; n++) await announce(store, [`https://a.example/${n}?token=${n}`], T0 + n);
    await announce(store, ['https://b.example/hook', 'https://a.example:8443/', 'no URL'], T0 + 4);
    const claim = async (limit: number, held: readonly string[]) => {
      const due = await store.claimDeliveries('w', T0 + 9, limit, { perReceiver: 2, held });
      return due.map(({ target }) => target.url).toSorted();
    };
    expect(await claim(10, ['https://a.example', 'https://b.example#x'])).toEqual([
      'https://a.example/0?token=0',
      'https://a.example:8443/',
      'https://b.example/hook',
      'no URL',
    ]);
    expect(await claim(10, ['https://a.example/0', 'https://a.example/9'])).toEqual([]);
    expect(await claim(1, [])).toEqual(['https://a.example/1?token=1']);
    expect(await claim(10, [])).toEqual(['https://a.example/2?token=2', 'https://a.example/3?token=3']);
  });

  it('are shared out between receivers, however their URLs are written', async ({ store }) => {
    const urls = [
      'http://a.example',
      'HTTP://A.example/1',
      'http://a.example:80/2',
      'http://a.example\\3',
      'http:a.example',
    ];
    for (const [n, url] of urls.entries()) await announce(store, [url], T0 + n);
    await announce(store, ['https://a.example'], T0 + 9);
    const share = { perReceiver: 2, held: ['http://a.example:080/'] };
    const due = await store.claimDeliveries('w', T0 + 9, 10, share);
    expect(due.map(({ target }) => target.url)).toEqual(['http://a.example', 'https://a.example']);
  });

  it('end where they succeed or fail, and come again at the given time otherwise', async ({ store }) => {
    await announce(store, ['https://a.example']);
    const first = await claimOne(store);
    const retry = { kind: 'retry', at: T0 + 50, statusCode: 503, error: 'answered 503' } as const;
    expect(await store.settleDelivery(first.id, first.epoch, T0, retry)).toBe('ok');
    expect(await store.claimDeliveries('w', T0 + 49, 10)).toEqual([]);
    const second = await claimOne(store, T0 + 50);
    expect(second).toMatchObject({ id: first.id, attempts: 1, event: first.event });
    expect(second.epoch).toBeGreaterThan(first.epoch);
    const delivered = { kind: 'delivered', statusCode: 200 } as const;
    expect(await store.settleDelivery(second.id, first.epoch, T0, delivered)).toBe('lost');
    expect(await store.settleDelivery(second.id, second.epoch, T0, delivered)).toBe('ok');
    expect(await store.settleDelivery(second.id, second.epoch, T0, delivered)).toBe('lost');
    await announce(store, ['https://b.example']);
    const failing = await claimOne(store);
    const failed = { kind: 'failed', statusCode: 410, error: 'answered 410' } as const;
    expect(await store.settleDelivery(failing.id, failing.epoch, T0, failed)).toBe('ok');
    expect(await store.claimDeliveries('w', T0 + 10 ** 9, 10)).toEqual([]);
  });

  it('can be given back without counting', async ({ store }) => {
    await announce(store, ['https://a.example']);
    const first = await claimOne(store);
    await store.releaseDeliveries([{ id: first.id, epoch: first.epoch - 1 }]);
    expect(await store.claimDeliveries('w', T0, 10)).toEqual([]);
    await store.releaseDeliveries([first]);
    expect(await claimOne(store)).toMatchObject({ id: first.id, attempts: 0 });
  });
}

function describePurge(it: StoreIt): void {
  it('keeps events whose deliveries are not settled, and newer ones', async ({ store }) => {
    await announce(store, URLS);
    await announce(store, [], T0 + 100);
    const [first, second] = await store.claimDeliveries('w', T0, 10);
    if (first === undefined || second === undefined) return expect.unreachable();
    await store.settleDelivery(first.id, first.epoch, T0, { kind: 'delivered', statusCode: 200 });
    expect(await store.purgeEvents(T0 + 1)).toBe(0);
    await store.settleDelivery(second.id, second.epoch, T0, { kind: 'failed', statusCode: null, error: 'x' });
    expect(await store.purgeEvents(T0)).toBe(0);
    expect(await store.purgeEvents(T0 + 1)).toBe(1);
    expect(await store.purgeEvents(T0 + 1)).toBe(0);
    expect(await store.purgeEvents(T0 + 101)).toBe(1);
  });

  it('takes events without deliveries', async ({ store }) => {
    await batchIn(store, 'failed');
    await startBatch(store);
    expect(await store.purgeEvents(T0 + 1)).toBe(4);
  });
}
