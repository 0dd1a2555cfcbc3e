import { describe, expect, it, onTestFinished } from 'vitest';
import { openPool } from '../../src/adapters/postgres/database.ts';
import type { Database } from '../../src/adapters/postgres/database.ts';
import { openPostgresStore } from '../../src/adapters/postgres/index.ts';
import { migrate } from '../../src/adapters/postgres/migrate.ts';
import type { Store } from '../../src/engine/ports.ts';
import { usePostgres } from '../helpers/postgres.ts';
import {
  aFile,
  aSegment,
  chunksOf,
  claim,
  createBatch,
  refOf,
  startBatch,
  T0,
} from '../helpers/store-fixtures.ts';
import { startTcpProxy } from '../helpers/tcp-proxy.ts';
import { startWire } from '../helpers/wire.ts';

const postgres = usePostgres();

async function openAt(url: string): Promise<Store> {
  const store = await openPostgresStore({ url, maxConnections: 4, onLost() {} });
  onTestFinished(() => store.close());
  return store;
}

describe('a PostgreSQL database', () => {
  it('gives every text back as it was, also such as PostgreSQL cannot hold', async () => {
    const store = await postgres.openEmpty();
    const odd = ['a\0b', '\uE000', '\uE0000', '\0\uE0001\0', '\u{1F600}', '\\000', '"\'$1'];
    for (const filename of odd) {
      const file = aFile({ filename });
      await store.insertFile(file);
      expect((await store.getFile('ann', file.id, T0))?.filename).toBe(filename);
    }
    expect(await store.getFile('ann', 'file-\0', T0)).toBeNull();
    const metadata = { 'a\0': '\u2028 "x" \\u0000', b: '\0' };
    const batch = await createBatch(store, { metadata });
    expect((await store.getBatch('ann', batch.id))?.metadata).toEqual(metadata);
  });

  it('is brought up to date once where several processes open it at the same time', async () => {
    await postgres.query('drop schema public cascade; create schema public');
    await Promise.all(Array.from({ length: 4 }, () => openAt(postgres.url)));
    const rows = await postgres.query<{ name: string }>('select name from migrations');
    expect(new Set(rows.map(({ name }) => name)).size).toBe(rows.length);
  });

  it('that vanishes without a word holds nobody for ever, and is used again once it is back', async () => {
    await postgres.openEmpty();
    let isAway = false;
    const { hostname: host, port } = new URL(postgres.url);
    const proxy = await startTcpProxy({ host, port: Number(port) }, () => (isAway ? 'lose' : 'pass'));
    onTestFinished(() => proxy.close());
    const url = new URL(postgres.url);
    url.port = String(proxy.port);
    const store = await openPostgresStore({
      url: url.href,
      maxConnections: 2,
      onLost() {},
      answerTimeoutMs: 300,
    });
    onTestFinished(() => store.close());
    await store.ping();
    isAway = true;
    await expect(store.ping()).rejects.toMatchObject({ code: 'ECONNRESET' });
    isAway = false;
    await store.ping();
    isAway = true;
    await expect(store.renewLease('w')).rejects.toMatchObject({ code: 'ECONNRESET' });
    isAway = false;
    await store.renewLease('w');
  });

  it('tells a process whose clock is not its own how far it is off', async () => {
    const measure = async (offMs: number) => {
      const told: number[] = [];
      const options = { url: postgres.url, maxConnections: 2, onLost() {} };
      const store = await openPostgresStore({
        ...options,
        now: () => Date.now() + offMs,
        onClockOff: (ms) => told.push(Math.round(ms / 1000)),
      });
      await store.close();
      return told;
    };
    expect(await measure(0)).toEqual([]);
    expect(await measure(60_000)).toEqual([60]);
    expect(await measure(-3_600_000)).toEqual([-3600]);
  });

  it('gives a turn to one worker of many, and again when its time has come', async () => {
    const [store, other] = [await postgres.openEmpty(), await openAt(postgres.url)];
    const turns = await Promise.all([store, other, store, other].map((one) => one.takeTurn('sweep', 60_000)));
    expect(turns.filter(Boolean)).toHaveLength(1);
    await postgres.query("update turns set taken_at = taken_at - interval '1 minute'");
    expect([await other.takeTurn('sweep', 60_000), await store.takeTurn('sweep', 60_000)]).toEqual([
      true,
      false,
    ]);
  });

  it('of a newer version is refused, and left as it is', async () => {
    await openAt(postgres.url);
    await postgres.query("insert into migrations (name) values ('9999_future.sql')");
    onTestFinished(async () => {
      await postgres.query("delete from migrations where name = '9999_future.sql'");
    });
    await expect(openAt(postgres.url)).rejects.toThrow(/9999_future\.sql .* newer one/);
  });

  it('is left as it was by a migration that fails', async () => {
    const db = openPool({ url: postgres.url, maxConnections: 1, onLost() {} });
    onTestFinished(() => db.close());
    const known = await postgres.query<{ name: string }>('select name from migrations order by name');
    const bad = { name: '9998_bad.sql', sql: 'create table half (a integer); select nonsense' };
    await expect(migrate(db, [...known.map(({ name }) => ({ name, sql: '' })), bad])).rejects.toThrow(
      'nonsense',
    );
    expect(await postgres.query("select from pg_tables where tablename = 'half'")).toEqual([]);
  });

  it('that cannot be reached is told as storage that fails, with a code', async () => {
    const opening = openPostgresStore({ url: 'postgres://127.0.0.1:1/x', maxConnections: 1, onLost() {} });
    await expect(opening).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('that takes no writes is not ready, and is used again as soon as one that does is behind its name', async () => {
    const store = await postgres.openEmpty();
    const [database] = await postgres.query<{ name: string }>('select current_database() as name');
    const beReadOnly = async (setting: 'on' | 'off') =>
      await postgres.query(
        `alter database "${database?.name}" set default_transaction_read_only = ${setting}`,
      );
    onTestFinished(async () => void (await beReadOnly('off')));
    await beReadOnly('on');
    await postgres.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'anyllm-batch'",
    );
    await expect
      .poll(() => createBatch(store).catch((error: unknown) => error))
      .toMatchObject({ code: 'EPG25006' });
    await expect(store.ping()).rejects.toMatchObject({ code: 'EPG25006' });
    await expect(createBatch(store)).rejects.toMatchObject({ code: 'EPG25006' });
    await beReadOnly('off');
    await createBatch(store);
    await store.ping();
  });

  it('that ends connections is reached by new ones', async () => {
    const store = await postgres.openEmpty();
    await createBatch(store);
    await postgres.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'anyllm-batch'",
    );
    await expect
      .poll(() =>
        createBatch(store).then(
          () => 'ok',
          () => 'failed',
        ),
      )
      .toBe('ok');
  });
});

