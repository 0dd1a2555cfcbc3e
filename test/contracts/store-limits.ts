import { describe, expect } from 'vitest';
import { NO_LIMITS } from '../../src/engine/owners/owner.ts';
import type { OverLimit, OwnerLimits } from '../../src/engine/owners/owner.ts';
import type { Batch } from '../../src/engine/batches/batch.ts';
import type { Store } from '../../src/engine/ports.ts';
import {
  aBatch,
  aBlob,
  aFile,
  anEvent,
  batchIn,
  chunksOf,
  claimStepOf,
  createBatch,
  failOf,
  finishOf,
  readBatch,
  startBatch,
  startOf,
  T0,
} from '../helpers/store-fixtures.ts';
import type { StoreIt } from './store-test.ts';
import { anUpload, aPart } from './store-uploads.ts';

const OK = { kind: 'ok' };

function limitsOf(limits: Partial<OwnerLimits>): OwnerLimits {
  return { ...NO_LIMITS, ...limits };
}

function over(what: OverLimit['what'], max: number, used: number, added: number): OverLimit {
  return { kind: 'over_limit', what, max, used, added };
}

async function create(store: Store, limits: Partial<OwnerLimits>, fields: Partial<Batch> = {}) {
  const batch = aBatch(fields);
  return await store.createBatch(batch, anEvent(batch, 'batch.queued'), limitsOf(limits));
}

/** Fields of a batch of which this many lines are known. */
function withLines(total: number): Partial<Batch> {
  return { format: 'anthropic', counts: { total, completed: 0, failed: 0 } };
}

async function countBatches(store: Store): Promise<number> {
  const formats = ['openai', 'anthropic'] as const;
  const lists = formats.map((format) => store.listBatches('ann', undefined, 100, format));
  return (await Promise.all(lists)).reduce((sum, list) => sum + (list?.data.length ?? 0), 0);
}

/** What is inserted only where its owner has room for it. */
export function describeLimits(it: StoreIt): void {
  describe('limits of an owner', () => {
    describeLiveBatches(it);
    describeQueuedLines(it);
    describeStart(it);
    describeSubmissions(it);
    describeStoredBytes(it);
    describeUploads(it);
  });
}

function describeLiveBatches(it: StoreIt): void {
  it('let so many batches be live, of whatever kind, and no more', async ({ store }) => {
    const limits = { maxLiveBatches: 3 };
    await batchIn(store, 'in_progress');
    await batchIn(store, 'cancelling');
    for (const end of ['completed', 'failed', 'expired', 'cancelled'] as const) await batchIn(store, end);
    await createBatch(store, { owner: 'bob' });
    expect(await create(store, limits, withLines(1))).toEqual(OK);
    const before = await countBatches(store);
    expect(await create(store, limits)).toEqual(over('liveBatches', 3, 3, 1));
    expect(await create(store, { maxLiveBatches: 0 })).toEqual(over('liveBatches', 0, 3, 1));
    expect(await countBatches(store)).toBe(before);
    expect(await create(store, limits, { owner: 'bob' })).toEqual(OK);
    expect(await create(store, { maxLiveBatches: null })).toEqual(OK);
  });

  it('let in one of two that come at once for the last place', async ({ store }) => {
    const limits = { maxLiveBatches: 1 };
    const results = await Promise.all([create(store, limits), create(store, limits)]);
    expect(results).toEqual([OK, over('liveBatches', 1, 1, 1)]);
    expect(await countBatches(store)).toBe(1);
  });

  it('let in no batch where not a byte of its results has room', async ({ store }) => {
    await store.insertFile(aFile({ owner: 'ann', blob: aBlob('0123456789') }));
    expect(await create(store, { maxStoredBytes: 10 })).toEqual(over('storedBytes', 10, 10, 1));
    expect(await countBatches(store)).toBe(0);
    expect(await create(store, { maxStoredBytes: 10 }, { owner: 'bob' })).toEqual(OK);
    expect(await create(store, { maxStoredBytes: 11 })).toEqual(OK);
  });

  it('write no event of a batch that is refused', async ({ store }) => {
    const batch = aBatch();
    await store.createBatch(batch, anEvent(batch, 'batch.queued'), limitsOf({ maxLiveBatches: 0 }));
    expect(await store.readBatchEvents(batch.id)).toEqual([]);
  });
}

