import { describe, expect, it, onTestFinished } from 'vitest';
import { openPool } from '../../src/adapters/postgres/database.ts';
import type { Sql } from '../../src/adapters/postgres/database.ts';
import { insertEvent } from '../../src/adapters/postgres/events.ts';
import { usePostgres } from '../helpers/postgres.ts';
import { aBatch, anEvent, T0 } from '../helpers/store-fixtures.ts';
import { announce, claimDelivery, GONE, insertEndpoint, retryAt } from '../helpers/webhook-fixtures.ts';

const postgres = usePostgres();

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
    const store = await postgres.openEmpty();
    const { id } = await insertEndpoint(store);
    await announceBeside(() => store.deleteWebhookEndpoint('ann', id));
    expect(await pending()).toEqual([]);
    expect(await store.getWebhookEndpoint('ann', id)).toBeNull();
  });

  it('is disabled by its owner leaves no delivery that is pending', async () => {
    const store = await postgres.openEmpty();
    const { id } = await insertEndpoint(store);
    await announceBeside(() => store.updateWebhookEndpoint('ann', id, { status: 'disabled' }, T0));
    expect(await pending()).toEqual([]);
  });

  it('is disabled by its answer leaves no delivery that is pending', async () => {
    const store = await postgres.openEmpty();
    await insertEndpoint(store);
    await announce(store);
    const delivery = await claimDelivery(store);
    await announceBeside(() => store.settleDelivery(delivery.id, delivery.epoch, T0, GONE));
    expect(await pending()).toEqual([]);
  });

  it('gets another URL goes there', async () => {
    const store = await postgres.openEmpty();
    const { id } = await insertEndpoint(store);
    await announceBeside(() => store.updateWebhookEndpoint('ann', id, { url: 'https://new.example' }, T0));
    expect((await claimDelivery(store)).target.url).toBe('https://new.example');
  });

  it('is judged does not wait, nor keeps its attempts waiting', async () => {
    const store = await postgres.openEmpty();
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
    const store = await postgres.openEmpty();
    await insertEndpoint(store);
    await announce(store);
    await postgres.query('update deliveries set endpoint = endpoint + 1000');
    const { batchId } = await announce(store, { at: T0 + 1 });
    const claimed = await store.claimDeliveries('w', T0 + 1, 10);
    expect(claimed.map(({ event }) => event.batchId)).toEqual([batchId]);
    expect(await pending()).toHaveLength(1);
  });

  it('is not kept from those of others by any number of one receiver', async () => {
    const store = await postgres.openEmpty();
    const batch = aBatch();
    const first = anEvent(batch, 'batch.queued', T0, ['https://si_lent.example/0']);
    await store.createBatch(batch, first);
    await postgres.query(`
      insert into deliveries (id, event, url, origin, created_at, next_at)
      select 'dlv_' || n, event, 'https://si_lent.example/' || n % 50 || '?token=' || n, origin, created_at, next_at
      from deliveries, generate_series(1, 6000) n
    `);
    const others = [
      'https://si_lent.example.org',
      'https://si-lent.example/?1',
      'https://si_lent.example:8443/',
    ];
    for (const url of others) {
      const other = aBatch();
      await store.createBatch(other, anEvent(other, 'batch.queued', T0 + 1, [url]));
    }
    const claimed = await store.claimDeliveries('w', T0 + 1, 64, { perReceiver: 2, held: [] });
    expect(claimed.map(({ target }) => target.url)).toEqual([
      'https://si_lent.example/0',
      'https://si_lent.example/1?token=1',
      ...others,
    ]);
    const full = { perReceiver: 2, held: claimed.map(({ target }) => target.url) };
    expect(await store.claimDeliveries('w', T0 + 1, 64, full)).toEqual([]);
  });

  it('beside that of another process takes others, as many as there are', async () => {
    const store = await postgres.openEmpty();
    const batch = aBatch();
    const urls = Array.from({ length: 4 }, (_, n) => `https://a.example/${n}`);
    await store.createBatch(batch, anEvent(batch, 'batch.queued', T0, urls));
    await elsewhere(async (sql) => {
      await sql.run(`update deliveries set worker = 'other' where url like '%/0' or url like '%/2'`);
      const claimed = await store.claimDeliveries('w', T0, 2, { perReceiver: 2, held: [] });
      expect(claimed.map(({ target }) => target.url)).toEqual([urls[1], urls[3]]);
    });
  });
});

describe('an endpoint that is disabled, with deliveries that a crash left pending,', () => {
  const DISABLE = "update webhook_endpoints set status = 'disabled'";
  const states = async () =>
    (await postgres.query<{ state: string }>('select state from deliveries order by seq')).map(
      ({ state }) => state,
    );

  it('keeps the end of an attempt that is noted while a claim ends the others', async () => {
    const store = await postgres.openEmpty();
    await insertEndpoint(store);
    await announce(store);
    await announce(store);
    const { id } = await claimDelivery(store);
    await postgres.query(DISABLE);
    await elsewhere(async (sql) => {
      await sql.run("update deliveries set state = 'delivered', worker = null where id = $1", id);
      // It does not wait for that.
      expect(await store.claimDeliveries('w', T0, 10)).toEqual([]);
    });
    expect(await states()).toEqual(['delivered', 'failed']);
  });

  it('and is about to be enabled again has nothing ended by a claim', async () => {
    const store = await postgres.openEmpty();
    await insertEndpoint(store);
    await announce(store);
    await postgres.query(DISABLE);
    await elsewhere(async (sql) => {
      await sql.run('select from webhook_endpoints for update');
      await sql.run("update webhook_endpoints set status = 'enabled'");
      expect(await store.claimDeliveries('w', T0, 10)).toEqual([]);
    });
    expect(await states()).toEqual(['pending']);
    expect(await store.claimDeliveries('w', T0, 10)).toHaveLength(1);
  });

  it('is not judged by an attempt that ends later', async () => {
    const store = await postgres.openEmpty();
    const { id: endpoint } = await insertEndpoint(store);
    await announce(store);
    const { id, epoch } = await claimDelivery(store);
    await postgres.query(DISABLE);
    expect(await store.settleDelivery(id, epoch, T0, GONE)).toBe('ok');
    expect(await store.getWebhookEndpoint('ann', endpoint)).toMatchObject({ disabledReason: null });
  });
});
