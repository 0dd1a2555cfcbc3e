import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createMemoryStore } from '../../src/adapters/memory/store.ts';
import { openSqliteStore } from '../../src/adapters/sqlite/index.ts';
import type { Delivery } from '../../src/engine/webhooks/event.ts';
import { NO_LIMITS } from '../../src/engine/owners/owner.ts';
import type { OwnerLimits } from '../../src/engine/owners/owner.ts';
import type { BatchStep, ChunkClaim, Store } from '../../src/engine/ports.ts';
import { FAILING_AFTER_MS } from '../../src/engine/webhooks/webhook-endpoint.ts';
import { anUpload, aPart } from '../contracts/store-uploads.ts';
import {
  aBatch,
  anApiKey,
  aChunk,
  aFile,
  anEvent,
  anOwner,
  aSegment,
  claim,
  failOf,
  finishOf,
  hashOf,
  refOf,
  startOf,
  T0,
  withPlainBytes,
} from '../helpers/store-fixtures.ts';
import { anEndpoint, DELIVERED, FAILED, GONE, retryAt } from '../helpers/webhook-fixtures.ts';

/** Two stores that are told the same, and what they answered so far. */
interface World {
  /** Does the same on both stores; fails where they answer differently, else answers what both did. */
  readonly both: <T>(verb: (store: Store, side: 0 | 1) => Promise<T>) => Promise<readonly [T, T] | null>;
  readonly batches: string[];
  readonly files: string[];
  readonly keys: string[];
  /** The hashes of all secrets that any key had. */
  readonly secrets: string[];
  readonly uploads: string[];
  readonly steps: BatchStep[];
  readonly claims: ChunkClaim[];
  /** The ids of deliveries are random, hence one of each store. */
  readonly deliveries: (readonly [Delivery, Delivery])[];
  readonly endpoints: string[];
}

/** One of the items, or undefined where there are none. Old ones stay: fences are to hold. */
function pick<T>(items: readonly T[], n: number): T | undefined {
  return items[items.length - 1 - (n % Math.max(1, Math.min(items.length, 5)))];
}

/** Limits that are met now and then. */
function limitsOf(n: number): OwnerLimits | undefined {
  if (n % 3 > 0) return undefined;
  return {
    ...NO_LIMITS,
    maxLiveBatches: 2 + (n % 4),
    maxQueuedLines: n % 2 === 0 ? 9 : null,
    maxStoredBytes: 60,
  };
}

type Action = (world: World, n: number, m: number) => Promise<unknown>;

const BATCH_ACTIONS: Readonly<Record<string, Action>> = {
  async create({ both, batches }, n, m) {
    const format = n % 3 === 0 ? 'anthropic' : 'openai';
    const counts = { total: m % 5, completed: 0, failed: 0 };
    const times = { createdAt: T0 + (m % 2), expiresAt: T0 + 10 + (m % 4) };
    const owner = n % 4 === 0 ? 'bob' : 'ann';
    const batch = aBatch({ ...times, owner, priority: n % 2, format, counts });
    const event = anEvent(batch, 'batch.queued', T0 + (m % 3), ['http://a', 'http://b'].slice(0, n % 3));
    batches.push(batch.id);
    await both((store) => store.createBatch(batch, event, limitsOf(n)));
  },
  async claimStep({ both, steps }) {
    const step = await both((store) => store.claimBatchStep('worker', T0));
    if (step?.[0] != null) steps.push(step[0]);
  },
  async start({ both, steps }, n, m) {
    const step = pick(steps, n);
    if (step === undefined) return;
    const chunks = Array.from({ length: 1 + (m % 5) }, (_, number) =>
      aChunk(number, { model: 'aab'[(m + number) % 3] ?? 'a', lineCount: 1 + ((m + number) % 3) }),
    );
    const start = startOf(step, { chunks, limits: limitsOf(n) });
    await both((store) => store.startBatch(start));
  },
  async fail({ both, steps }, n) {
    const step = pick(steps, n);
    if (step === undefined) return;
    const fail = failOf(step);
    await both((store) => store.failBatch(fail));
  },
  async finish({ both, steps }, n, m) {
    const step = pick(steps, n);
    if (step === undefined) return;
    const right = step.batch.status === 'cancelling' ? 'cancelled' : (step.batch.ending ?? 'completed');
    const end = m % 4 === 0 ? 'expired' : right;
    const finish = finishOf(step, end, {
      unfinished: n % 3,
      outputFile: m % 2 === 0 ? aFile({ filename: end }) : null,
    });
    await both((store) => store.finishBatch(finish));
  },
  async releaseStep({ both, steps }, n) {
    const step = pick(steps, n);
    if (step !== undefined) await both((store) => store.releaseBatchStep(step.batch.id, step.epoch));
  },
  async cancel({ both, batches }, n, m) {
    const id = pick(batches, n) ?? 'batch_unknown';
    await both((store) => store.cancelBatch(m % 9 === 0 ? 'bob' : 'ann', id, T0 + 5));
  },
  async delete({ both, batches }, n, m) {
    const id = pick(batches, n) ?? 'batch_unknown';
    await both((store) => store.deleteBatch(m % 9 === 0 ? 'bob' : 'ann', id));
  },
  async listBefore({ both, batches }, n, m) {
    const id = pick(batches, n) ?? 'batch_unknown';
    await both((store) =>
      store.listBatchesBefore('ann', id, 1 + (m % 4), n % 2 === 0 ? 'openai' : 'anthropic'),
    );
  },
  async putOwner({ both }, n, m) {
    const owner = anOwner({ name: n % 2 === 0 ? 'bob' : 'ann', weight: 1 + (m % 3) });
    await both((store) => store.putOwner(owner));
  },
  expire: ({ both }, n) => both((store) => store.expireBatches(T0 + 9 + (n % 6))),
  die: ({ both }, n) => both((store) => (n % 3 === 0 ? store.releaseDeadLeases(T0) : store.ping())),
};

