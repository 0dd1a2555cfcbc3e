import { describe, expect } from 'vitest';
import type { Delivery, NewEvent } from '../../src/engine/event.ts';
import type { Store } from '../../src/engine/ports.ts';
import {
  aBatch,
  anEvent,
  batchIn,
  claimStepOf,
  createBatch,
  failOf,
  finishOf,
  HOUR_MS,
  startOf,
  T0,
} from '../helpers/store-fixtures.ts';
import type { StoreIt } from './store-test.ts';

/** Writes an event at `createdAt`, with a batch that it tells of. */
async function insertEvent(store: Store, createdAt: number, urls: readonly string[]): Promise<NewEvent> {
  const batch = aBatch();
  const event = anEvent(batch, 'batch.queued', createdAt, urls);
  await store.createBatch(batch, event);
  return event;
}

async function claimUrls(store: Store, now: number, limit = 100): Promise<string[]> {
  return (await store.claimDeliveries('worker', now, limit)).map(({ target }) => target.url);
}

async function claimOnly(store: Store, now = T0): Promise<Delivery> {
  const [first, ...rest] = await store.claimDeliveries('worker', now, 100);
  if (first === undefined || rest.length > 0) throw new Error('one delivery was to be claimed');
  return first;
}

/** Events and the attempts to bring them somewhere. */
export function describeDeliveries(it: StoreIt): void {
  describe('deliveries', () => {
    describeEvents(it);
    describeClaiming(it);
    describeSettling(it);
    describePurging(it);
  });
}

function describeEvents(it: StoreIt): void {
  it('makes one delivery for each target of an event, due at once', async ({ store }) => {
    const batch = aBatch({ owner: 'bob' });
    const { event } = anEvent(batch, 'batch.queued', T0 + 5);
    await store.createBatch(batch, {
      event,
      targets: [
        { url: 'https://one.example/hook', origin: 'configured' },
        { url: 'https://two.example/hook', origin: 'batch' },
      ],
    });
    expect(await store.claimDeliveries('worker', T0 + 4, 10)).toEqual([]);
    const id = expect.stringMatching(/^dlv_[0-9a-f]{32}$/);
    expect(await store.claimDeliveries('worker', T0 + 5, 10)).toEqual([
      { id, event, target: { url: 'https://one.example/hook', origin: 'configured' }, attempts: 0, epoch: 1 },
      { id, event, target: { url: 'https://two.example/hook', origin: 'batch' }, attempts: 0, epoch: 1 },
    ]);
  });

  it('writes the event of each step together with its state', async ({ store }) => {
    const types = async () => (await store.claimDeliveries('worker', T0, 10)).map(({ event }) => event.type);
    const { id, ...batch } = await createBatch(store);
    const prepare = await claimStepOf(store, id);
    const urls = ['http://hook'];
    const started = anEvent({ id, ...batch }, 'batch.in_progress', T0, urls);
    await store.startBatch(startOf(prepare, { event: started }));
    expect(await types()).toEqual(['batch.in_progress']);
    await store.cancelBatch('ann', id, T0);
    const finalize = await claimStepOf(store, id);
    await store.finishBatch(
      finishOf(finalize, 'cancelled', { event: anEvent({ id, ...batch }, 'batch.cancelled', T0, urls) }),
    );
    expect(await types()).toEqual(['batch.cancelled']);
    const bad = await createBatch(store);
    await store.failBatch(
      failOf(await claimStepOf(store, bad.id), { event: anEvent(bad, 'batch.failed', T0, urls) }),
    );
    expect(await types()).toEqual(['batch.failed']);
  });

  it('writes no event with a state that is not written', async ({ store }) => {
    const { id } = await batchIn(store, 'finalizing as expired');
    const step = await claimStepOf(store, id);
    const event = anEvent(step.batch, 'batch.completed', T0, ['http://hook']);
    await expect(store.finishBatch(finishOf(step, 'completed', { event }))).rejects.toThrow(id);
    expect(await store.finishBatch(finishOf({ ...step, epoch: 1 }, 'expired', { event }))).toBe('lost');
    expect(await claimUrls(store, T0)).toEqual([]);
  });
}

