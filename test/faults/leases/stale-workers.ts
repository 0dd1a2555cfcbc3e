/**
 * A worker is frozen in the middle of a write; another one takes its work over; the first one goes on where it was. Two
 * workers in this process, for a data folder lets no second process in: what is tried is the fence of each write.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  createDiskBlobStore,
  createDiskResultLog,
  openDataFolder,
} from '../../../src/adapters/disk/index.ts';
import { createFunctionUpstream } from '../../../src/adapters/memory/index.ts';
import { openSqliteStore } from '../../../src/adapters/sqlite/index.ts';
import { createEngine, isTerminal } from '../../../src/engine/index.ts';
import type { Batch, Engine, EngineParts, Store } from '../../../src/engine/index.ts';
import { createWorker } from '../../../src/worker/index.ts';
import { inputLine, OWNER, readResults, submit } from '../../helpers/test-engine.ts';
import type { Fault } from '../harness/fault.ts';
import type { Scope } from '../harness/scope.ts';
import { waitFor } from '../harness/wait.ts';
import { FREEZABLE, freezeStore } from './frozen-store.ts';
import type { Freezable } from './frozen-store.ts';

const LINES = 600;
const MODELS = 2;
const CONCURRENCY = 16;
/** Some 60 lines are answered while one commit gathers. */
const ANSWER_MS = 5;

interface Case {
  readonly verb: Freezable;
  /** Calls of the verb that succeed before the worker is frozen. */
  readonly passed: number;
  /** How many answers the other worker has got when the frozen one goes on; `end`: when the batch has ended. */
  readonly thawAt: number | 'end';
}

export const staleWorkers: Fault = {
  family: 'leases',
  name: 'a worker goes on after another one has taken its work: it can write nothing',
  async run(trials) {
    const { random, quick } = trials;
    const fixed: Case[] = [
      { verb: 'startBatch', passed: 0, thawAt: 0 },
      ...FREEZABLE.map((verb): Case => ({ verb, passed: 0, thawAt: 'end' })),
    ];
    const drawn = Array.from({ length: quick ? 4 : 60 }, (): Case => ({
      verb: 'commitSegments',
      passed: random.between(0, 5),
      // Mostly before the other one has stored a result of those very lines: then nothing but the fence can refuse them.
      thawAt: random.pick([0, 0, 1, 2, random.between(3, LINES / 2)]),
    }));
    await trials.each([...fixed, ...drawn], async (one) => {
      await trials.attempt(`frozen in ${one.verb} after ${one.passed}, thawed at ${one.thawAt}`, (scope) =>
        tryStaleWorker(scope, one),
      );
    });
  },
};

async function tryStaleWorker(scope: Scope, { verb, passed, thawAt }: Case): Promise<void> {
  const storage = await openStorage(scope);
  const frozen = freezeStore(storage.store, verb, passed);
  const stale = await startWorker(scope, { ...storage, store: frozen.store }, 'stale');
  // Before its worker is stopped, which waits for its writes.
  scope.defer(() => frozen.thaw());
  const lines = Array.from({ length: LINES }, (_, i) => inputLine(`line-${i}`, { model: `m${i % MODELS}` }));
  const batch = await submit(stale.engine, lines);
  await waitFor('the worker is frozen', () => frozen.isFrozen);

  const successor = await startWorker(scope, storage, 'successor');
  const hasEnded = async (): Promise<boolean> => isTerminal((await getBatch(successor.engine, batch)).status);
  await waitFor('the moment to thaw', async () =>
    thawAt === 'end' ? await hasEnded() : successor.sent() >= thawAt || (await hasEnded()),
  );
  await frozen.thaw();
  assert.deepEqual([...new Set(frozen.answers)], ['lost'], 'what the late writes were answered');
  await waitFor('the batch ends', hasEnded);
  await checkResults(successor.engine, storage.store, batch);
}

async function openStorage(scope: Scope): Promise<Pick<EngineParts, 'store' | 'blobs' | 'results'>> {
  const folder = await openDataFolder({ path: join(await scope.folder(), 'data') });
  scope.defer(() => folder.close());
  const store = openSqliteStore({ path: folder.databasePath });
  scope.defer(() => store.close());
  const results = await createDiskResultLog({ folder });
  scope.defer(() => results.close());
  return { store, blobs: await createDiskBlobStore({ folder }), results };
}

/** An engine and its worker, whose upstream signs its answers with `name`; stopped with the scope. */
async function startWorker(
  scope: Scope,
  storage: Pick<EngineParts, 'store' | 'blobs' | 'results'>,
  name: string,
) {
  let sent = 0;
  const upstream = createFunctionUpstream(async ({ body }) => {
    sent++;
    await sleep(ANSWER_MS);
    return { status: 200, body: { by: name, echo: body } };
  });
  const engine = createEngine({ ...storage, upstream });
  const worker = createWorker({ engine, maxConcurrency: CONCURRENCY });
  scope.defer(() => worker.stop());
  await worker.start();
  return { engine, sent: () => sent };
}

const getBatch = async (engine: Engine, { id }: Batch): Promise<Batch> => await engine.batches.get(OWNER, id);

/** Each line has one result, which is the answer to it, and both files resolve. */
async function checkResults(engine: Engine, store: Store, created: Batch): Promise<void> {
  const batch = await getBatch(engine, created);
  assert.equal(batch.status, 'completed');
  assert.deepEqual(batch.counts, { total: LINES, completed: LINES, failed: 0 });
  assert.equal(batch.errorFileId, null);
  const results = await readResults(engine, batch.outputFileId);
  assert.deepEqual(
    results.map(({ custom_id }) => custom_id),
    Array.from({ length: LINES }, (_, i) => `line-${i}`),
  );
  for (const { custom_id, response } of results) {
    const body = response?.body as { readonly echo: { readonly n: string } } | undefined;
    assert.equal(body?.echo.n, custom_id, 'the line that was answered');
  }
  assert.deepEqual(await store.readChunks(batch.id, 0, 1), [], 'chunks that are left');
}
