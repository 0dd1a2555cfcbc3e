import { describe, expect } from 'vitest';
import type { OwnerUsage } from '../../src/engine/owners/owner.ts';
import type { Store } from '../../src/engine/ports.ts';
import {
  aBlob,
  aFile,
  aSegment,
  batchIn,
  chunksOf,
  claim,
  claimStepOf,
  createBatch,
  failOf,
  finishOf,
  HOUR_MS,
  refOf,
  startBatch,
  T0,
  wholeSegment,
} from '../helpers/store-fixtures.ts';
import type { StoreIt } from './store-test.ts';
import { anUpload, aPart } from './store-uploads.ts';

const NOTHING: OwnerUsage = { storedBytes: 0, queuedLines: 0, liveBatches: 0 };

async function storedBytes(store: Store, owner = 'ann'): Promise<number> {
  return (await store.readOwnerUsage(owner)).storedBytes;
}

async function queue(store: Store, owner = 'ann'): Promise<Omit<OwnerUsage, 'storedBytes'>> {
  const { queuedLines, liveBatches } = await store.readOwnerUsage(owner);
  return { queuedLines, liveBatches };
}

/** What owners use at the moment. */
export function describeOwnerUsage(it: StoreIt): void {
  describe('what an owner uses', () => {
    it('is nothing at first', async ({ store }) => {
      expect(await store.readOwnerUsage('ann')).toEqual(NOTHING);
    });
    describeStoredBytes(it);
    describePartBytes(it);
    describeQueue(it);
  });
}

function describeStoredBytes(it: StoreIt): void {
  it('are the bytes of its files, equal ones each by itself, until they are deleted or removed', async ({
    store,
  }) => {
    const files = [
      aFile({ blob: aBlob('four') }),
      aFile({ blob: aBlob('four') }),
      aFile({ blob: aBlob('seven..'), expiresAt: T0 + 1 }),
    ] as const;
    for (const file of files) await store.insertFile(file);
    await store.insertFile(aFile({ owner: 'bob', blob: aBlob('bob') }));
    expect(await storedBytes(store)).toBe(15);
    await store.deleteFile('bob', files[0].id, T0);
    expect(await storedBytes(store)).toBe(15);
    await store.deleteFile('ann', files[0].id, T0);
    expect(await storedBytes(store)).toBe(11);
    await store.expireFiles(T0 + 1, 10);
    expect(await storedBytes(store)).toBe(4);
    expect(await storedBytes(store, 'bob')).toBe(3);
  });

  it('are not counted of a file that was not inserted', async ({ store }) => {
    const file = aFile({ blob: aBlob('four') });
    await store.insertFile(file);
    await expect(store.insertFile(file)).rejects.toThrow();
    expect(await storedBytes(store)).toBe(4);
  });

  it('are those of the files that a batch ends with, too', async ({ store }) => {
    const { id } = await batchIn(store, 'finalizing as completed');
    const outputFile = aFile({ blob: aBlob('output') });
    const errorFile = aFile({ blob: aBlob('err') });
    await store.finishBatch(finishOf(await claimStepOf(store, id), 'completed', { outputFile, errorFile }));
    expect(await storedBytes(store)).toBe(9);
  });
}

