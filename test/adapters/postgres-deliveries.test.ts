import { describe, expect, it, onTestFinished } from 'vitest';
import { openPool } from '../../src/adapters/postgres/database.ts';
import type { Sql } from '../../src/adapters/postgres/database.ts';
import { insertEvent } from '../../src/adapters/postgres/events.ts';
import type { Store } from '../../src/engine/ports.ts';
import { usePostgres } from '../helpers/postgres.ts';
import { aBatch, anEvent, T0 } from '../helpers/store-fixtures.ts';
import { announce, claimDelivery, GONE, insertEndpoint, retryAt } from '../helpers/webhook-fixtures.ts';

const postgres = usePostgres();

async function openEmpty(): Promise<Store> {
  const store = await postgres.openStore();
  onTestFinished(() => store.close());
  return store;
}

/** Runs `work` in a transaction of another process. */
async function elsewhere(work: (sql: Sql) => Promise<void>): Promise<void> {
  const db = openPool({ url: postgres.url, maxConnections: 1, onLost() {} });
  onTestFinished(() => db.close());
  await db.transaction(work);
}

/** Waits until a statement waits for a lock, or `other` has ended. */
async function untilWaiting(other: Promise<unknown>): Promise<void> {
  let ended = false;
  void other.finally(() => (ended = true)).catch(() => {});
  await expect
    .poll(
      async () =>
        ended ||
        (await postgres.query("select from pg_stat_activity where wait_event_type = 'Lock'")).length > 0,
    )
    .toBe(true);
}

/** Inserts an event, does `change` before that is committed, and commits it. */
async function announceBeside(change: () => Promise<unknown>): Promise<void> {
  let changed: Promise<unknown> = Promise.resolve();
  await elsewhere(async (sql) => {
    await insertEvent(sql, anEvent(aBatch(), 'batch.queued'));
    changed = change();
    await untilWaiting(changed);
  });
  await changed;
}

const pending = () =>
  postgres.query<{ url: string }>("select url from deliveries where state = 'pending' order by seq");

describe('an event that is inserted while its endpoint', () => {
  it('is removed leaves no delivery behind', async () => {
    const store = await openEmpty();
    const { id } = await insertEndpoint(store);
    await announceBeside(() => store.deleteWebhookEndpoint('ann', id));
    expect(await pending()).toEqual([]);
    expect(await store.getWebhookEndpoint('ann', id)).toBeNull();
  });

  it('is disabled by its owner leaves no delivery that is pending', async () => {
    const store = await openEmpty();
    const { id } = await insertEndpoint(store);
    await announceBeside(() => store.updateWebhookEndpoint('ann', id, { status: 'disabled' }, T0));
    expect(await pending()).toEqual([]);
  });

  it('is disabled by its answer leaves no delivery that is pending', async () => {
    const store = await openEmpty();
    await insertEndpoint(store);
    await announce(store);
    const delivery = await claimDelivery(store);
    await announceBeside(() => store.settleDelivery(delivery.id, delivery.epoch, T0, GONE));
    expect(await pending()).toEqual([]);
  });

  it('gets another URL goes there', async () => {
    const store = await openEmpty();
    const { id } = await insertEndpoint(store);
    await announceBeside(() => store.updateWebhookEndpoint('ann', id, { url: 'https://new.example' }, T0));
    expect(await pending()).toEqual([{ url: 'https://new.example' }]);
  });

  it('is judged does not wait, nor keeps its attempts waiting', async () => {
    const store = await openEmpty();
    await insertEndpoint(store);
    await announce(store);
    const delivery = await claimDelivery(store);
    let settled: string | undefined;
    await elsewhere(async (sql) => {
      await insertEvent(sql, anEvent(aBatch(), 'batch.queued'));
      settled = await store.settleDelivery(delivery.id, delivery.epoch, T0, retryAt(T0 + 9));
    });
    expect(settled).toBe('ok');
    expect(await pending()).toHaveLength(2);
  });
});

describe('a claim of deliveries', () => {
  it('ends one whose endpoint is gone, and takes the others', async () => {
    const store = await openEmpty();
    await insertEndpoint(store);
    await announce(store);
    await postgres.query('update deliveries set endpoint = endpoint + 1000');
    const { batchId } = await announce(store, { at: T0 + 1 });
    const claimed = await store.claimDeliveries('w', T0 + 1, 10);
    expect(claimed.map(({ event }) => event.batchId)).toEqual([batchId]);
    expect(await pending()).toHaveLength(1);
  });
});
