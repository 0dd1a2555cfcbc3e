/**
 * Engine and worker in this process, over a real database and real files, with a clock that the try moves: days pass in a
 * moment, and the worker looks for due webhooks exactly when it is told to.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import {
  createDiskBlobStore,
  createDiskResultLog,
  openDataFolder,
} from '../../../src/adapters/disk/index.ts';
import { openSqliteStore } from '../../../src/adapters/sqlite/index.ts';
import { createEngine } from '../../../src/engine/index.ts';
import type { Batch, Engine, Store, WebhookSender } from '../../../src/engine/index.ts';
import { createWorker } from '../../../src/worker/index.ts';
import type { FakeClock } from '../../helpers/fake-clock.ts';
import { createScriptedUpstream } from '../../helpers/scripted-upstream.ts';
import { inputLines, OWNER, submit } from '../../helpers/test-engine.ts';
import { isTerminal } from '../harness/ledger.ts';
import { SIGNING_SECRET } from '../harness/receiver.ts';
import type { Scope } from '../harness/scope.ts';

/** Real time, milliseconds: whatever the clock of the try says, the machine is not that slow. */
const PATIENCE_MS = 30_000;
/** So far the clock is moved on while a batch runs, milliseconds. */
const STEP_MS = 50;

export interface CourierOptions {
  readonly clock: FakeClock;
  readonly webhooks: WebhookSender;
  /** Default: a new one. */
  readonly dataDir?: string;
}

export interface Courier {
  readonly engine: Engine;
  readonly clock: FakeClock;
  /** Moves the clock to `time`, has the worker look, and resolves when all attempts that it began are recorded. */
  lookAt(time: number): Promise<void>;
  /** Moves the clock on by `ms` and leaves it to the worker whether it looks; resolves when it has, and as above. */
  tick(ms: number): Promise<void>;
  /** Runs a batch of a few lines to its end and answers it. Its webhook goes to `webhookUrl`. */
  runBatch(webhookUrl: string): Promise<Batch>;
  /** Stops and starts again over the same data, as after a SIGTERM. Answers the new one. */
  restart(): Promise<Courier>;
  /** Goes on with the data as it lies on the disk at this moment, as after a SIGKILL. Answers the new one. */
  crash(): Promise<Courier>;
}

/** Opens it; closed with the scope. */
export async function openCourier(scope: Scope, options: CourierOptions): Promise<Courier> {
  const { clock, webhooks } = options;
  const dataDir = options.dataDir ?? join(await scope.folder(), 'data');
  const folder = await openDataFolder({ path: dataDir });
  const { store, watch } = watchStore(openSqliteStore({ path: folder.databasePath }));
  const results = await createDiskResultLog({ folder });
  const engine = createEngine({
    store,
    blobs: await createDiskBlobStore({ folder }),
    results,
    upstream: createScriptedUpstream(),
    webhooks,
    clock,
    settings: { webhookSigningSecret: SIGNING_SECRET },
  });
  const worker = createWorker({ engine });
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (!isOpen) return;
    isOpen = false;
    await worker.stop();
    await results.close();
    await store.close();
    await folder.close();
  };
  scope.defer(close);
  await worker.start();

  const courier: Courier = {
    engine,
    clock,
    async lookAt(time) {
      clock.advance(time - clock.now());
      const before = watch.looks;
      engine.context.wake();
      // The look that was under way may have been for an earlier time: the one after it counts.
      await until(() => watch.looks > before && watch.lastLookAt >= time && watch.open === 0);
    },
    async tick(ms) {
      const before = watch.looks;
      clock.advance(ms);
      // Until both timers of the worker are set again: the one of its lease, and the one of its next look.
      await until(() => watch.looks > before && clock.timers > 1 && watch.open === 0);
    },
    async runBatch(webhookUrl) {
      const { id } = await submit(engine, inputLines(3), { webhookUrl });
      for (;;) {
        const batch = await engine.batches.get(OWNER, id);
        if (isTerminal(batch.status)) return batch;
        await turn();
        clock.advance(STEP_MS);
      }
    },
    async restart() {
      await close();
      return await openCourier(scope, { ...options, dataDir });
    },
    async crash() {
      const copy = join(await scope.folder(), 'data');
      // Another process: closing a file here would free the locks that SQLite has on it.
      spawnSync('cp', ['-R', dataDir, copy]);
      await close();
      return await openCourier(scope, { ...options, dataDir: copy });
    },
  };
  return courier;
}

interface StoreWatch {
  /** How often the worker has looked for due deliveries. */
  readonly looks: number;
  /** The time of the last look. */
  readonly lastLookAt: number;
  /** Deliveries that are claimed and neither settled nor given back. */
  readonly open: number;
}

function watchStore(store: Store): { readonly store: Store; readonly watch: StoreWatch } {
  const watch = { looks: 0, lastLookAt: 0, open: 0 };
  return {
    watch,
    store: {
      ...store,
      async claimDeliveries(...query) {
        const due = await store.claimDeliveries(...query);
        watch.open += due.length;
        watch.looks++;
        watch.lastLookAt = query[1];
        return due;
      },
      async settleDelivery(...settled) {
        const fenced = await store.settleDelivery(...settled);
        watch.open--;
        return fenced;
      },
      async releaseDeliveries(deliveries) {
        await store.releaseDeliveries(deliveries);
        watch.open -= deliveries.length;
      },
    },
  };
}

/** Resolves when the fact is one; asks after each turn of the event loop. */
export async function until(isSo: () => boolean): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!isSo()) {
    if (performance.now() > end) throw new Error(`waited ${PATIENCE_MS} ms in vain for the worker`);
    await turn();
  }
}