function describePartBytes(it: StoreIt): void {
  it('are the bytes of the parts of its pending uploads, equal ones of one upload once', async ({
    store,
  }) => {
    const [one, two] = [anUpload(), anUpload()];
    for (const upload of [one, two]) await store.insertUpload(upload);
    for (const text of ['four', 'four', 'seven..']) await store.addUploadPart('ann', aPart(one.id, text));
    await store.addUploadPart('ann', aPart(two.id, 'four'));
    expect(await storedBytes(store)).toBe(15);
  });

  it('are no longer those of the parts of an upload that has ended, but of its file', async ({ store }) => {
    const uploads = [anUpload(), anUpload(), anUpload()] as const;
    for (const upload of uploads) {
      await store.insertUpload(upload);
      await store.addUploadPart('ann', aPart(upload.id, 'four'));
    }
    expect(await storedBytes(store)).toBe(12);
    const file = aFile({ blob: aBlob('fourfour') });
    await store.completeUpload('ann', uploads[0].id, T0, file);
    expect(await storedBytes(store)).toBe(16);
    await store.cancelUpload('ann', uploads[1].id, T0);
    expect(await storedBytes(store)).toBe(12);
    await store.expireUploads(T0 + HOUR_MS, 10);
    expect(await storedBytes(store)).toBe(8);
    while ((await store.removeUploadParts(10)).length > 0);
    expect(await storedBytes(store)).toBe(8);
    await store.deleteFile('ann', file.id, T0);
    expect(await store.readOwnerUsage('ann')).toEqual(NOTHING);
  });
}

function describeQueue(it: StoreIt): void {
  it('are its live batches, and the lines of these that have no result yet', async ({ store }) => {
    await startBatch(store, {}, chunksOf(2));
    await createBatch(store);
    await startBatch(store, { owner: 'bob' });
    expect(await queue(store)).toEqual({ queuedLines: 8, liveBatches: 2 });
    const claims = (await claim(store)).filter(({ batch }) => batch.owner === 'ann');
    const [first, second] = claims.map(({ chunk }) => chunk);
    if (first === undefined || second === undefined) return expect.unreachable();
    await store.commitSegments([aSegment(first, [0], { failed: [0] }), aSegment(second, [1, 2])], T0);
    expect(await queue(store)).toEqual({ queuedLines: 5, liveBatches: 2 });
    // A line that is done already is lost, and so is everything under an old epoch.
    await store.commitSegments([aSegment(first, [0])], T0);
    await store.releaseChunks([refOf(second)]);
    await store.commitSegments([aSegment(second, [0])], T0);
    expect(await queue(store)).toEqual({ queuedLines: 5, liveBatches: 2 });
    await store.commitSegments([aSegment(first, [1, 2, 3])], T0);
    expect(await queue(store)).toEqual({ queuedLines: 2, liveBatches: 2 });
    expect(await queue(store, 'bob')).toEqual({ queuedLines: 4, liveBatches: 1 });
  });

  it('are the lines of a batch that are known when it is created, counted once', async ({ store }) => {
    const counts = { total: 4, completed: 0, failed: 0 };
    const { id } = await startBatch(store, { format: 'anthropic', counts });
    expect(await queue(store)).toEqual({ queuedLines: 4, liveBatches: 1 });
    await createBatch(store, { format: 'anthropic', counts });
    expect(await queue(store)).toEqual({ queuedLines: 8, liveBatches: 2 });
    const [held] = await claim(store);
    if (held === undefined) return expect.unreachable();
    await store.commitSegments([wholeSegment(held.chunk)], T0);
    expect(await queue(store)).toEqual({ queuedLines: 4, liveBatches: 2 });
    await store.finishBatch(finishOf(await claimStepOf(store, id), 'completed'));
    expect(await queue(store)).toEqual({ queuedLines: 4, liveBatches: 1 });
  });

  it('are nothing of a batch that has ended, however it did', async ({ store }) => {
    for (const end of ['completed', 'expired', 'cancelled', 'failed'] as const) await batchIn(store, end);
    const counts = { total: 4, completed: 0, failed: 0 };
    const { id } = await createBatch(store, { format: 'anthropic', counts });
    await store.failBatch(failOf(await claimStepOf(store, id)));
    expect(await queue(store)).toEqual({ queuedLines: 0, liveBatches: 0 });
  });

  it('are what it was of a batch that is about to end', async ({ store }) => {
    await batchIn(store, 'cancelling');
    await batchIn(store, 'finalizing as expired');
    await batchIn(store, 'finalizing as completed');
    expect(await queue(store)).toEqual({ queuedLines: 8, liveBatches: 3 });
  });
}
