/** Who takes whom for dead. */
import { describe, expect, it, onTestFinished } from 'vitest';
import { openPool } from '../../src/adapters/postgres/database.ts';
import { openPostgresStore } from '../../src/adapters/postgres/index.ts';
import type { Store } from '../../src/engine/ports.ts';
import { passTime } from '../helpers/pass-time.ts';
import { usePostgres } from '../helpers/postgres.ts';
import { chunksOf, claim, startBatch, T0 } from '../helpers/store-fixtures.ts';

const postgres = usePostgres();

/** Stores of two processes over one empty database. */
async function openTwo(): Promise<[Store, Store]> {
  const one = await postgres.openStore();
  onTestFinished(() => one.close());
  const two = await openPostgresStore({ url: postgres.url, maxConnections: 4, onLost() {} });
  onTestFinished(() => two.close());
  return [one, two];
}

async function letLeasesLapse(): Promise<void> {
  await postgres.query("update workers set alive_until = now() - interval '1 second'");
}

describe('a PostgreSQL database', () => {
  it('that was away for longer than leases last costs no worker what it holds, if it comes back', async () => {
    const [a, b] = await openTwo();
    await a.renewLease('a');
    await b.renewLease('b');
    await startBatch(a, {}, chunksOf(1));
    await claim(b, { worker: 'b' });
    const holder = async () =>
      (await postgres.query<{ worker: string | null }>('select worker from chunks'))[0]?.worker;
    const look = async () => {
      await a.renewLease('a');
      await a.releaseDeadLeases(T0);
      return await holder();
    };
    const pass = passTime();
    pass(10_000);
    await letLeasesLapse();
    // The first one that is back leaves the others some time, however often it looks.
    expect(await look()).toBe('b');
    pass(9000);
    expect(await look()).toBe('b');
    await b.renewLease('b');
    pass(1000);
    expect(await look()).toBe('b');
    await letLeasesLapse();
    expect(await look()).toBe('b');
    pass(10_000);
    expect(await look()).toBeNull();
  });

  it('frees nothing of a worker that came while it was looked for what dead ones hold', async () => {
    const [store, other] = await openTwo();
    await startBatch(store, {}, chunksOf(1));
    await claim(store, { worker: 'dead' });
    const db = openPool({ url: postgres.url, maxConnections: 1, onLost() {} });
    onTestFinished(() => db.close());
    const { releasing } = await db.transaction(async (sql) => {
      await sql.run(`update chunks set worker = 'new', epoch = epoch + 1`);
      const begun = store.releaseDeadLeases(T0);
      const waiting = "select from pg_stat_activity where wait_event_type = 'Lock'";
      await expect.poll(async () => await postgres.query(waiting)).toHaveLength(1);
      await other.renewLease('new');
      return { releasing: begun };
    });
    await releasing;
    expect(await postgres.query('select state, worker from chunks')).toEqual([
      { state: 'claimed', worker: 'new' },
    ]);
  });

  it('that was away is no death of others for a worker that starts when it is back', async () => {
    const [a, b] = await openTwo();
    await b.renewLease('b');
    await startBatch(a, {}, chunksOf(2));
    await claim(b, { worker: 'b', limit: 1 });
    // Whoever has no lease at all is not about to renew it.
    await claim(b, { worker: 'gone', limit: 1 });
    await letLeasesLapse();
    const pass = passTime();
    const look = async () => {
      await a.renewLease('a');
      await a.releaseDeadLeases(T0);
      const held = await postgres.query<{ worker: string }>(
        "select worker from chunks where state = 'claimed'",
      );
      return held.map(({ worker }) => worker);
    };
    expect(await look()).toEqual(['b']);
    pass(9000);
    expect(await look()).toEqual(['b']);
    pass(1000);
    expect(await look()).toEqual([]);
  });
});

describe('several processes over one database', () => {
  it('renew leases, with slots of models, while what a dead one held waits for locks of others', async () => {
    const [one, two] = await openTwo();
    const demands = [{ model: 'm', limit: 10, held: 0 }];
    await one.renewLease('dead', demands);
    await startBatch(one);
    await claim(one, { worker: 'dead' });
    await letLeasesLapse();
    await two.renewLease('alive');
    passTime()(10_000);
    const db = openPool({ url: postgres.url, maxConnections: 1, onLost() {} });
    onTestFinished(() => db.close());
    let releasing = Promise.resolve();
    await db.transaction(async (sql) => {
      await sql.run('select from chunks for update');
      releasing = one.releaseDeadLeases(T0);
      await expect
        .poll(() => postgres.query("select from pg_stat_activity where wait_event_type = 'Lock'"))
        .toHaveLength(1);
      expect((await two.renewLease('alive', demands)).slots).toMatchObject([{ slots: 10 }]);
    });
    await releasing;
    expect(await claim(one)).toMatchObject([{ chunk: { crashes: 1 } }]);
    expect(await postgres.query('select id from workers')).toEqual([{ id: 'alive' }]);
  });

  it('tell a worker whose lease another one has ended that it holds nothing any more', async () => {
    const [one, two] = await openTwo();
    await one.renewLease('one');
    await letLeasesLapse();
    await two.renewLease('two');
    passTime()(10_000);
    await two.releaseDeadLeases(T0);
    expect((await one.renewLease('one')).isNew).toBe(true);
    expect((await two.renewLease('two')).isNew).toBe(false);
  });
});
