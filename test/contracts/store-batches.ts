import { describe, expect } from 'vitest';
import { NO_USAGE } from '../../src/engine/batches/batch.ts';
import {
  aBatch,
  aSegment,
  batchIn,
  claimOne,
  createBatch,
  readBatch,
  startBatch,
  T0,
} from '../helpers/store-fixtures.ts';
import type { StoreIt } from './store-test.ts';

/** Batches as clients see them. */
export function describeBatches(it: StoreIt): void {
  describe('batches', () => {
    describeReading(it);
    describeListing(it);
    describeCounts(it);
  });
}

function describeReading(it: StoreIt): void {
  it('answers a batch as it was created, with every field', async ({ store }) => {
    const batch = await createBatch(store, {
      metadata: { team: 'a "b"', empty: '' },
      priority: -100,
      webhookUrl: 'https://example.com/hook',
      outputExpiresAfterSeconds: 3600,
      completionWindow: '7d',
    });
    expect(await store.getBatch('ann', batch.id)).toEqual(batch);
    const plain = await createBatch(store);
    expect(await store.getBatch('ann', plain.id)).toEqual(plain);
  });

  it('answers null for an unknown batch and for one of another owner', async ({ store }) => {
    const batch = await createBatch(store);
    expect(await store.getBatch('bob', batch.id)).toBeNull();
    expect(await store.getBatch('ann', 'batch_unknown')).toBeNull();
  });

  it('knows which batches are live', async ({ store }) => {
    expect(await store.isBatchLive('batch_unknown')).toBe(false);
    for (const status of ['validating', 'in_progress', 'finalizing as expired', 'cancelling'] as const) {
      expect(await store.isBatchLive((await batchIn(store, status)).id)).toBe(true);
    }
    for (const status of ['completed', 'failed', 'expired', 'cancelled'] as const) {
      expect(await store.isBatchLive((await batchIn(store, status)).id)).toBe(false);
    }
  });
}

function describeListing(it: StoreIt): void {
  it('lists the owner’s batches, the newest first, also where times are equal', async ({ store }) => {
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.unshift((await createBatch(store)).id);
    await createBatch(store, { owner: 'bob' });
    const page = await store.listBatches('ann', undefined, 10);
    expect(page?.data.map((batch) => batch.id)).toEqual(ids);
    expect(page?.hasMore).toBe(false);
  });

  it('pages through 250 batches without a gap or a repeat, though others are created meanwhile', async ({
    store,
  }) => {
    const ids: string[] = [];
    for (let i = 0; i < 250; i++)
      ids.unshift((await createBatch(store, { createdAt: T0 + Math.floor(i / 7) })).id);
    const seen: string[] = [];
    let after: string | undefined;
    for (;;) {
      const page = await store.listBatches('ann', after, 30);
      if (page === null) return expect.unreachable();
      seen.push(...page.data.map((batch) => batch.id));
      await createBatch(store, { createdAt: T0 + 1000 });
      if (!page.hasMore) break;
      after = page.data.at(-1)?.id;
    }
    expect(seen).toEqual(ids);
  });

  it('answers null where the cursor is unknown or another owner’s, and an empty page for nobody', async ({
    store,
  }) => {
    const foreign = await createBatch(store, { owner: 'bob' });
    expect(await store.listBatches('ann', foreign.id, 10)).toBeNull();
    expect(await store.listBatches('ann', 'batch_unknown', 10)).toBeNull();
    expect(await store.listBatches('ann', undefined, 10)).toEqual({ data: [], hasMore: false });
  });
}

function describeCounts(it: StoreIt): void {
  it('sums counts and usage of a running batch, in a list as well', async ({ store }) => {
    const batch = await startBatch(store);
    const chunk = await claimOne(store);
    const usage = { inputTokens: 1, cachedTokens: 2, outputTokens: 3, reasoningTokens: 4, totalTokens: 5 };
    await store.commitSegments([aSegment(chunk, [0, 2], { failed: [2], usage })], T0);
    await store.commitSegments([aSegment(chunk, [1], { usage })], T0);
    const expected = {
      counts: { total: 4, completed: 2, failed: 1 },
      usage: { inputTokens: 2, cachedTokens: 4, outputTokens: 6, reasoningTokens: 8, totalTokens: 10 },
    };
    expect(await readBatch(store, batch.id)).toMatchObject(expected);
    expect((await store.listBatches('ann', undefined, 10))?.data[0]).toMatchObject(expected);
  });

  it('are zero before the start', async ({ store }) => {
    const batch = await createBatch(store);
    expect(await readBatch(store, batch.id)).toMatchObject({ counts: aBatch().counts, usage: NO_USAGE });
  });
}
