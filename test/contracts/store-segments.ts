import { describe, expect } from 'vitest';
import { decodeSegmentLines } from '../../src/engine/chunk.ts';
import type { NewSegment } from '../../src/engine/chunk.ts';
import type { Store } from '../../src/engine/ports.ts';
import {
  aSegment,
  chunksOf,
  claim,
  claimOne,
  claimStepOf,
  finishOf,
  readBatch,
  refOf,
  startBatch,
  T0,
  wholeSegment,
} from '../helpers/store-fixtures.ts';
import type { StoreIt } from './store-test.ts';

/** All that a commit may change. */
async function traces(store: Store, batchId: string) {
  return {
    batch: await readBatch(store, batchId),
    chunks: await store.readChunks(batchId, 0, 100),
    segments: await store.readSegments(batchId, 0),
  };
}

/** Expects that the segment is lost and nothing is different afterwards. */
async function expectLost(store: Store, segment: NewSegment): Promise<void> {
  const before = await traces(store, segment.batchId);
  expect(await store.commitSegments([segment], T0 + 9)).toEqual(['lost']);
  expect(await traces(store, segment.batchId)).toEqual(before);
}

/** Finished lines. */
export function describeSegments(it: StoreIt): void {
  describe('segments', () => {
    describeCommit(it);
    describeLost(it);
    describeLastLines(it);
    describeStoppedBatch(it);
    describeTrying(it);
  });
}

function describeCommit(it: StoreIt): void {
  it('keeps where the lines lie, which are done, and the counts', async ({ store }) => {
    const { id } = await startBatch(store, {}, chunksOf(1, { lineCount: 20 }));
    const chunk = await claimOne(store);
    const first = aSegment(chunk, [19, 0], { logPosition: 2 ** 40, failed: [0] });
    const second = aSegment(chunk, [8], { logPosition: 5 });
    expect(await store.commitSegments([first, second], T0)).toEqual(['ok', 'ok']);
    const segments = await store.readSegments(id, 0);
    expect(segments.map((segment) => ({ ...segment, lines: decodeSegmentLines(segment.lines) }))).toEqual([
      { chunkNumber: 0, logPosition: 2 ** 40, lines: first.lines },
      { chunkNumber: 0, logPosition: 5, lines: second.lines },
    ]);
    const [kept] = await store.readChunks(id, 0, 1);
    expect(Array.from(kept?.done ?? [])).toEqual([1, 1, 8]);
    expect((await readBatch(store, id)).counts).toEqual({ total: 20, completed: 2, failed: 1 });
  });

  it('keeps the segments of chunks and batches apart', async ({ store }) => {
    const one = await startBatch(store, {}, chunksOf(2));
    const two = await startBatch(store, {}, chunksOf(2));
    for (const { chunk, batch } of await claim(store)) {
      const logPosition = chunk.number + (batch.id === one.id ? 0 : 10);
      await store.commitSegments([aSegment(chunk, [0], { logPosition })], T0);
    }
    const positions = async (id: string, number: number) =>
      (await store.readSegments(id, number)).map(({ logPosition }) => logPosition);
    expect(await positions(one.id, 0)).toEqual([0]);
    expect(await positions(one.id, 1)).toEqual([1]);
    expect(await positions(two.id, 1)).toEqual([11]);
    expect(await positions(two.id, 2)).toEqual([]);
    expect(await positions('batch_unknown', 0)).toEqual([]);
  });

  it('answers done bits with a chunk that is claimed again', async ({ store }) => {
    await startBatch(store);
    const chunk = await claimOne(store);
    await store.commitSegments([aSegment(chunk, [1, 2])], T0);
    await store.releaseChunks([refOf(chunk)]);
    const again = await claimOne(store);
    expect(Array.from(again.done)).toEqual([0b110]);
    expect(Array.from(chunk.done)).toEqual([0]);
  });

  it('commits what it can of a group, in order', async ({ store }) => {
    const { id } = await startBatch(store, {}, chunksOf(2));
    const [a, b] = (await claim(store)).map(({ chunk }) => chunk);
    if (a === undefined || b === undefined) throw new Error('two chunks were to be claimed');
    const group = [aSegment(a, [0]), aSegment(a, [0, 1]), aSegment(b, [0], { epoch: 9 }), aSegment(b, [0])];
    expect(await store.commitSegments(group, T0)).toEqual(['ok', 'lost', 'lost', 'ok']);
    expect((await readBatch(store, id)).counts).toMatchObject({ completed: 2 });
    expect(await store.commitSegments([], T0)).toEqual([]);
  });
}

