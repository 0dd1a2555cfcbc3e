import { describe, expect, it, onTestFinished } from 'vitest';
import { createBatchVerbs } from '../../src/adapters/postgres/batches.ts';
import { openPool } from '../../src/adapters/postgres/database.ts';
import type { Database } from '../../src/adapters/postgres/database.ts';
import { createDeliveryVerbs } from '../../src/adapters/postgres/deliveries.ts';
import { SLICE } from '../../src/adapters/postgres/slices.ts';
import { createEndpointVerbs } from '../../src/adapters/postgres/webhook-endpoints.ts';
import type { Store } from '../../src/engine/ports.ts';
import { usePostgres } from '../helpers/postgres.ts';
import { T0 } from '../helpers/store-fixtures.ts';
import { announce, claimDelivery, GONE, insertEndpoint } from '../helpers/webhook-fixtures.ts';

const postgres = usePostgres();
/** More than two slices. */
const MANY = 2 * SLICE + 5;

/** A database that notes how many rows each transaction changed, save those that changed few. */
function openNoting(): { readonly db: Database; readonly changes: number[] } {
  const pool = openPool({ url: postgres.url, maxConnections: 2, onLost() {} });
  onTestFinished(() => pool.close());
  const changes: number[] = [];
  const db: Database = {
    ...pool,
    transaction: (work) =>
      pool.transaction(async (sql) => {
        let changed = 0;
        const result = await work({
          ...sql,
          async run(text, ...values) {
            const rows = await sql.run(text, ...values);
            changed += rows;
            return rows;
          },
        });
        if (changed > 10) changes.push(changed);
        return result;
      }),
  };
  return { db, changes };
}

/** An endpoint for which `MANY` deliveries wait, due at T0, and its id. */
async function openCrowded(): Promise<{ readonly store: Store; readonly id: string }> {
  const store = await postgres.openEmpty();
  const { id } = await insertEndpoint(store);
  await announce(store);
  await postgres.query(`
    insert into deliveries (id, event, url, origin, endpoint, created_at, next_at)
    select 'dlv_' || n, event, url, origin, endpoint, created_at, next_at
    from deliveries, generate_series(2, ${MANY}) n
  `);
  return { store, id };
}

const countPending = async () =>
  (await postgres.query<{ n: string }>("select count(*) as n from deliveries where state = 'pending'"))[0]?.n;

const SLICES = [SLICE, SLICE];

describe('very many rows are changed in several transactions', () => {
  it('where an endpoint is disabled by its owner', async () => {
    const { id } = await openCrowded();
    const { db, changes } = openNoting();
    await createEndpointVerbs(db).updateWebhookEndpoint('ann', id, { status: 'disabled' }, T0);
    expect(await countPending()).toBe('0');
    expect(changes).toEqual([SLICE + 1, SLICE]);
  });

  it('where an endpoint is disabled by its answer', async () => {
    const { store } = await openCrowded();
    const { db, changes } = openNoting();
    const { id, epoch } = await claimDelivery(store);
    expect(await createDeliveryVerbs(db).settleDelivery(id, epoch, T0, GONE)).toBe('ok');
    expect(await countPending()).toBe('0');
    expect(changes).toHaveLength(2);
    expect(Math.max(...changes)).toBeLessThan(SLICE + 10);
  });

  it('where events are purged', async () => {
    await postgres.openEmpty();
    const { db, changes } = openNoting();
    await postgres.query(`
      insert into events (id, owner, batch_id, format, type, created_at)
      select 'evt_' || n, 'ann', 'batch', 'openai', 'batch.queued', 1 from generate_series(1, ${MANY}) n
    `);
    expect(await createDeliveryVerbs(db).purgeEvents(2)).toBe(MANY);
    expect(changes).toEqual(SLICES);
  });

  it('where batches expire', async () => {
    await postgres.openEmpty();
    const { db, changes } = openNoting();
    await postgres.query(`
      insert into batches (
        id, owner, format, endpoint, input_file_id, completion_window, status, total, priority, created_at, expires_at,
        in_progress_at
      )
      select 'batch_' || n, 'ann', 'openai', '/v1', 'file', '24h', 'in_progress', 1, 0, 1, 1, 1
      from generate_series(1, ${MANY}) n
    `);
    expect(await createBatchVerbs(db).expireBatches(2)).toBe(MANY);
    expect(changes).toEqual(SLICES);
  });

  it('where deliveries are recalled, one with each claim', async () => {
    const { store } = await openCrowded();
    await postgres.query('update deliveries set next_at = next_at + 1000000000');
    const { db, changes } = openNoting();
    expect(await createDeliveryVerbs(db).claimDeliveries('w', T0, 1)).toHaveLength(1);
    expect(changes).toEqual([SLICE]);
    await store.claimDeliveries('w', T0, 1);
    await store.claimDeliveries('w', T0, 1);
    expect(await postgres.query(`select from deliveries where next_at > ${T0}`)).toEqual([]);
  });
});

describe('what waits for an endpoint that was disabled when the process died', () => {
  it('is not attempted but ended', async () => {
    const { store } = await openCrowded();
    await postgres.query("update webhook_endpoints set status = 'disabled'");
    for (let i = 0; i < 3; i++) expect(await store.claimDeliveries('w', T0, 1)).toEqual([]);
    expect(await countPending()).toBe('0');
  });
});
