import { describe, expect } from 'vitest';
import type { Batch } from '../../src/engine/batches/batch.ts';
import type { BatchSubmission, Store } from '../../src/engine/ports.ts';
import {
  aBatch,
  aFile,
  anEvent,
  batchIn,
  createBatch,
  HOUR_MS,
  readBatch,
  T0,
} from '../helpers/store-fixtures.ts';
import type { StoreIt } from './store-test.ts';

/** Removed batches, and creates that may be repeated. */
export function describeSecondChances(it: StoreIt): void {
  describe('second chances', () => {
    describeDeletes(it);
    describeSubmissions(it);
    describeForgetting(it);
  });
}

/** What `submitBatch` is given: a new batch under the key `k`. */
function submissionOf(fields: Partial<BatchSubmission> = {}, batch: Batch = aBatch()): BatchSubmission {
  return {
    batch,
    event: anEvent(batch, 'batch.queued', batch.createdAt),
    inputFile: null,
    once: { key: 'k', fingerprint: 'f1' },
    forgetUntil: batch.createdAt - 24 * HOUR_MS,
    ...fields,
  };
}

async function batchIds(store: Store, owner = 'ann'): Promise<string[]> {
  return (await store.listBatches(owner, undefined, 100))?.data.map(({ id }) => id) ?? [];
}

function describeDeletes(it: StoreIt): void {
  it('deletes ended batches, and only those', async ({ store }) => {
    for (const status of ['completed', 'failed', 'expired', 'cancelled'] as const) {
      const { id } = await batchIn(store, status);
      expect(await store.deleteBatch('ann', id)).toEqual({ kind: 'deleted' });
      expect(await store.getBatch('ann', id)).toBeNull();
      expect(await store.isBatchLive(id)).toBe(false);
      expect(await store.deleteBatch('ann', id)).toEqual({ kind: 'missing' });
    }
    for (const situation of ['validating', 'in_progress', 'finalizing as expired', 'cancelling'] as const) {
      const { id, status } = await batchIn(store, situation);
      expect(await store.deleteBatch('ann', id)).toEqual({ kind: 'live', status });
      expect((await readBatch(store, id)).status).toBe(status);
    }
  });

  it('does not find unknown and other owners’ batches', async ({ store }) => {
    const { id } = await batchIn(store, 'completed');
    expect(await store.deleteBatch('bob', id)).toEqual({ kind: 'missing' });
    expect(await store.deleteBatch('ann', 'batch_unknown')).toEqual({ kind: 'missing' });
    expect((await readBatch(store, id)).id).toBe(id);
  });

  it('leaves other batches and the files where they are', async ({ store }) => {
    const input = aFile();
    await store.insertFile(input);
    const other = await createBatch(store, { inputFileId: input.id });
    const { id } = await batchIn(store, 'completed');
    await store.deleteBatch('ann', id);
    expect(await store.getFile('ann', input.id, T0)).toEqual(input);
    expect(await batchIds(store)).toEqual([other.id]);
  });

  it('removes its events, but for those that are still to be delivered', async ({ store }) => {
    const batch = aBatch();
    const pending = anEvent(batch, 'batch.queued', T0, ['http://a']);
    await store.createBatch(batch, pending);
    const step = await store.claimBatchStep('worker', T0);
    const settled = anEvent(batch, 'batch.failed', T0);
    await store.failBatch({
      batchId: batch.id,
      epoch: step?.epoch ?? 0,
      now: T0,
      errors: [],
      event: settled,
    });
    await store.deleteBatch('ann', batch.id);

    const [delivery] = await store.claimDeliveries('worker', T0, 10);
    expect(delivery?.event).toEqual(pending.event);
    await store.settleDelivery(delivery?.id ?? '', delivery?.epoch ?? 0, T0, {
      kind: 'delivered',
      statusCode: 200,
    });
    // Only the one that was pending is left to be purged.
    expect(await store.purgeEvents(T0 + 1)).toBe(1);
  });
}