describe('several processes over one database', () => {
  it('never claim a chunk twice, nor lose one', async () => {
    const first = await postgres.openEmpty();
    const others = await Promise.all([openAt(postgres.url), openAt(postgres.url)]);
    for (let i = 0; i < 5; i++) await startBatch(first, {}, chunksOf(20));
    const claimAll = async (store: Store, worker: string) => {
      const names: string[] = [];
      for (let claims = await claim(store, { worker, limit: 3 }); claims.length > 0;) {
        names.push(...claims.map(({ chunk }) => `${chunk.batchId} ${chunk.number}`));
        claims = await claim(store, { worker, limit: 3 });
      }
      return names;
    };
    const all = await Promise.all([first, ...others].map((store, i) => claimAll(store, `w${i}`)));
    expect(all.flat().toSorted()).toEqual([...new Set(all.flat())].toSorted());
    expect(all.flat()).toHaveLength(100);
    for (const names of all) expect(names.length).toBeGreaterThan(0);
  });

  it('commit into one batch at once: nothing is lost, the last one takes it to finalizing', async () => {
    const first = await postgres.openEmpty();
    const second = await openAt(postgres.url);
    const batch = await startBatch(first, {}, chunksOf(40));
    const claims = await claim(first);
    const commits = claims.flatMap(({ chunk }, i) => {
      const store = i % 2 === 0 ? first : second;
      return [
        [0, 1],
        [2, 3],
      ].map((places) => () => store.commitSegments([aSegment(chunk, places)], T0));
    });
    const fenced = await Promise.all(commits.map((commit) => commit()));
    expect(fenced.flat().every((answer) => answer === 'ok')).toBe(true);
    expect(await first.getBatch('ann', batch.id)).toMatchObject({
      status: 'finalizing',
      counts: { total: 160, completed: 160 },
    });
    const segments = await first.readSegmentsAfter(batch.id, 0, 1000);
    expect(segments).toHaveLength(80);
  });

  it('show a reader who goes on after the last segment seen every segment, while others commit', async () => {
    const first = await postgres.openEmpty();
    const second = await openAt(postgres.url);
    const batch = await startBatch(first, {}, chunksOf(60));
    const claims = await claim(first);
    let done = false;
    const committing = Promise.all(
      claims.map(async ({ chunk }, i) => {
        await (i % 2 === 0 ? first : second).commitSegments([aSegment(chunk, [0, 1])], T0);
      }),
    ).then(() => (done = true));
    const seen: number[] = [];
    for (let last = false; !last;) {
      last = done;
      const segments = await first.readSegmentsAfter(batch.id, seen.at(-1) ?? 0, 7);
      seen.push(...segments.map(({ seq }) => seq));
      if (segments.length > 0) last = false;
    }
    await committing;
    expect(seen).toHaveLength(60);
  });

  it('cancel a batch or claim its chunks, one after the other: it is not finalized under a worker', async () => {
    const first = await postgres.openEmpty();
    const second = await openAt(postgres.url);
    for (let i = 0; i < 30; i++) {
      const batch = await startBatch(first, {}, chunksOf(3));
      const [claims] = await Promise.all([
        claim(first, { limit: 3 }),
        second.cancelBatch('ann', batch.id, T0),
      ]);
      const step = await second.claimBatchStep('w', T0);
      expect(step === null).toBe(claims.length > 0);
      await first.releaseChunks(claims.map(({ chunk }) => refOf(chunk)));
      if (step !== null) await second.releaseBatchStep(step.batch.id, step.epoch);
      await second.claimBatchStep('w', T0);
    }
  });
});

