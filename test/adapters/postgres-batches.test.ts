import { expect, describe, it, onTestFinished } from 'vitest';
import { createBatchVerbs } from '../../src/adapters/postgres/batches.ts';
import { openPool } from '../../src/adapters/postgres/database.ts';
import type { Database } from '../../src/adapters/postgres/database.ts';
import { usePostgres } from '../helpers/postgres.ts';
import {
  aBatch,
  aFile,
  anEvent,
  batchIn,
  claimStepOf,
  finishOf,
  startBatch,
  T0,
} from '../helpers/store-fixtures.ts';

const postgres = usePostgres();

/** A database that runs `between` after each statement, before its answer is seen. */
function openWith(between: () => Promise<unknown>): Database {
  const db = openPool({ url: postgres.url, maxConnections: 1, onLost() {} });
  onTestFinished(() => db.close());
  return {
    ...db,
    async all(text, ...values) {
      const rows = await db.all<never>(text, ...values);
      await between();
      return rows;
    },
    async get(text, ...values) {
      const row = await db.get<never>(text, ...values);
      await between();
      return row;
    },
  };
}

describe('a batch that is read', () => {
  it('while it ends has the counts that belong to its state', async () => {
    const store = await postgres.openEmpty();
    const { id } = await batchIn(store, 'finalizing as completed');
    const step = await claimStepOf(store, id);
    let statements = 0;
    const db = openWith(async () => {
      // The first one has found the batch.
      if (++statements === 2) await store.finishBatch(finishOf(step, 'completed'));
    });
    const counts = { total: 4, completed: 4, failed: 0 };
    expect(await createBatchVerbs(db).getBatch('ann', id)).toMatchObject({ status: 'finalizing', counts });
    expect(await store.getBatch('ann', id)).toMatchObject({ status: 'completed', counts });
  });

  it('with others takes as many statements as alone', async () => {
    const store = await postgres.openEmpty();
    for (let i = 0; i < 5; i++) await startBatch(store);
    let statements = 0;
    const db = openWith(async () => statements++);
    expect((await createBatchVerbs(db).listBatches('ann', undefined, 10))?.data).toHaveLength(5);
    expect(statements).toBe(2);
  });
});

/** Begins `create`, does `remove` before it can commit, and lets both end. */
async function removeBeside<T>(create: () => Promise<unknown>, remove: () => Promise<T>): Promise<T> {
  const db = openPool({ url: postgres.url, maxConnections: 1, onLost() {} });
  onTestFinished(() => db.close());
  let ended = 0;
  const untilWaiting = async (count: number): Promise<void> => {
    const waiting = "select from pg_stat_activity where wait_event_type = 'Lock'";
    await expect.poll(async () => (await postgres.query(waiting)).length + ended).toBe(count);
  };
  const begin = async <R>(work: () => Promise<R>): Promise<R> => await work().finally(() => ended++);
  const { creating, removing } = await db.transaction(async (sql) => {
    // An event is the last that a create inserts.
    await sql.exec('lock table events in exclusive mode');
    const creating = begin(create);
    await untilWaiting(1);
    const removing = begin(remove);
    await untilWaiting(2);
    return { creating, removing };
  });
  await creating;
  return await removing;
}

describe('the input file of a batch that is being created', () => {
  it('is not removed', async () => {
    const store = await postgres.openEmpty();
    const file = aFile();
    await store.insertFile(file);
    const batch = aBatch({ inputFileId: file.id });
    const removed = await removeBeside(
      () => store.createBatch(batch, anEvent(batch, 'batch.queued')),
      () => store.deleteFile('ann', file.id, T0),
    );
    expect(removed).toEqual({ kind: 'in_use', batch: { id: batch.id, format: batch.format } });
  });

  it('is not removed where the create may be repeated', async () => {
    const store = await postgres.openEmpty();
    const file = aFile();
    await store.insertFile(file);
    const batch = aBatch({ inputFileId: file.id });
    const event = anEvent(batch, 'batch.queued');
    const removed = await removeBeside(
      () => store.submitBatch({ batch, event, inputFile: null, once: null, forgetUntil: T0 }),
      () => store.deleteFile('ann', file.id, T0),
    );
    expect(removed).toEqual({ kind: 'in_use', batch: { id: batch.id, format: batch.format } });
  });

  it('is not removed when it expires', async () => {
    const store = await postgres.openEmpty();
    const file = aFile({ expiresAt: T0 + 1 });
    await store.insertFile(file);
    const batch = aBatch({ inputFileId: file.id });
    const removed = await removeBeside(
      () => store.createBatch(batch, anEvent(batch, 'batch.queued')),
      () => store.expireFiles(T0 + 1, 10),
    );
    expect(removed).toEqual([]);
  });
});
