import { openDataFolder } from '../src/adapters/disk/index.ts';
import { openSqliteStore } from '../src/adapters/sqlite/index.ts';
import { createEngine, finalizeBatch } from '../src/engine/index.ts';
import { createMemoryStorage } from '../src/adapters/memory/index.ts';
import { createEchoUpstream } from '../src/adapters/upstream/index.ts';

/** Fills the database of a data folder with batches that have ended. */
export async function createFinishedBatches(path: string, count: number): Promise<void> {
  const folder = await openDataFolder({ path });
  const store = openSqliteStore({ path: folder.databasePath });
  try {
    const { blobs, results } = createMemoryStorage();
    const engine = createEngine({ store, blobs, results, upstream: createEchoUpstream() });
    for (let i = 0; i < count; i++) {
      const { id } = await engine.batches.create({
        owner: 'default',
        inputFileId: 'file-unknown',
        endpoint: '/v1/chat/completions',
        completionWindow: '24h',
        metadata: { number: String(i) },
      });
      await store.cancelBatch('default', id, Date.now());
      const step = await store.claimBatchStep('bench', Date.now());
      if (step === null) throw new Error(`${id} cannot be ended`);
      await finalizeBatch(engine.context, step, new AbortController().signal);
    }
  } finally {
    await store.close();
    await folder.close();
  }
}
