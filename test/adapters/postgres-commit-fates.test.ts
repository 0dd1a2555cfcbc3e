/** Commits of which nobody hears what became of them. */
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createCommitFates } from '../../src/adapters/postgres/commit-fates.ts';
import type { DatabaseOptions } from '../../src/adapters/postgres/database.ts';
import { openPostgresStore } from '../../src/adapters/postgres/index.ts';
import type { Store } from '../../src/engine/ports.ts';
import { usePostgres } from '../helpers/postgres.ts';
import { aBatch, anEvent, claim, claimOne, startBatch, T0, wholeSegment } from '../helpers/store-fixtures.ts';
import { startTcpProxy } from '../helpers/tcp-proxy.ts';
import type { Fate } from '../helpers/tcp-proxy.ts';

const postgres = usePostgres();

/** The message that ends a transaction, as the driver sends it. */
const COMMIT = Buffer.from('commit\0');

type Limits = Partial<Pick<DatabaseOptions, 'maxConnections' | 'maxDoubtMs'>>;

/** A store of which `judge` decides what becomes of commits, and `judgeRest` of all else. */
async function openThroughProxy(
  judge: () => Fate,
  limits: Limits = {},
  judgeRest: () => Fate = () => 'pass',
): Promise<Store> {
  const { hostname: host, port } = new URL(postgres.url);
  const proxy = await startTcpProxy({ host, port: Number(port) }, (bytes) =>
    bytes.includes(COMMIT) ? judge() : judgeRest(),
  );
  onTestFinished(() => proxy.close());
  const url = new URL(postgres.url);
  url.port = String(proxy.port);
  const store = await openPostgresStore({ url: url.href, maxConnections: 4, onLost() {}, ...limits });
  onTestFinished(() => store.close());
  return store;
}

async function openEmpty(): Promise<Store> {
  const store = await postgres.openStore();
  onTestFinished(() => store.close());
  return store;
}

describe('a commit whose answer is lost', () => {
  it('is found out: what was stored is answered as stored, and stored once', async () => {
    await openEmpty();
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
    await openEmpty();
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
    await openEmpty();
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

/** A store, and a database that goes away with a commit, which is made, for longer than anybody waits. */
async function openLeaving() {
  const direct = await openEmpty();
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
  function setUp(answers: (string | null | Error)[]) {
    const asked: string[] = [];
    const fates = createCommitFates({
      async ask(xid) {
        asked.push(xid);
        const answer = answers.length > 1 ? answers.shift() : answers[0];
        if (answer instanceof Error) throw answer;
        return answer;
      },
      maxMs: 300,
    });
    onTestFinished(() => fates.close());
    return { fates, asked };
  }

  it('is asked for until it is known, or for as long as a caller may wait', async () => {
    const { fates, asked } = setUp([new Error('away'), 'in progress', 'committed']);
    expect(await fates.find('7')).toBe('committed');
    expect(asked).toEqual(['7', '7', '7']);
    expect(await setUp(['aborted']).fates.find('8')).toBe('aborted');
    expect(await setUp(['in progress']).fates.find('9')).toBe('unknown');
  });

  it('that comes out late has undone what was committed, in as many tries as it takes', async () => {
    const { fates } = setUp([new Error('away'), 'in progress', 'committed']);
    const undo = vi.fn<() => Promise<void>>(async () => {});
    undo.mockRejectedValueOnce(new Error('away again'));
    fates.undoLate('7', undo);
    await vi.waitFor(() => expect(undo).toHaveBeenCalledTimes(2), 10_000);
    await fates.close();
    expect(undo).toHaveBeenCalledTimes(2);
  });

  it('that was not made has nothing undone, for others may hold the same under the same epoch by now', async () => {
    const { fates, asked } = setUp(['aborted', 'committed']);
    const undo = vi.fn<() => Promise<void>>(async () => {});
    fates.undoLate('7', undo);
    await fates.close();
    expect(asked).toEqual(['7']);
    expect(undo).not.toHaveBeenCalled();
  });
});
