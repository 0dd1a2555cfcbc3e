/** Several nodes in one process, over one PostgreSQL database and shared files. */
import { onTestFinished } from 'vitest';
import { createMemoryBlobStore, createMemoryResultLog } from '../../src/adapters/memory/index.ts';
import { listenForHints, openPostgresStore } from '../../src/adapters/postgres/index.ts';
import { createEngine, systemClock } from '../../src/engine/index.ts';
import type { BlobStore, Clock, Engine, EngineSettings, Store, Upstream } from '../../src/engine/index.ts';
import { createWorker } from '../../src/worker/index.ts';
import type { Worker } from '../../src/worker/index.ts';

/** No timer waits longer than this, so that leases are renewed, and taken over, within a test. Milliseconds. */
const LONGEST_WAIT_MS = 300;

export interface Node {
  readonly engine: Engine;
  /** As if the process had been killed: nothing of it is heard or done any more. */
  die(): void;
}

export interface WorkerNode extends Node {
  readonly worker: Worker;
}

export interface Cluster {
  /** A node that takes requests and works on nothing. */
  startApi(): Promise<Node>;
  /** A node that works. `hints`: it hears of creates and cancels, over this URL of the database. */
  startWorker(options?: { readonly hints?: string }): Promise<WorkerNode>;
}

/** Nodes over the database at `url`, all of which call `upstream`. They end with the test. */
export function createCluster(options: {
  readonly url: string;
  readonly upstream: Upstream;
  readonly maxConcurrency?: number;
  readonly settings?: Partial<EngineSettings>;
}): Cluster {
  const { url, upstream, maxConcurrency = 8, settings } = options;
  const blobs = withOwnKeys(createMemoryBlobStore());
  const results = createMemoryResultLog();

  async function startNode(): Promise<Node> {
    const store = await openPostgresStore({ url, maxConnections: 4, onLost() {} });
    onTestFinished(() => store.close());
    const life: Life = { ended: false };
    const engine = createEngine({
      store: mortalStore(store, life),
      blobs,
      results,
      upstream: mortalUpstream(upstream, life),
      clock: mortalClock(life),
      settings: { retryBaseMs: 1, ...settings },
    });
    return {
      engine,
      die() {
        life.ended = true;
      },
    };
  }

  return {
    startApi: startNode,
    async startWorker({ hints: hintsUrl } = {}) {
      const node = await startNode();
      const worker = createWorker({ engine: node.engine, maxConcurrency });
      await worker.start();
      let dead = false;
      onTestFinished(async () => {
        if (!dead) await worker.stop();
      });
      if (hintsUrl !== undefined) {
        const hints = listenForHints({ url: hintsUrl, onHint: node.engine.context.wake, onLost() {} });
        onTestFinished(() => hints.close());
      }
      return {
        ...node,
        worker,
        die() {
          dead = true;
          node.die();
        },
      };
    },
  };
}

/** Blobs as a store keeps them that processes share: no key is used twice, also for equal bytes. */
function withOwnKeys(blobs: BlobStore): BlobStore {
  /** The key in `blobs` of each key that was given out. */
  const keys = new Map<string, string>();
  let count = 0;
  const find = (key: string): string => keys.get(key) ?? key;
  return {
    async create() {
      const writer = await blobs.create();
      let own = '';
      let inner = '';
      return {
        write: (bytes) => writer.write(bytes),
        async seal() {
          const ref = await writer.seal();
          inner = ref.key;
          own = `${inner}-${++count}`;
          return { ...ref, key: own };
        },
        async publish() {
          await writer.publish();
          keys.set(own, inner);
        },
        discard: () => writer.discard(),
      };
    },
    read: (key, range) => blobs.read(find(key), range),
    readRange: (key, start, length) => blobs.readRange(find(key), start, length),
    async delete(key) {
      const inner = find(key);
      keys.delete(key);
      if (![...keys.values()].includes(inner)) await blobs.delete(inner);
    },
    // None is old enough that it must have its row.
    async *list() {},
    removeAbandoned: async () => 0,
  };
}

interface Life {
  ended: boolean;
}

/** Calls of a dead node come to nothing, and to no end. */
function mortalStore(store: Store, life: Life): Store {
  return new Proxy(store, {
    get(target, name: keyof Store) {
      const verb = target[name].bind(target) as (...args: unknown[]) => Promise<unknown>;
      return async (...args: unknown[]): Promise<unknown> => {
        const result = life.ended ? null : await verb(...args);
        if (life.ended) await new Promise(() => {});
        return result;
      };
    },
  });
}

function mortalUpstream(upstream: Upstream, life: Life): Upstream {
  return {
    ...upstream,
    send: (request, settle) =>
      upstream.send(request, (outcome) => {
        if (!life.ended) settle(outcome);
      }),
  };
}

function mortalClock(life: Life): Clock {
  return {
    ...systemClock,
    after: (ms, fn) =>
      systemClock.after(Math.min(ms, LONGEST_WAIT_MS), () => {
        if (!life.ended) fn();
      }),
  };
}