function describeClaiming(it: StoreIt): void {
  it('hands out the longest due first, no more than asked for, each once', async ({ store }) => {
    await insertEvent(store, T0 + 2, ['http://b', 'http://c']);
    await insertEvent(store, T0 + 1, ['http://a']);
    await insertEvent(store, T0 + 3, ['http://d']);
    expect(await claimUrls(store, T0 + 3, 2)).toEqual(['http://a', 'http://b']);
    expect(await claimUrls(store, T0 + 3, 1)).toEqual(['http://c']);
    expect(await claimUrls(store, T0 + 3)).toEqual(['http://d']);
    expect(await claimUrls(store, T0 + 3)).toEqual([]);
  });

  it('hands out a delivery again that was given back, uncounted, with a higher epoch', async ({ store }) => {
    await insertEvent(store, T0, ['http://a']);
    const first = await claimOnly(store);
    await store.releaseDeliveries([first]);
    const second = await claimOnly(store);
    expect(second).toEqual({ ...first, epoch: first.epoch + 1 });
  });

  it('takes back only what is held under that epoch', async ({ store }) => {
    await insertEvent(store, T0, ['http://a']);
    const old = await claimOnly(store);
    await store.releaseDeliveries([old]);
    const held = await claimOnly(store);
    await store.releaseDeliveries([old, { id: 'dlv_unknown', epoch: 1 }]);
    expect(await claimUrls(store, T0)).toEqual([]);
    await store.settleDelivery(held.id, held.epoch, T0, { kind: 'delivered', statusCode: 200 });
    await store.releaseDeliveries([held]);
    expect(await claimUrls(store, T0)).toEqual([]);
  });
}

function describeSettling(it: StoreIt): void {
  it('does not hand out a delivered or failed delivery again', async ({ store }) => {
    await insertEvent(store, T0, ['http://a', 'http://b']);
    const [a, b] = await store.claimDeliveries('worker', T0, 10);
    if (a === undefined || b === undefined) throw new Error('two deliveries were to be claimed');
    expect(await store.settleDelivery(a.id, a.epoch, T0, { kind: 'delivered', statusCode: 204 })).toBe('ok');
    const failed = { kind: 'failed', statusCode: 410, error: 'gone' } as const;
    expect(await store.settleDelivery(b.id, b.epoch, T0, failed)).toBe('ok');
    expect(await claimUrls(store, T0 + 99 * HOUR_MS)).toEqual([]);
  });

  it('hands out a delivery that is to be retried when its time comes, and counts its attempts', async ({
    store,
  }) => {
    await insertEvent(store, T0, ['http://a']);
    for (let attempts = 0; attempts < 3; attempts++) {
      const now = T0 + attempts * 10;
      expect(await claimUrls(store, now - 1)).toEqual([]);
      const held = await claimOnly(store, now);
      expect(held).toMatchObject({ attempts, epoch: attempts + 1 });
      const retry = { kind: 'retry', at: now + 10, statusCode: null, error: 'no connection' } as const;
      expect(await store.settleDelivery(held.id, held.epoch, now, retry)).toBe('ok');
    }
  });

  it('loses a result of an old epoch, of what was given back, and of what is unknown', async ({ store }) => {
    await insertEvent(store, T0, ['http://a']);
    const delivered = { kind: 'delivered', statusCode: 200 } as const;
    const old = await claimOnly(store);
    await store.releaseDeliveries([old]);
    expect(await store.settleDelivery(old.id, old.epoch, T0, delivered)).toBe('lost');
    const held = await claimOnly(store);
    expect(held.attempts).toBe(0);
    expect(await store.settleDelivery(old.id, old.epoch, T0, delivered)).toBe('lost');
    expect(await store.settleDelivery('dlv_unknown', 1, T0, delivered)).toBe('lost');
    expect(await store.settleDelivery(held.id, held.epoch, T0, delivered)).toBe('ok');
    expect(await store.settleDelivery(held.id, held.epoch, T0, delivered)).toBe('lost');
  });
}

function describePurging(it: StoreIt): void {
  it('removes old events that have no deliveries, and says how many', async ({ store }) => {
    await insertEvent(store, T0, []);
    await insertEvent(store, T0 + 1, []);
    await insertEvent(store, T0 + 2, []);
    expect(await store.purgeEvents(T0 + 2)).toBe(2);
    expect(await store.purgeEvents(T0 + 2)).toBe(0);
    expect(await store.purgeEvents(T0 + 3)).toBe(1);
  });

  it('keeps an old event until all its deliveries are settled', async ({ store }) => {
    await insertEvent(store, T0, ['http://a', 'http://b']);
    expect(await store.purgeEvents(T0 + 1)).toBe(0);
    const [a, b] = await store.claimDeliveries('worker', T0, 10);
    if (a === undefined || b === undefined) throw new Error('two deliveries were to be claimed');
    await store.settleDelivery(a.id, a.epoch, T0, { kind: 'delivered', statusCode: 200 });
    expect(await store.purgeEvents(T0 + 1)).toBe(0);
    await store.settleDelivery(b.id, b.epoch, T0, { kind: 'retry', at: T0, statusCode: 500, error: 'busy' });
    expect(await store.purgeEvents(T0 + 1)).toBe(0);
    const again = await claimOnly(store);
    await store.settleDelivery(again.id, again.epoch, T0, { kind: 'failed', statusCode: 500, error: 'busy' });
    expect(await store.purgeEvents(T0 + 1)).toBe(1);
    expect(await claimUrls(store, T0 + HOUR_MS)).toEqual([]);
  });
}