describe('transactions', () => {
  it('that are undone because of each other are made again', async () => {
    const db: Database = openPool({ url: postgres.url, maxConnections: 4, onLost() {} });
    onTestFinished(() => db.close());
    await db.exec('create table if not exists pairs (id integer primary key, n integer)');
    await db.exec('insert into pairs values (1, 0), (2, 0) on conflict (id) do update set n = 0');
    onTestFinished(async () => void (await postgres.query('drop table pairs')));
    const both = async (ids: readonly number[]) => {
      await db.transaction(async (sql) => {
        for (const id of ids) {
          await sql.run('update pairs set n = n + 1 where id = $1', id);
          await sql.get('select pg_sleep(0.02)');
        }
      });
    };
    await Promise.all([both([1, 2]), both([2, 1]), both([1, 2]), both([2, 1])]);
    expect(await db.all('select n from pairs order by id')).toEqual([{ n: 4 }, { n: 4 }]);
  });

  it.each(['requests', 'answers'] as const)(
    'whose network loses %s keeps nobody waiting for ever',
    async (lost) => {
      const url = new URL(postgres.url);
      const wire = await startWire(Number(url.port));
      onTestFinished(() => wire.close());
      url.port = String(wire.port);
      const db = openPool({ url: url.href, maxConnections: 2, onLost() {}, answerTimeoutMs: 300 });
      onTestFinished(() => db.close());
      const ask = async () => await db.get<{ readonly one: number }>('select 1 as one');
      expect(await ask()).toEqual({ one: 1 });
      wire.hold(lost);
      await expect(ask()).rejects.toMatchObject({ code: 'ECONNRESET' });
      wire.release();
      await expect.poll(ask).toEqual({ one: 1 });
    },
  );

  it('whose connection ends between two statements are told as storage that fails', async () => {
    const db = openPool({ url: postgres.url, maxConnections: 2, onLost() {} });
    onTestFinished(() => db.close());
    const ended = db.transaction(async (sql) => {
      const backend = await sql.get<{ readonly pid: number }>('select pg_backend_pid() as pid');
      await postgres.query(`select pg_terminate_backend(${backend?.pid})`);
      await expect
        .poll(async () => await postgres.query(`select from pg_stat_activity where pid = ${backend?.pid}`))
        .toEqual([]);
      await new Promise((resolve) => setImmediate(resolve));
      await sql.get('select');
    });
    await expect(ended).rejects.toMatchObject({ code: expect.stringMatching(/^E[A-Z0-9]+$/) as string });
  });

  it('ends what a stopped process holds locked', async () => {
    const db = openPool({ url: postgres.url, maxConnections: 2, onLost() {} });
    onTestFinished(() => db.close());
    const shown = await db.get<object>('show idle_in_transaction_session_timeout');
    expect(shown).toEqual({ idle_in_transaction_session_timeout: '10s' });
  });
});