function describeLost(it: StoreIt): void {
  it('loses a segment with a line that is done already', async ({ store }) => {
    await startBatch(store);
    const chunk = await claimOne(store);
    const segment = aSegment(chunk, [1]);
    await store.commitSegments([segment], T0);
    await expectLost(store, segment);
    await expectLost(store, aSegment(chunk, [0, 1]));
  });

  it('loses a segment that names a line twice or one that the chunk does not have', async ({ store }) => {
    await startBatch(store, {}, chunksOf(1, { lineCount: 9 }));
    const chunk = await claimOne(store);
    await expectLost(store, aSegment(chunk, [3, 3]));
    await expectLost(store, aSegment(chunk, [9]));
    await expectLost(store, aSegment(chunk, [0, 800]));
  });

  it('loses a segment of an old epoch, or of a chunk that was given back', async ({ store }) => {
    await startBatch(store);
    const old = await claimOne(store);
    await store.releaseChunks([refOf(old)]);
    await expectLost(store, aSegment(old, [0]));
    const held = await claimOne(store);
    await expectLost(store, aSegment(old, [0]));
    await expectLost(store, aSegment(held, [0], { epoch: held.epoch + 1 }));
    expect(await store.commitSegments([aSegment(held, [0])], T0)).toEqual(['ok']);
  });

  it('loses a segment of a chunk that is done', async ({ store }) => {
    await startBatch(store, {}, chunksOf(2));
    const chunk = await claimOne(store);
    await store.commitSegments([wholeSegment(chunk)], T0);
    await expectLost(store, wholeSegment(chunk));
  });

  it('loses segments of unknown batches and chunks, and of a batch that has ended', async ({ store }) => {
    const { id } = await startBatch(store);
    const chunk = await claimOne(store);
    const segment = aSegment(chunk, [0]);
    const unknown = [
      { ...segment, batchId: 'batch_unknown' },
      { ...segment, chunkNumber: 1 },
    ];
    expect(await store.commitSegments(unknown, T0)).toEqual(['lost', 'lost']);
    await store.commitSegments([wholeSegment(chunk)], T0);
    await store.finishBatch(finishOf(await claimStepOf(store, id), 'completed'));
    await expectLost(store, segment);
  });
}

function describeLastLines(it: StoreIt): void {
  it('finalizes a running batch with the last line of its last chunk, not before', async ({ store }) => {
    const { id } = await startBatch(store, {}, chunksOf(2));
    const [a, b] = (await claim(store)).map(({ chunk }) => chunk);
    if (a === undefined || b === undefined) throw new Error('two chunks were to be claimed');
    await store.commitSegments([wholeSegment(b), aSegment(a, [0, 1, 2])], T0 + 1);
    expect(await readBatch(store, id)).toMatchObject({ status: 'in_progress', finalizingAt: null });
    await store.commitSegments([aSegment(a, [3], { failed: [3] })], T0 + 2);
    expect(await readBatch(store, id)).toMatchObject({
      status: 'finalizing',
      ending: 'completed',
      finalizingAt: T0 + 2,
      counts: { total: 8, completed: 7, failed: 1 },
    });
    expect(await claim(store)).toEqual([]);
  });

  it('finalizes each batch by its own chunks', async ({ store }) => {
    const one = await startBatch(store);
    const two = await startBatch(store);
    const claims = await claim(store);
    await store.commitSegments([...claims.map(({ chunk }) => wholeSegment(chunk))].slice(0, 1), T0);
    expect(await readBatch(store, one.id)).toMatchObject({ status: 'finalizing' });
    expect(await readBatch(store, two.id)).toMatchObject({ status: 'in_progress' });
  });
}

function describeStoppedBatch(it: StoreIt): void {
  it('keeps the answers that come while a batch is being cancelled', async ({ store }) => {
    const { id } = await startBatch(store);
    const chunk = await claimOne(store);
    await store.cancelBatch('ann', id, T0);
    expect(await store.commitSegments([wholeSegment(chunk)], T0)).toEqual(['ok']);
    expect(await readBatch(store, id)).toMatchObject({
      status: 'cancelling',
      ending: null,
      finalizingAt: null,
      counts: { completed: 4 },
    });
    expect(await store.findStoppedBatches('worker')).toEqual([]);
  });

  it('keeps the answers that come after the deadline, and still ends the batch as expired', async ({
    store,
  }) => {
    const { id, expiresAt } = await startBatch(store);
    const chunk = await claimOne(store);
    await store.expireBatches(expiresAt);
    expect(await store.commitSegments([wholeSegment(chunk)], expiresAt + 5)).toEqual(['ok']);
    expect(await readBatch(store, id)).toMatchObject({
      status: 'finalizing',
      ending: 'expired',
      finalizingAt: expiresAt,
      counts: { completed: 4 },
    });
  });
}

function describeTrying(it: StoreIt): void {
  it('notes the line that is tried alone only for the holder of the chunk', async ({ store }) => {
    await startBatch(store);
    const old = await claimOne(store);
    expect(await store.markTrying(refOf(old), 3)).toBe('ok');
    expect(await store.markTrying(refOf(old), null)).toBe('ok');
    await store.releaseChunks([refOf(old)]);
    expect(await store.markTrying(refOf(old), 3)).toBe('lost');
    const held = await claimOne(store);
    expect(await store.markTrying(refOf(old), 3)).toBe('lost');
    expect(await store.markTrying({ ...refOf(held), chunkNumber: 1 }, 3)).toBe('lost');
    expect(await store.markTrying({ ...refOf(held), batchId: 'batch_unknown' }, 3)).toBe('lost');
    await store.commitSegments([wholeSegment(held)], T0);
    expect(await store.markTrying(refOf(held), 3)).toBe('lost');
  });
}