function describeSubmissions(it: StoreIt): void {
  it('inserts a batch with its event and input file', async ({ store }) => {
    const inputFile = aFile();
    const batch = aBatch({ inputFileId: inputFile.id });
    const event = anEvent(batch, 'batch.queued', T0, ['http://a']);
    const submission = submissionOf({ event, inputFile, once: null }, batch);
    expect(await store.submitBatch(submission)).toEqual({ kind: 'created' });
    expect(await store.getBatch('ann', batch.id)).toEqual(batch);
    expect(await store.getFile('ann', inputFile.id, T0)).toEqual(inputFile);
    expect((await store.claimDeliveries('worker', T0, 10)).map((delivery) => delivery.event)).toEqual([
      event.event,
    ]);
  });

  it('inserts nothing the second time that a key is used, and answers the first batch as it was', async ({
    store,
  }) => {
    const first = submissionOf({}, aBatch({ metadata: { a: 'ä' }, priority: 3 }));
    await store.submitBatch(first);
    await store.cancelBatch('ann', first.batch.id, T0);
    const remembered = { fingerprint: 'f1', batch: first.batch };
    const inputFile = aFile();
    const second = submissionOf({ inputFile, once: { key: 'k', fingerprint: 'f2' } });
    expect(await store.submitBatch(second)).toEqual({ kind: 'known', remembered });
    expect(await store.getFile('ann', inputFile.id, T0)).toBeNull();
    expect(await batchIds(store)).toEqual([first.batch.id]);
    expect(await store.findSubmission('ann', 'k', first.forgetUntil)).toEqual(remembered);
  });

  it('creates one batch where a key is used many times at once', async ({ store }) => {
    const submissions = Array.from({ length: 10 }, () => submissionOf());
    const results = await Promise.all(submissions.map((submission) => store.submitBatch(submission)));
    expect(results.filter(({ kind }) => kind === 'created')).toHaveLength(1);
    expect(await batchIds(store)).toHaveLength(1);
  });

  it('keeps the keys of owners apart, and keys that differ by case', async ({ store }) => {
    await store.submitBatch(submissionOf());
    for (const submission of [
      submissionOf({}, aBatch({ owner: 'bob' })),
      submissionOf({ once: { key: 'K', fingerprint: 'f1' } }),
    ]) {
      expect(await store.submitBatch(submission)).toEqual({ kind: 'created' });
    }
    expect(await store.findSubmission('eve', 'k', 0)).toBeNull();
  });

  it('remembers a key whose batch was deleted', async ({ store }) => {
    const first = submissionOf();
    await store.submitBatch(first);
    const step = await store.claimBatchStep('worker', T0);
    await store.failBatch({
      batchId: first.batch.id,
      epoch: step?.epoch ?? 0,
      now: T0,
      errors: [],
      event: anEvent(first.batch, 'batch.failed'),
    });
    expect(await store.deleteBatch('ann', first.batch.id)).toEqual({ kind: 'deleted' });
    expect(await store.submitBatch(submissionOf())).toMatchObject({ kind: 'known' });
  });
}

function describeForgetting(it: StoreIt): void {
  it('takes a key that was used long ago for a new one', async ({ store }) => {
    await store.submitBatch(submissionOf());
    expect(await store.findSubmission('ann', 'k', T0 - 1)).not.toBeNull();
    expect(await store.findSubmission('ann', 'k', T0)).toBeNull();
    const later = submissionOf({ forgetUntil: T0 }, aBatch({ createdAt: T0 + 24 * HOUR_MS }));
    expect(await store.submitBatch(later)).toEqual({ kind: 'created' });
    expect(await store.findSubmission('ann', 'k', T0)).toEqual({ fingerprint: 'f1', batch: later.batch });
  });

  it('removes old keys', async ({ store }) => {
    for (const [key, createdAt] of [
      ['old', T0],
      ['new', T0 + 1],
    ] as const) {
      await store.submitBatch(submissionOf({ once: { key, fingerprint: 'f' } }, aBatch({ createdAt })));
    }
    expect(await store.forgetSubmissions(T0)).toBe(1);
    expect(await store.forgetSubmissions(T0)).toBe(0);
    expect(await store.findSubmission('ann', 'old', 0)).toBeNull();
    expect(await store.findSubmission('ann', 'new', 0)).not.toBeNull();
  });
}
