/** Commits of which nobody hears what became of them. */
import pg from 'pg';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createCommitFates } from '../../src/adapters/postgres/commit-fates.ts';
import { commitMarked, wasCommitted } from '../../src/adapters/postgres/commit-marks.ts';
import type { CommitMark } from '../../src/adapters/postgres/commit-marks.ts';
import { openPool } from '../../src/adapters/postgres/database.ts';
import type { DatabaseOptions } from '../../src/adapters/postgres/database.ts';
import { openPostgresStore } from '../../src/adapters/postgres/index.ts';
import type { Store } from '../../src/engine/ports.ts';
import { startPostgresServer } from '../helpers/postgres-server.ts';
import { usePostgres } from '../helpers/postgres.ts';
import { aBatch, anEvent, claim, claimOne, startBatch, T0, wholeSegment } from '../helpers/store-fixtures.ts';
import { startTcpProxy } from '../helpers/tcp-proxy.ts';
import type { Fate } from '../helpers/tcp-proxy.ts';

const postgres = usePostgres();
const POOL = { maxConnections: 1, onLost() {} };

/** The message that ends a transaction, as the driver sends it. */
const COMMIT = Buffer.from('commit\0');

type Limits = Partial<Pick<DatabaseOptions, 'maxConnections' | 'maxDoubtMs'>>;

/** A store of which `judge` decides what becomes of commits, and `judgeRest` of all else. */
async function openThroughProxy(
  judge: () => Fate,
  limits: Limits = {},
  judgeRest: () => Fate = () => 'pass',
  databaseUrl = postgres.url,
): Promise<Store> {
  const { hostname: host, port } = new URL(databaseUrl);
  const proxy = await startTcpProxy({ host, port: Number(port) }, (bytes) =>
    bytes.includes(COMMIT) ? judge() : judgeRest(),
  );
  onTestFinished(() => proxy.close());
  const url = new URL(databaseUrl);
  url.port = String(proxy.port);
  const store = await openPostgresStore({ url: url.href, maxConnections: 4, onLost() {}, ...limits });
  onTestFinished(() => store.close());
  return store;
}

describe('a commit whose answer is lost', () => {
  it('is found out: what was stored is answered as stored, and stored once', async () => {
    await postgres.openEmpty();
    const fates: Fate[] = [];
    const store = await openThroughProxy(() => fates.shift() ?? 'pass');
    fates.push('cut after');
    const batch = aBatch();
    expect(await store.createBatch(batch, anEvent(batch, 'batch.queued', T0))).toEqual({ kind: 'ok' });
    expect(fates).toEqual([]);
    expect((await store.listBatches('ann', undefined, 10))?.data.map(({ id }) => id)).toEqual([batch.id]);
    expect(await store.readBatchEvents(batch.id)).toHaveLength(1);
  });

  it('that never came to the database is answered as a failure, and nothing is stored', async () => {
    await postgres.openEmpty();
    const fates: Fate[] = [];
    const store = await openThroughProxy(() => fates.shift() ?? 'pass');
    fates.push('cut before');
    const batch = aBatch();
    await expect(store.createBatch(batch, anEvent(batch, 'batch.queued', T0))).rejects.toMatchObject({
      code: expect.stringMatching(/^E[A-Z0-9]+$/),
    });
    expect((await store.listBatches('ann', undefined, 10))?.data).toEqual([]);
  });

  it('is found out also where all connections are lost during commits', async () => {
    await postgres.openEmpty();
    const fates: Fate[] = [];
    const store = await openThroughProxy(() => fates.shift() ?? 'pass', { maxConnections: 2 });
    fates.push('cut after', 'cut after');
    const batches = [aBatch(), aBatch()];
    const created = batches.map((batch) => store.createBatch(batch, anEvent(batch, 'batch.queued', T0)));
    expect(await Promise.all(created)).toEqual([{ kind: 'ok' }, { kind: 'ok' }]);
    expect(fates).toEqual([]);
    expect((await store.listBatches('ann', undefined, 10))?.data).toHaveLength(2);
  });
});

describe('a commit that is still on its way when it is asked for', () => {
  const first = { id: 'a', number: 1 };
  const later = { id: 'a', number: 2 };

  it.each([
    ['the first one of its connection', first],
    ['another one', later],
  ])('is not made any more: %s', async (_which, mark) => {
    await postgres.openEmpty();
    const [slow, other] = [new pg.Client(postgres.url), openPool({ url: postgres.url, ...POOL })];
    onTestFinished(async () => void (await Promise.all([slow.end(), other.close()])));
    await slow.connect();
    if (mark === later) {
      await slow.query('begin; select pg_current_xact_id()');
      await slow.query(commitMarked(first));
      expect(await wasCommitted(other, first)).toBe(true);
    }
    await slow.query("begin; insert into turns (task, taken_at) values ('t', now())");
    expect(await wasCommitted(other, mark)).toBe(false);
    await expect(slow.query(commitMarked(mark))).rejects.toMatchObject({ code: '23514' });
    await slow.query('rollback');
    expect(await postgres.query('select from turns')).toEqual([]);
    expect(await wasCommitted(other, mark)).toBe(false);
  });

  it('and has written nothing costs no mark', async () => {
    await postgres.openEmpty();
    const db = openPool({ url: postgres.url, ...POOL });
    onTestFinished(() => db.close());
    await db.transaction((sql) => sql.all('select from turns'));
    expect(await postgres.query('select from commit_marks')).toEqual([]);
    await db.transaction((sql) => sql.run("insert into turns (task, taken_at) values ('t', now())"));
    expect(await postgres.query('select number from commit_marks')).toEqual([{ number: '2' }]);
  });
});