function describeQueuedLines(it: StoreIt): void {
  it('let in batches of unknown length until the lines are used up', async ({ store }) => {
    await startBatch(store);
    expect(await create(store, { maxQueuedLines: 5 })).toEqual(OK);
    expect(await create(store, { maxQueuedLines: 4 })).toEqual(over('queuedLines', 4, 4, 1));
    expect(await create(store, { maxQueuedLines: 4 }, { owner: 'bob' })).toEqual(OK);
  });

  it('let in batches of known length where all their lines have room', async ({ store }) => {
    const limits = { maxQueuedLines: 10 };
    expect(await create(store, limits, withLines(11))).toEqual(over('queuedLines', 10, 0, 11));
    expect(await create(store, limits, withLines(7))).toEqual(OK);
    expect(await create(store, limits, withLines(4))).toEqual(over('queuedLines', 10, 7, 4));
    expect(await create(store, limits, withLines(3))).toEqual(OK);
    expect(await countBatches(store)).toBe(2);
  });
}

function describeStart(it: StoreIt): void {
  it('keep a batch from starting whose lines have no room, with its step held', async ({ store }) => {
    await startBatch(store);
    await startBatch(store, { owner: 'bob' });
    const { id } = await createBatch(store);
    const step = await claimStepOf(store, id);
    const start = (maxQueuedLines: number | null) =>
      store.startBatch(startOf(step, { chunks: chunksOf(2), limits: limitsOf({ maxQueuedLines }) }));
    expect(await start(11)).toEqual(over('queuedLines', 11, 4, 8));
    expect(await readBatch(store, id)).toMatchObject({ status: 'validating', counts: { total: 0 } });
    expect(await store.readChunks(id, 0, 10)).toEqual([]);
    expect(await store.claimBatchStep('worker', T0)).toBeNull();
    expect(await start(12)).toBe('ok');
    expect(await start(0)).toBe('lost');
  });

  it('let a batch fail that could not start', async ({ store }) => {
    const { id } = await createBatch(store);
    const step = await claimStepOf(store, id);
    const limits = limitsOf({ maxQueuedLines: 3 });
    expect(await store.startBatch(startOf(step, { limits }))).toEqual(over('queuedLines', 3, 0, 4));
    expect(await store.failBatch(failOf(step))).toBe('ok');
    expect((await readBatch(store, id)).status).toBe('failed');
  });

  it('are not asked for a batch that is no longer validating', async ({ store }) => {
    const { id } = await createBatch(store);
    const step = await claimStepOf(store, id);
    await store.cancelBatch('ann', id, T0);
    expect(await store.startBatch(startOf(step, { limits: limitsOf({ maxQueuedLines: 0 }) }))).toBe('lost');
  });
}

function describeSubmissions(it: StoreIt): void {
  it('leave nothing of a submission that is refused, and let one that is known be', async ({ store }) => {
    const submit = async (key: string, limits: Partial<OwnerLimits>) => {
      const batch = aBatch();
      const inputFile = aFile();
      const result = await store.submitBatch({
        batch,
        event: anEvent(batch, 'batch.queued'),
        inputFile,
        once: { key, fingerprint: 'f' },
        forgetUntil: 0,
        limits: limitsOf(limits),
      });
      return { result, batch, inputFile };
    };
    const first = await submit('one', { maxLiveBatches: 1 });
    expect(first.result).toEqual({ kind: 'created' });
    const second = await submit('two', { maxLiveBatches: 1 });
    expect(second.result).toEqual(over('liveBatches', 1, 1, 1));
    expect(await store.getFile('ann', second.inputFile.id, T0)).toBeNull();
    expect(await store.getBatch('ann', second.batch.id)).toBeNull();
    expect(await store.findSubmission('ann', 'two', 0)).toBeNull();
    expect((await submit('one', { maxLiveBatches: 1 })).result).toMatchObject({ kind: 'known' });
  });
}

const stored = (maxStoredBytes: number | null) => limitsOf({ maxStoredBytes });

