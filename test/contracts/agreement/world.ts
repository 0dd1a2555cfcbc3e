/** Two stores side by side. */
import { expect } from 'vitest';
import type { Delivery } from '../../../src/engine/webhooks/event.ts';
import { NO_LIMITS } from '../../../src/engine/owners/owner.ts';
import type { OwnerLimits } from '../../../src/engine/owners/owner.ts';
import type { BatchStep, ChunkClaim, Store } from '../../../src/engine/ports.ts';
import { T0, withPlainBytes } from '../../helpers/store-fixtures.ts';

/** Two stores that are told the same, and what they answered so far. */
export interface World {
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
export function pick<T>(items: readonly T[], n: number): T | undefined {
  return items[items.length - 1 - (n % Math.max(1, Math.min(items.length, 5)))];
}

/** Limits that are met now and then. */
export function limitsOf(n: number): OwnerLimits | undefined {
  if (n % 3 > 0) return undefined;
  return {
    ...NO_LIMITS,
    maxLiveBatches: 2 + (n % 4),
    maxQueuedLines: n % 2 === 0 ? 9 : null,
    maxStoredBytes: 60,
  };
}

export type Action = (world: World, n: number, m: number) => Promise<unknown>;

/** What can be seen of a store's batches, chunks and endpoints. */
export async function observe(store: Store, { batches, endpoints }: World): Promise<unknown> {
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

export function createWorld(stores: readonly [Store, Store]): World {
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