describe('a commit that a crash of PostgreSQL undid', () => {
  it('is not taken for one that was made since, to which PostgreSQL gave the same number', async () => {
    // Nothing is written to the disk but by commits, so that the crash forgets what was not committed.
    const server = await startPostgresServer(['wal_writer_delay=10s']);
    onTestFinished(() => server.stop());
    let isAway = false;
    const cut = (): Fate => (isAway ? 'cut before' : 'pass');
    const leave = (): Fate => {
      isAway = true;
      return 'cut before';
    };
    let isLeaving = false;
    const store = await openThroughProxy(() => (isLeaving ? leave() : cut()), {}, cut, server.url);
    isLeaving = true;
    const batch = aBatch();
    const created = store
      .createBatch(batch, anEvent(batch, 'batch.queued', T0))
      .catch((error: unknown) => error);
    await expect.poll(() => isAway).toBe(true);
    await server.restart('SIGQUIT');
    const others = await openPostgresStore({ url: server.url, maxConnections: 1, onLost() {} });
    onTestFinished(() => others.close());
    for (let i = 0; i < 10; i++) {
      const other = aBatch({ owner: 'bob' });
      await others.createBatch(other, anEvent(other, 'batch.queued', T0));
    }
    [isLeaving, isAway] = [false, false];
    expect(await created).toMatchObject({ code: 'ECONNRESET' });
    expect((await others.listBatches('ann', undefined, 10))?.data).toEqual([]);
  });
});

/** A store, and a database that goes away with a commit, which is made, for longer than anybody waits. */
async function openLeaving() {
  const direct = await postgres.openEmpty();
  const state = { leaves: false, isAway: false };
  const judge = (): Fate => {
    if (!state.leaves) return state.isAway ? 'cut before' : 'pass';
    state.leaves = false;
    state.isAway = true;
    return 'cut after';
  };
  const store = await openThroughProxy(judge, { maxDoubtMs: 200 }, () =>
    state.isAway ? 'cut before' : 'pass',
  );
  return { direct, store, state };
}

/** What workers hold of each kind. */
const CLAIMS: Readonly<Record<string, readonly [claim: (store: Store) => Promise<unknown>, held: string]>> = {
  chunks: [(store) => claim(store), `select from chunks where state = 'claimed'`],
  steps: [(store) => store.claimBatchStep('w', T0), 'select from batches where step_worker is not null'],
  deliveries: [
    (store) => store.claimDeliveries('w', T0, 10),
    'select from deliveries where worker is not null',
  ],
};

describe('a claim whose worker never hears of it', () => {
  it.each(Object.keys(CLAIMS))('is given back when the database is back: %s', async (kind) => {
    const [claimIt, held] = CLAIMS[kind] ?? expect.unreachable();
    const { direct, store, state } = await openLeaving();
    await startBatch(direct);
    const batch = aBatch();
    await direct.createBatch(batch, anEvent(batch, 'batch.queued', T0, ['https://a.example']));
    state.leaves = true;
    await expect(claimIt(store)).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(await postgres.query(held)).toHaveLength(1);
    state.isAway = false;
    await expect.poll(async () => await postgres.query(held), { timeout: 10_000 }).toEqual([]);
  });

  it('keeps no batch from its end, and counts as no crash', async () => {
    const { direct, store, state } = await openLeaving();
    const { id } = await startBatch(direct);
    state.leaves = true;
    await expect(claim(store)).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(await claim(direct)).toEqual([]);
    state.isAway = false;
    const again = await vi.waitFor(() => claimOne(direct), 10_000);
    expect(again).toMatchObject({ epoch: 2, crashes: 0 });
    await direct.commitSegments([wholeSegment(again)], T0);
    expect(await direct.getBatch('ann', id)).toMatchObject({ status: 'finalizing' });
  });
});

describe('the fate of a commit', () => {
  const MARK = { id: 'a', number: 7 };

  function setUp(answers: (boolean | Error)[]) {
    const asked: CommitMark[] = [];
    const fates = createCommitFates({
      async ask(mark) {
        asked.push(mark);
        const answer = answers.length > 1 ? answers.shift() : answers[0];
        if (typeof answer !== 'boolean') throw answer;
        return answer;
      },
      maxMs: 300,
    });
    onTestFinished(() => fates.close());
    return { fates, asked };
  }

  it('is asked for until it is known, or for as long as a caller may wait', async () => {
    const { fates, asked } = setUp([new Error('away'), new Error('under way'), true]);
    expect(await fates.find(MARK)).toBe('committed');
    expect(asked).toEqual([MARK, MARK, MARK]);
    expect(await setUp([false]).fates.find(MARK)).toBe('aborted');
    expect(await setUp([new Error('away')]).fates.find(MARK)).toBe('unknown');
  });

  it('that comes out late has undone what was committed, in as many tries as it takes', async () => {
    const { fates } = setUp([new Error('away'), true]);
    const undo = vi.fn<() => Promise<void>>(async () => {});
    undo.mockRejectedValueOnce(new Error('away again'));
    fates.undoLate(MARK, undo);
    await vi.waitFor(() => expect(undo).toHaveBeenCalledTimes(2), 10_000);
    await fates.close();
    expect(undo).toHaveBeenCalledTimes(2);
  });

  it('that was not made has nothing undone, for others may hold the same under the same epoch by now', async () => {
    const { fates, asked } = setUp([false, true]);
    const undo = vi.fn<() => Promise<void>>(async () => {});
    fates.undoLate(MARK, undo);
    await fates.close();
    expect(asked).toEqual([MARK]);
    expect(undo).not.toHaveBeenCalled();
  });
});