function describeStoredBytes(it: StoreIt): void {
  it('let files be stored as long as there is room for their bytes', async ({ store }) => {
    const insert = (text: string, max: number | null, owner = 'ann') =>
      store.insertFile(aFile({ owner, blob: aBlob(text) }), stored(max));
    expect(await insert('seven..', 10)).toEqual(OK);
    const refused = aFile({ blob: aBlob('four') });
    expect(await store.insertFile(refused, stored(10))).toEqual(over('storedBytes', 10, 7, 4));
    expect(await store.getFile('ann', refused.id, T0)).toBeNull();
    expect(await insert('four', 10, 'bob')).toEqual(OK);
    expect(await insert('3..', 10)).toEqual(OK);
    // Nothing has room everywhere, also where there is more than allowed.
    expect(await insert('', 0)).toEqual(OK);
    expect(await insert('four', null)).toEqual(OK);
    expect((await store.readOwnerUsage('ann')).storedBytes).toBe(14);
  });

  it('let in one of two files that come at once for the last room', async ({ store }) => {
    const file = () => aFile({ blob: aBlob('four') });
    const results = await Promise.all([
      store.insertFile(file(), stored(7)),
      store.insertFile(file(), stored(7)),
    ]);
    expect(results).toEqual([OK, over('storedBytes', 7, 4, 4)]);
  });

  it('refuse a submission whose input file has no room', async ({ store }) => {
    const batch = aBatch();
    const submit = (max: number) =>
      store.submitBatch({
        batch,
        event: anEvent(batch, 'batch.queued'),
        inputFile: aFile({ blob: aBlob('four') }),
        once: null,
        forgetUntil: 0,
        limits: stored(max),
      });
    expect(await submit(3)).toEqual(over('storedBytes', 3, 0, 4));
    expect(await store.getBatch('ann', batch.id)).toBeNull();
    expect(await submit(4)).toEqual({ kind: 'created' });
  });

  it('do not refuse the files that a batch ends with', async ({ store }) => {
    await store.putOwner({ name: 'ann', weight: 1, ...stored(0) });
    const { id } = await batchIn(store, 'finalizing as completed');
    const outputFile = aFile({ blob: aBlob('output') });
    expect(await store.finishBatch(finishOf(await claimStepOf(store, id), 'completed', { outputFile }))).toBe(
      'ok',
    );
    expect((await store.readOwnerUsage('ann')).storedBytes).toBe(6);
  });
}

function describeUploads(it: StoreIt): void {
  it('refuse an upload that has no room for what it declares, which takes none by itself', async ({
    store,
  }) => {
    await store.insertFile(aFile({ blob: aBlob('four') }));
    const refused = anUpload({ bytes: 7 });
    expect(await store.insertUpload(refused, stored(10))).toEqual(over('storedBytes', 10, 4, 7));
    expect(await store.getUpload('ann', refused.id, T0)).toBeNull();
    for (let i = 0; i < 2; i++)
      expect(await store.insertUpload(anUpload({ bytes: 6 }), stored(10))).toEqual(OK);
  });

  it('refuse a part that has no room, but not one that is there already', async ({ store }) => {
    const upload = anUpload();
    await store.insertUpload(upload);
    const add = (text: string, max: number) =>
      store.addUploadPart('ann', aPart(upload.id, text), stored(max));
    expect(await add('four', 4)).toEqual({ kind: 'ok', upload, blob: aBlob('four') });
    expect(await add('four', 4)).toEqual({ kind: 'ok', upload, blob: aBlob('four') });
    expect(await add('3..', 6)).toEqual(over('storedBytes', 6, 4, 3));
    expect(await store.readUploadParts(upload.id)).toHaveLength(2);
    expect(await add('3..', 7)).toEqual({ kind: 'ok', upload, blob: aBlob('3..') });
  });

  it('refuse a file of parts that repeat where the whole has no room, and leave its upload pending', async ({
    store,
  }) => {
    const upload = anUpload({ bytes: 8 });
    await store.insertUpload(upload);
    for (let i = 0; i < 2; i++) await store.addUploadPart('ann', aPart(upload.id, 'four'));
    const complete = (max: number) =>
      store.completeUpload('ann', upload.id, T0, aFile({ blob: aBlob('fourfour') }), stored(max));
    expect(await complete(7)).toEqual(over('storedBytes', 7, 4, 4));
    expect((await store.getUpload('ann', upload.id, T0))?.status).toBe('pending');
    expect(await complete(8)).toMatchObject({ kind: 'ok' });
    expect((await store.readOwnerUsage('ann')).storedBytes).toBe(8);
  });

  it('do not refuse a file that takes the room of its parts, though the limit is lower now', async ({
    store,
  }) => {
    const upload = anUpload({ bytes: 4 });
    await store.insertUpload(upload);
    await store.addUploadPart('ann', aPart(upload.id, 'four'));
    const file = aFile({ blob: aBlob('four') });
    expect(await store.completeUpload('ann', upload.id, T0, file, stored(1))).toMatchObject({ kind: 'ok' });
  });
}