const CHUNK_ACTIONS: Readonly<Record<string, Action>> = {
  async claim({ both, claims }, n, m) {
    const held = claims.slice(-(m % 6)).map(({ batch, chunk }) => {
      return { batchId: batch.id, model: chunk.model, chunks: 1 + (n % 2) };
    });
    const query = {
      limit: 1 + (n % 4),
      perModel: 1 + (m % 3),
      held,
      oneEachExcept: n % 5 === 0 ? new Set(held.map(({ batchId }) => batchId)) : null,
      above: new Map(m % 4 === 0 ? [['ann', 0]] : []),
    };
    const claimed = await both(async (store) =>
      (await claim(store, query)).map((claimed) => ({ ...claimed, chunk: { ...claimed.chunk } })),
    );
    claims.push(...(claimed?.[0] ?? []));
  },
  async commit({ both, claims }, n, m) {
    const segments = [pick(claims, n), pick(claims, m)].flatMap((held) => {
      if (held === undefined) return [];
      const places = [...Array(held.chunk.lineCount).keys()].filter((place) => ((n + m) >> place) % 2 === 0);
      return places.length === 0 ? [] : [aSegment(held.chunk, places, { failed: [1], logPosition: n })];
    });
    await both((store) => store.commitSegments(segments, T0 + 7));
  },
  async release({ both, claims }, n, m) {
    const chunks = [pick(claims, n), pick(claims, m)].flatMap((held) =>
      held === undefined ? [] : [refOf(held.chunk)],
    );
    await both((store) => store.releaseChunks(chunks));
  },
  async tryAlone({ both, claims }, n, m) {
    const held = pick(claims, n);
    if (held !== undefined) {
      await both((store) => store.markTrying(refOf(held.chunk), m % 3 === 0 ? null : m % 3));
    }
  },
};

