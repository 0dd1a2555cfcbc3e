import { expect, describe, it, onTestFinished } from 'vitest';
import { createBatchVerbs } from '../../src/adapters/postgres/batches.ts';
import { openPool } from '../../src/adapters/postgres/database.ts';
import type { Database } from '../../src/adapters/postgres/database.ts';
import type { Store } from '../../src/engine/ports.ts';
import { usePostgres } from '../helpers/postgres.ts';
import { batchIn, claimStepOf, finishOf, startBatch } from '../helpers/store-fixtures.ts';

const postgres = usePostgres();

async function openEmpty(): Promise<Store> {
  const store = await postgres.openStore();
  onTestFinished(() => store.close());
  return store;
}

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
    const store = await openEmpty();
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
    const store = await openEmpty();
    for (let i = 0; i < 5; i++) await startBatch(store);
    let statements = 0;
    const db = openWith(async () => statements++);
    expect((await createBatchVerbs(db).listBatches('ann', undefined, 10))?.data).toHaveLength(5);
    expect(statements).toBe(2);
  });
});
