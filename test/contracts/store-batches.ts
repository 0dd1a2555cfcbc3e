import { describe, expect } from 'vitest';
import type { Batch } from '../../src/engine/batch.ts';
import {
  aBatch,
  aFile,
  anEvent,
  aSegment,
  batchIn,
  chunksOf,
  claim,
  claimOne,
  claimStepOf,
  createBatch,
  failOf,
  finishOf,
  HOUR_MS,
  readBatch,
  startBatch,
  T0,
} from '../helpers/store-fixtures.ts';
import type { StoreIt } from './store-test.ts';

/** Batches as clients see them. */
export function describeBatches(it: StoreIt): void {
  describe('batches', () => {
    describeReading(it);
    describeProgress(it);
    describeListing(it);
    describeCancelling(it);
    describeDeadlines(it);
    describeLiveness(it);
  });
}

function describeReading(it: StoreIt): void {
  it('answers a batch as it was created', async ({ store }) => {
    const full = await createBatch(store, {
      metadata: { team: 'Köln "1"', empty: '' },
      priority: -7,
      webhookUrl: 'https://example.org/hook?a=b',
      outputExpiresAfterSeconds: 3600,
      completionWindow: '7d',
    });
    const plain = await createBatch(store, { metadata: {} });
    expect(await store.getBatch('ann', full.id)).toEqual(full);
    expect(await store.getBatch('ann', plain.id)).toEqual(plain);
  });

  it('answers null for an unknown batch and for one of another owner', async ({ store }) => {
    const { id } = await createBatch(store);
    expect(await store.getBatch('ann', 'batch_unknown')).toBeNull();
    expect(await store.getBatch('bob', id)).toBeNull();
  });

  it('refuses a batch whose id is taken, and writes no event for it', async ({ store }) => {
    const batch = await createBatch(store);
    const again = store.createBatch(
      { ...batch, priority: 5 },
      anEvent(batch, 'batch.queued', T0, ['http://hook']),
    );
    await expect(again).rejects.toThrow(/./);
    expect(await store.getBatch('ann', batch.id)).toEqual(batch);
    expect(await store.claimDeliveries('worker', T0, 10)).toEqual([]);
  });
}

function describeProgress(it: StoreIt): void {
  const usage = (n: number): Batch['usage'] => ({
    inputTokens: n,
    cachedTokens: 2 * n,
    outputTokens: 3 * n,
    reasoningTokens: 4 * n,
    totalTokens: 5 * n,
  });

  it('counts lines and tokens of a running batch as of now', async ({ store }) => {
    const { id } = await startBatch(store, {}, chunksOf(2));
    await startBatch(store, {}, chunksOf(3));
    expect(await readBatch(store, id)).toMatchObject({ counts: { total: 8, completed: 0, failed: 0 } });
    const chunks = (await claim(store)).map(({ chunk }) => chunk).filter(({ batchId }) => batchId === id);
    for (const chunk of chunks) {
      await store.commitSegments([aSegment(chunk, [1, 3], { failed: [3], usage: usage(10) })], T0);
    }
    expect(await readBatch(store, id)).toMatchObject({
      counts: { total: 8, completed: 2, failed: 2 },
      usage: usage(20),
    });
  });

  it('keeps the counts that it was given at the end, and the tokens of its chunks', async ({ store }) => {
    const { id } = await startBatch(store);
    const chunk = await claimOne(store);
    await store.commitSegments([aSegment(chunk, [0, 1, 2, 3], { failed: [3], usage: usage(7) })], T0);
    const step = await claimStepOf(store, id);
    expect(step.batch).toMatchObject({ counts: { total: 4, completed: 3, failed: 1 }, usage: usage(7) });
    const counts = { total: 4, completed: 2, failed: 2 };
    await store.finishBatch(finishOf(step, 'completed', { counts }));
    expect(await readBatch(store, id)).toMatchObject({ counts, usage: usage(7) });
  });
}

function describeListing(it: StoreIt): void {
  it('lists an owner’s batches, the newest first, those of the same time by insertion', async ({ store }) => {
    const late = await createBatch(store, { createdAt: T0 + 2 });
    const first = await createBatch(store, { createdAt: T0 + 1 });
    const second = await createBatch(store, { createdAt: T0 + 1 });
    await createBatch(store, { owner: 'bob' });
    expect(await store.listBatches('ann', undefined, 10)).toEqual({
      data: [late, second, first],
      hasMore: false,
    });
    expect(await store.listBatches('carl', undefined, 10)).toEqual({ data: [], hasMore: false });
  });

  it('says whether there are more', async ({ store }) => {
    for (let i = 0; i < 3; i++) await createBatch(store);
    expect(await store.listBatches('ann', undefined, 2)).toMatchObject({ hasMore: true });
    expect(await store.listBatches('ann', undefined, 3)).toMatchObject({ hasMore: false });
  });

  it('answers null after a batch that is unknown or another owner’s', async ({ store }) => {
    const others = await createBatch(store, { owner: 'bob' });
    expect(await store.listBatches('ann', 'batch_unknown', 10)).toBeNull();
    expect(await store.listBatches('ann', others.id, 10)).toBeNull();
  });

  it('counts running batches as of now', async ({ store }) => {
    await startBatch(store);
    await store.commitSegments([aSegment(await claimOne(store), [0, 2])], T0);
    const page = await store.listBatches('ann', undefined, 10);
    expect(page?.data[0]?.counts).toEqual({ total: 4, completed: 2, failed: 0 });
  });

  it('pages 250 batches without gaps or repeats while others are created', async ({ store }) => {
    const ids: string[] = [];
    for (let i = 0; i < 250; i++) {
      ids.unshift((await createBatch(store, { createdAt: T0 + Math.floor(i / 7) })).id);
    }
    const seen: string[] = [];
    for (;;) {
      const page = await store.listBatches('ann', seen.at(-1), 9);
      seen.push(...(page?.data ?? []).map((batch) => batch.id));
      if (page?.hasMore !== true) break;
      await createBatch(store, { createdAt: T0 + 1000 });
    }
    expect(seen).toEqual(ids);
  });
}