const OTHER_ACTIONS: Readonly<Record<string, Action>> = {
  async claimDeliveries({ both, deliveries }, n, m) {
    const claimed = await both((store) => store.claimDeliveries('worker', T0 + (n % 4), 1 + (m % 2)));
    claimed?.[0].forEach((delivery, i) => deliveries.push([delivery, claimed[1][i] ?? delivery]));
  },
  async settle({ both, deliveries }, n, m) {
    const pair = pick(deliveries, n);
    if (pair === undefined) return;
    const failure = { statusCode: null, error: 'no connection' };
    const result = (
      [
        { kind: 'delivered', statusCode: 200 },
        { kind: 'retry', at: T0 + (m % 5), ...failure },
        { kind: 'failed', ...failure },
      ] as const
    )[m % 3];
    if (result === undefined) return;
    await both((store, side) => store.settleDelivery(pair[side].id, pair[side].epoch, T0, result));
  },
  async giveBack({ both, deliveries }, n) {
    const pair = pick(deliveries, n);
    if (pair !== undefined) await both((store, side) => store.releaseDeliveries([pair[side]]));
  },
  purge: ({ both }, n) => both((store) => store.purgeEvents(T0 + (n % 4))),
  async insertFile({ both, files, batches }, n, m) {
    const input = batches.length > 0 && n % 2 === 0 ? 'file-input' : undefined;
    const file = aFile({
      ...(input === undefined ? {} : { id: input }),
      createdAt: T0 + (m % 3),
      expiresAt: n % 3 === 0 ? null : T0 + (m % 6),
    });
    files.push(file.id);
    await both((store) => store.insertFile(file, limitsOf(m)));
  },
  async listFiles({ both, files }, n, m) {
    const after = m % 3 === 0 ? pick(files, n) : undefined;
    const order = n % 2 === 0 ? 'asc' : 'desc';
    await both((store) =>
      store.listFiles({ owner: 'ann', order, after, limit: 1 + (m % 4), now: T0 + (n % 4) }),
    );
  },
  async deleteFile({ both, files }, n, m) {
    await both((store) => store.deleteFile('ann', pick(files, n) ?? 'file-unknown', T0 + (m % 4)));
  },
  expireFiles: ({ both }, n) =>
    both(async (store) =>
      (await store.expireFiles(T0 + (n % 7), 100)).map(({ sha256 }) => sha256).toSorted(),
    ),
};

/** The hash of a secret that no key ever had. */
function newHash(secrets: string[]): string {
  const hash = hashOf(`secret ${secrets.length}`);
  secrets.push(hash);
  return hash;
}

const KEY_ACTIONS: Readonly<Record<string, Action>> = {
  async createKey({ both, keys, secrets }, n, m) {
    const key = anApiKey({ owner: 'ab'[n % 2] ?? 'a', expiresAt: m % 3 === 0 ? T0 + (m % 4) : null });
    const hash = newHash(secrets);
    keys.push(key.id);
    await both((store) => store.insertApiKey(key, hash));
  },
  async findKey({ both, secrets }, n, m) {
    await both((store) => store.findApiKey(pick(secrets, n) ?? 'unknown', T0 + (m % 4)));
  },
  async listKeys({ both, keys }, n, m) {
    const query = { owner: ['a', 'b', undefined][n % 3], after: m % 2 === 0 ? pick(keys, m) : undefined };
    await both((store) => store.listApiKeys({ ...query, limit: 1 + (n % 3) }));
  },
  async revokeKey({ both, keys }, n, m) {
    await both((store) => store.revokeApiKey(pick(keys, n) ?? 'key_unknown', T0 + (m % 4)));
  },
  async rotateKey({ both, keys, secrets }, n, m) {
    const id = pick(keys, n) ?? 'key_unknown';
    const times = { now: T0 + (m % 4), keepOldUntil: T0 + (m % 6) };
    const hash = newHash(secrets);
    await both((store) => store.rotateApiKey({ id, hash, hint: `${m}`, ...times }));
  },
};

const SECOND_CHANCES: Readonly<Record<string, Action>> = {
  async deleteBatch({ both, batches }, n, m) {
    const id = pick(batches, n) ?? 'batch_unknown';
    await both((store) => store.deleteBatch(m % 9 === 0 ? 'bob' : 'ann', id));
  },
  async submit({ both, batches }, n, m) {
    const batch = aBatch({ createdAt: T0 + (m % 5) });
    const submission = {
      batch,
      event: anEvent(batch, 'batch.queued', T0, ['http://a'].slice(0, n % 2)),
      inputFile: m % 3 === 0 ? aFile() : null,
      once: n % 7 === 0 ? null : { key: `k${n % 3}`, fingerprint: `${m % 2}` },
      forgetUntil: T0 + (n % 4),
      limits: limitsOf(m),
    };
    batches.push(batch.id);
    await both((store) => store.submitBatch(submission));
    await both((store) => store.findSubmission('ann', `k${m % 3}`, T0 + (m % 4)));
  },
  forget: ({ both }, n) => both((store) => store.forgetSubmissions(T0 + (n % 5))),
};

