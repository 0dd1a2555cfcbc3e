/** Three workers of one database share a model's limit out, while they come and go. */
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createMemoryBlobStore, createMemoryResultLog } from '../../src/adapters/memory/index.ts';
import { openPostgresStore } from '../../src/adapters/postgres/index.ts';
import { createEngine } from '../../src/engine/index.ts';
import type { Engine, Outcome, Store, Upstream } from '../../src/engine/index.ts';
import { createWorker } from '../../src/worker/index.ts';
import { usePostgres } from '../helpers/postgres.ts';
import { answer } from '../helpers/scripted-upstream.ts';
import { inputLine, OWNER, submit } from '../helpers/test-engine.ts';

const postgres = usePostgres();

const LIMITS = new Map([
  ['large', 7],
  ['small', 2],
]);
const ANSWER_MS = 100;

/** A model server that counts its requests in flight. */
function createModelServer() {
  const open = new Map<string, number>();
  const peaks = new Map<string, number>();
  const add = (model: string, change: number): void => {
    const count = (open.get(model) ?? 0) + change;
    open.set(model, count);
    peaks.set(model, Math.max(count, peaks.get(model) ?? 0));
  };
  return {
    open: (model: string) => open.get(model) ?? 0,
    peak: (model: string) => peaks.get(model) ?? 0,
    /** The connections of one process; after `cut` none of its requests comes any more, nor its answers. */
    connect(): Upstream & { cut(): void } {
      const ends = new Set<() => void>();
      let gone = false;
      return {
        refuses: () => null,
        send({ model }, settle) {
          let settled = false;
          const end = (outcome: Outcome): void => {
            close();
            if (!settled) settle(outcome);
            settled = true;
          };
          const close = (): void => {
            clearTimeout(timer);
            if (ends.delete(close)) add(model, -1);
          };
          const timer = setTimeout(() => end(answer({})), ANSWER_MS);
          if (gone) {
            clearTimeout(timer);
          } else {
            ends.add(close);
            add(model, 1);
          }
          return () => setImmediate(end, { kind: 'aborted' });
        },
        cut() {
          gone = true;
          for (const close of ends) close();
        },
        close: async () => {},
      };
    },
  };
}

/** What a process sees of the database once it is abandoned: nothing. */
function abandonable(store: Store): { store: Store; abandon: () => void; workers: Set<string> } {
  let abandoned = false;
  const workers = new Set<string>();
  const seen = new Proxy(store, {
    get(target, name: keyof Store) {
      return async (...values: never[]) => {
        if (abandoned) throw new Error('no connection');
        if (name === 'renewLease') workers.add(String(values[0]));
        return await (target[name] as (...values: never[]) => Promise<unknown>)(...values);
      };
    },
  });
  return { store: seen, workers, abandon: () => void (abandoned = true) };
}

describe('workers over one PostgreSQL with models that have a limit', () => {
  it('never send more of them at a time together, use all of it, and go on where others come, stop and die', async () => {
    await (await postgres.openStore()).close();
    const blobs = createMemoryBlobStore();
    const results = createMemoryResultLog();
    const server = createModelServer();

    async function startProcess() {
      const opened = await openPostgresStore({ url: postgres.url, maxConnections: 3, onLost() {} });
      const { store, abandon, workers } = abandonable(opened);
      const upstream = server.connect();
      const engine: Engine = createEngine({ store, blobs, results, upstream, settings: { retryBaseMs: 1 } });
      const worker = createWorker({ engine, maxConcurrency: 32, modelConcurrency: LIMITS });
      await worker.start();
      const stopOnce = async () => {
        await worker.stop({ graceMs: 1000 }).catch(() => {});
        await opened.close();
      };
      let stopped: Promise<void> | null = null;
      const stop = async () => await (stopped ??= stopOnce());
      onTestFinished(stop);
      /** As a SIGKILL would, and half a minute later. */
      const die = async () => {
        abandon();
        upstream.cut();
        const [name] = workers;
        await postgres.query(
          `update workers set alive_until = now() - interval '1 second' where id = '${name}'`,
        );
      };
      return { engine, stop, die };
    }

    const first = await startProcess();
    const ids: string[] = [];
    for (const model of ['large', 'small', 'large', 'small', 'large']) {
      const lines = Array.from({ length: 2000 }, (_, i) => inputLine(`l${i}`, { model }));
      ids.push((await submit(first.engine, lines)).id);
    }
    const usesAll = async () =>
      await vi.waitFor(() => expect([server.open('large'), server.open('small')]).toEqual([7, 2]), {
        timeout: 30_000,
        interval: 1,
      });
    await usesAll();

    const second = await startProcess();
    const third = await startProcess();
    await vi.waitFor(
      async () => {
        const rows = await postgres.query<{ slots: number }>(
          'select slots from model_slots order by model, slots',
        );
        expect(rows.map(({ slots }) => slots)).toEqual([2, 2, 3, 0, 1, 1]);
      },
      { timeout: 40_000, interval: 100 },
    );
    await usesAll();
    await second.die();
    await vi.waitFor(
      async () => {
        const rows = await postgres.query<{ slots: number }>(
          'select slots from model_slots order by model, slots',
        );
        expect(rows.map(({ slots }) => slots)).toEqual([3, 4, 1, 1]);
      },
      { timeout: 40_000, interval: 100 },
    );
    await usesAll();
    await third.stop();
    for (const id of ids.slice(0, 2)) await first.engine.batches.cancel(OWNER, id);
    await usesAll();
    expect([server.peak('large'), server.peak('small')]).toEqual([7, 2]);
  }, 120_000);
});