function describeCancelling(it: StoreIt): void {
  it('does not find an unknown batch or one of another owner', async ({ store }) => {
    const { id } = await createBatch(store);
    expect(await store.cancelBatch('ann', 'batch_unknown', T0)).toEqual({ kind: 'missing' });
    expect(await store.cancelBatch('bob', id, T0)).toEqual({ kind: 'missing' });
    expect(await readBatch(store, id)).toMatchObject({ status: 'validating' });
  });

  it('answers the cancelling batch with its time and its counts', async ({ store }) => {
    const batch = await startBatch(store);
    await store.commitSegments([aSegment(await claimOne(store), [0])], T0);
    const cancelling = {
      ...batch,
      status: 'cancelling',
      cancellingAt: T0 + 5,
      counts: { total: 4, completed: 1, failed: 0 },
    };
    expect(await store.cancelBatch('ann', batch.id, T0 + 5)).toEqual({
      kind: 'ok',
      batch: cancelling,
      changed: true,
    });
    expect(await store.getBatch('ann', batch.id)).toEqual(cancelling);
    expect(await store.cancelBatch('ann', batch.id, T0 + 9)).toEqual({
      kind: 'ok',
      batch: cancelling,
      changed: false,
    });
  });
}

function describeDeadlines(it: StoreIt): void {
  it('expires running batches whose deadline is at or before now, and says how many', async ({ store }) => {
    const past = await startBatch(store, { expiresAt: T0 + HOUR_MS - 1 });
    const due = await startBatch(store, { expiresAt: T0 + HOUR_MS, owner: 'bob' });
    const later = await startBatch(store, { expiresAt: T0 + HOUR_MS + 1 });
    expect(await store.expireBatches(T0 + HOUR_MS)).toBe(2);
    const expiring = { status: 'finalizing', ending: 'expired', finalizingAt: T0 + HOUR_MS };
    expect(await store.getBatch('ann', past.id)).toEqual({ ...past, ...expiring });
    expect(await store.getBatch('bob', due.id)).toEqual({ ...due, ...expiring });
    expect(await store.getBatch('ann', later.id)).toEqual(later);
    expect(await store.expireBatches(T0 + HOUR_MS)).toBe(0);
  });
}

function describeLiveness(it: StoreIt): void {
  it('knows live batches from ended and unknown ones', async ({ store }) => {
    expect(await store.isBatchLive('batch_unknown')).toBe(false);
    for (const situation of ['validating', 'in_progress', 'finalizing as expired', 'cancelling'] as const) {
      expect(await store.isBatchLive((await batchIn(store, situation)).id), situation).toBe(true);
    }
    for (const situation of ['failed', 'completed', 'expired', 'cancelled'] as const) {
      expect(await store.isBatchLive((await batchIn(store, situation)).id), situation).toBe(false);
    }
  });

  it('answers a ping', async ({ store }) => {
    await expect(store.ping()).resolves.toBeUndefined();
  });

  it('writes nothing of a batch whose files cannot be inserted', async ({ store }) => {
    const { id } = await batchIn(store, 'finalizing as completed');
    const taken = aFile();
    await store.insertFile(taken);
    const outputFile = aFile({ purpose: 'batch_output' });
    const step = await claimStepOf(store, id);
    const event = anEvent(step.batch, 'batch.completed', T0, ['http://hook']);
    const finish = finishOf(step, 'completed', { outputFile, errorFile: taken, event });
    await expect(store.finishBatch(finish)).rejects.toThrow(/./);
    expect(await store.getBatch('ann', id)).toEqual(step.batch);
    expect(await store.getFile('ann', outputFile.id, T0)).toBeNull();
    expect(await store.claimDeliveries('worker', T0, 10)).toEqual([]);
    expect(await store.finishBatch({ ...finish, errorFile: null })).toBe('ok');
    expect(await store.readChunks(id, 0, 10)).toEqual([]);
  });

  it('keeps batches apart', async ({ store }) => {
    const failed = await createBatch(store);
    const other = aBatch();
    await store.createBatch(other, anEvent(other, 'batch.queued'));
    await store.failBatch(failOf(await claimStepOf(store, failed.id)));
    expect(await store.getBatch('ann', other.id)).toEqual(other);
  });
}