const ENDPOINT_ACTIONS: Readonly<Record<string, Action>> = {
  async insertEndpoint({ both, endpoints }, n, m) {
    const types = (['batch.queued', 'batch.in_progress', 'batch.completed'] as const).slice(n % 3);
    const endpoint = anEndpoint({ eventTypes: types, createdAt: T0 + (m % 2) });
    endpoints.push(endpoint.id);
    await both((store) => store.insertWebhookEndpoint(endpoint, 'whsec_first', 4));
  },
  async updateEndpoint({ both, endpoints }, n, m) {
    const changes = [
      { url: `https://${m % 5}.example/` },
      { status: 'enabled' },
      { status: 'enabled' },
      { status: 'disabled' },
    ] as const;
    const change = changes[m % 4] ?? {};
    await both((store) =>
      store.updateWebhookEndpoint('ann', pick(endpoints, n) ?? 'whe_unknown', change, T0 + (n % 3)),
    );
  },
  async rotateSecret({ both, endpoints }, n, m) {
    const id = pick(endpoints, n) ?? 'whe_unknown';
    const oldUntil = m % 2 === 0 ? T0 + 1 : null;
    const rotation = { owner: 'ann', id, secret: `whsec_${m}`, oldUntil, now: T0 };
    await both((store) => store.rotateWebhookSecret(rotation));
  },
  async deleteEndpoint({ both, endpoints }, n, m) {
    if (m % 3 > 0) return;
    await both((store) => store.deleteWebhookEndpoint('ann', pick(endpoints, n) ?? 'whe_unknown'));
  },
  async settleOfEndpoint({ both, deliveries }, n, m) {
    const pair = pick(
      deliveries.filter(([{ target }]) => target.origin === 'endpoint'),
      n,
    );
    const result = [GONE, DELIVERED, FAILED, retryAt(T0 + (n % 5))][m % 4];
    if (pair === undefined || result === undefined) return;
    const trace = { durationMs: n, response: m % 2 === 0 ? null : 'text' };
    const now = T0 + (n % 3) * FAILING_AFTER_MS;
    await both((store, side) => store.settleDelivery(pair[side].id, pair[side].epoch, now, result, trace));
  },
  async replay({ both, endpoints }, n, m) {
    const endpointId = pick(endpoints, n) ?? 'whe_unknown';
    const query = { owner: 'ann', endpointId, since: T0 + (m % 3), limit: 1 + (n % 3), now: T0 + (m % 4) };
    await both((store) => store.replayEvents(query));
  },
  async replayOne({ both, endpoints, deliveries }, n, m) {
    const pair = pick(deliveries, n);
    if (pair === undefined) return;
    const endpointId = pick(endpoints, m) ?? 'whe_unknown';
    await both((store, side) => store.replayDelivery('ann', endpointId, pair[side].id, T0 + (n % 4)));
  },
};

const UPLOAD_ACTIONS: Readonly<Record<string, Action>> = {
  async insertUpload({ both, uploads }, n, m) {
    const upload = anUpload({ bytes: 1 + (n % 4), expiresAt: T0 + 1 + (m % 9) });
    uploads.push(upload.id);
    await both((store) => store.insertUpload(upload, limitsOf(n)));
  },
  async addPart({ both, uploads }, n, m) {
    const part = aPart(pick(uploads, n) ?? 'upload_unknown', 'abcd'.slice(0, m % 4), T0 + (m % 3));
    await both((store) => store.addUploadPart(m % 9 === 0 ? 'bob' : 'ann', part, limitsOf(n)));
  },
  async completeUpload({ both, uploads }, n, m) {
    const file = aFile();
    await both((store) =>
      store.completeUpload('ann', pick(uploads, n) ?? '', T0 + (m % 6), file, limitsOf(m)),
    );
  },
  async cancelUpload({ both, uploads }, n, m) {
    await both((store) => store.cancelUpload('ann', pick(uploads, n) ?? '', T0 + (m % 6)));
  },
  expireUploads: ({ both }, n) => both((store) => store.expireUploads(T0 + (n % 9), 100)),
  // All of them, for which come first is a store's own choice.
  removeParts: ({ both }) =>
    both(async (store) => {
      const removed: string[] = [];
      for (;;) {
        const blobs = await store.removeUploadParts(100);
        if (blobs.length === 0) return removed.toSorted();
        removed.push(...blobs.map(({ sha256 }) => sha256));
      }
    }),
  purgeUploads: ({ both }, n) => both((store) => store.purgeUploads(T0 + (n % 7))),
  async readUpload({ both, uploads }, n, m) {
    const id = pick(uploads, n) ?? '';
    await both(async (store) => [
      await store.getUpload('ann', id, T0 + (m % 9)),
      (await store.readUploadParts(id)).toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    ]);
  },
};

const ACTIONS = {
  ...BATCH_ACTIONS,
  ...CHUNK_ACTIONS,
  ...UPLOAD_ACTIONS,
  ...OTHER_ACTIONS,
  ...KEY_ACTIONS,
  ...SECOND_CHANCES,
  ...ENDPOINT_ACTIONS,
};

/** The straight line of a batch's life, drawn more often, so that many batches get to its end. */
const STRAIGHT = ['create', 'claimStep', 'start', 'claim', 'commit', 'commit', 'finish'];
const DRAWN = [...Object.keys(ACTIONS), ...STRAIGHT, ...STRAIGHT, ...STRAIGHT, ...STRAIGHT];

/** What can be seen of a store's batches, chunks and endpoints. */
async function observe(store: Store, { batches, endpoints }: World): Promise<unknown> {
  const chunks = batches.map(async (id) => (await store.readChunks(id, 0, 100)).map(withPlainBytes));
  return {
    list: await store.listBatches('ann', undefined, 1000),
    messages: await store.listBatches('ann', undefined, 1000, 'anthropic'),
    stopped: (await store.findStoppedBatches('worker')).toSorted(),
    chunks: await Promise.all(chunks),
    endpoints: await store.listWebhookEndpoints('ann', undefined, 100),
    usage: await store.readOwnerUsage('ann'),
    owners: await store.listOwnerNames({ limit: 10 }),
    secrets: await Promise.all(endpoints.map((id) => store.getWebhookSecrets(id, T0))),
    sent: await Promise.all(endpoints.map((id) => store.listDeliveries('ann', id, undefined, 100))),
  };
}

/** Comparable: the ids of deliveries are random, and a byte array may be of any kind. */
function normalized(answer: unknown): unknown {
  return JSON.parse(
    JSON.stringify(answer ?? null, (_key, value: unknown) => {
      if (typeof value === 'string') return value.replace(/^dlv_[0-9a-f]{32}$/, 'dlv_…');
      return value instanceof Uint8Array ? [...value] : value;
    }).replaceAll(/\{"type":"Buffer","data":(\[[\d,]*\])\}/g, '$1'),
  ) as unknown;
}

function createWorld(stores: readonly [Store, Store]): World {
  return {
    async both(verb) {
      const [first, second] = await Promise.allSettled(
        stores.map((store, side) => verb(store, side === 0 ? 0 : 1)),
      );
      if (first === undefined || second === undefined) return null;
      expect(second.status).toBe(first.status);
      if (first.status === 'rejected' || second.status === 'rejected') return null;
      expect(normalized(second.value)).toEqual(normalized(first.value));
      return [first.value, second.value];
    },
    batches: [],
    files: [],
    keys: [],
    secrets: [],
    uploads: [],
    steps: [],
    claims: [],
    deliveries: [],
    endpoints: [],
  };
}

describe('the stores in SQLite and in memory', () => {
  it('answer alike, whatever they are told', async () => {
    const action = fc.tuple(fc.constantFrom(...DRAWN), fc.nat(999), fc.nat(999));
    await fc.assert(
      fc.asyncProperty(fc.array(action, { minLength: 50, maxLength: 200, size: 'max' }), async (actions) => {
        const stores = [createMemoryStore(), openSqliteStore({ path: ':memory:' })] as const;
        const world = createWorld(stores);
        try {
          for (const [name, n, m] of actions) {
            await ACTIONS[name]?.(world, n, m);
            await world.both((store) => observe(store, world));
          }
        } finally {
          for (const store of stores) await store.close();
        }
      }),
      { numRuns: 60, interruptAfterTimeLimit: 10_000 },
    );
  });
});
