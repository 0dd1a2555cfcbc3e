import { describe, expect } from 'vitest';
import { decodeSegmentLines } from '../../src/engine/run/chunk.ts';
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

/** Finished lines. */
export function describeSegments(it: StoreIt): void {
  describe('segments', () => {
    describeCommit(it);
    describeFences(it);
    describeEnd(it);
  });
}

function describeCommit(it: StoreIt): void {
  it('come back as they were committed, and their lines are done', async ({ store }) => {
    const { id } = await startBatch(store);
    const chunk = await claimOne(store);
    const first = aSegment(chunk, [3, 0], { logPosition: 2 ** 40, failed: [0] });
    expect(await store.commitSegments([first, aSegment(chunk, [1], { logPosition: 7 })], T0)).toEqual([
      'ok',
      'ok',
    ]);
    const segments = await store.readSegments(id, 0);
    expect(segments.map(({ logPosition, chunkNumber }) => [logPosition, chunkNumber])).toEqual([
      [2 ** 40, 0],
      [7, 0],
    ]);
    expect(decodeSegmentLines(segments[0]?.lines ?? new Uint8Array())).toEqual(first.lines);
    expect([...((await store.readChunks(id, 0, 1))[0]?.done ?? [])]).toEqual([0b1011]);
    expect(await store.readSegments(id, 1)).toEqual([]);
  });

  it('of several chunks and batches are committed together', async ({ store }) => {
    const batches = [await startBatch(store, {}, chunksOf(2)), await startBatch(store)];
    const chunks = await claim(store);
    const segments = chunks.map(({ chunk }) => aSegment(chunk, [1]));
    expect(await store.commitSegments(segments, T0)).toEqual(['ok', 'ok', 'ok']);
    const completed = batches.map(async ({ id }) => (await readBatch(store, id)).counts.completed);
    expect(await Promise.all(completed)).toEqual([2, 1]);
  });

  it('of tokens without end are summed up to 2^53 - 1, also when the batch ends', async ({ store }) => {
    const { id } = await startBatch(store, {}, chunksOf(5, { lineCount: 256 }));
    const most = Number.MAX_SAFE_INTEGER;
    const usage = {
      inputTokens: most,
      cachedTokens: 1,
      outputTokens: 0,
      reasoningTokens: most,
      totalTokens: most,
    };
    for (const { chunk } of await claim(store)) {
      const lines = [...Array(256).keys()].map((place) => aSegment(chunk, [place], { usage }));
      expect(new Set(await store.commitSegments(lines, T0))).toEqual(new Set(['ok']));
    }
    const summed = { ...usage, cachedTokens: 5 * 256 };
    expect((await readBatch(store, id)).usage).toEqual(summed);
    const step = await claimStepOf(store, id);
    expect(await store.finishBatch(finishOf(step, 'completed'))).toBe('ok');
    expect((await readBatch(store, id)).usage).toEqual(summed);
  });

  it('clear the count of crashes', async ({ store }) => {
    await startBatch(store);
    await claimOne(store);
    await store.releaseDeadLeases(T0);
    const chunk = await claimOne(store);
    expect(chunk.crashes).toBe(1);
    await store.commitSegments([aSegment(chunk, [0])], T0);
    await store.releaseChunks([refOf(chunk)]);
    expect((await claimOne(store)).crashes).toBe(0);
  });
}

function describeFences(it: StoreIt): void {
  it('of an older epoch, and of a chunk that is not claimed, are lost without a trace', async ({ store }) => {
    const { id } = await startBatch(store);
    const stale = await claimOne(store);
    await store.releaseDeadLeases(T0);
    expect(await store.commitSegments([aSegment(stale, [0])], T0)).toEqual(['lost']);
    const chunk = await claimOne(store);
    const results = await store.commitSegments([aSegment(stale, [0]), aSegment(chunk, [1])], T0);
    expect(results).toEqual(['lost', 'ok']);
    await store.releaseChunks([refOf(chunk)]);
    expect(await store.commitSegments([aSegment(chunk, [2])], T0)).toEqual(['lost']);
    expect((await readBatch(store, id)).counts.completed).toBe(1);
    expect(await store.readSegments(id, 0)).toHaveLength(1);
  });

  it('with a line that is done already are lost as a whole', async ({ store }) => {
    const { id } = await startBatch(store);
    const chunk = await claimOne(store);
    expect(await store.commitSegments([aSegment(chunk, [0]), aSegment(chunk, [0, 1])], T0)).toEqual([
      'ok',
      'lost',
    ]);
    expect(await store.commitSegments([aSegment(chunk, [0])], T0)).toEqual(['lost']);
    expect(await readBatch(store, id)).toMatchObject({ counts: { completed: 1 } });
    expect(await store.commitSegments([aSegment(chunk, [1])], T0)).toEqual(['ok']);
  });

  it('of an unknown or ended batch are lost', async ({ store }) => {
    const { id } = await startBatch(store);
    const chunk = await claimOne(store);
    const unknown = { ...aSegment(chunk, [0]), batchId: 'batch_unknown' };
    expect(await store.commitSegments([unknown], T0)).toEqual(['lost']);
    await store.cancelBatch('ann', id, T0);
    await store.releaseChunks([refOf(chunk)]);
    await store.finishBatch(finishOf(await claimStepOf(store, id), 'cancelled'));
    expect(await store.commitSegments([aSegment(chunk, [0])], T0)).toEqual(['lost']);
  });
}

function describeEnd(it: StoreIt): void {
  it('with the last lines of the batch make it finalizing', async ({ store }) => {
    const { id } = await startBatch(store, {}, chunksOf(2));
    const chunks = await claim(store);
    const [first, second] = chunks.map(({ chunk }) => wholeSegment(chunk));
    if (first === undefined || second === undefined) return expect.unreachable();
    await store.commitSegments([first], T0 + 1);
    expect((await readBatch(store, id)).status).toBe('in_progress');
    await store.commitSegments([second], T0 + 2);
    expect(await readBatch(store, id)).toMatchObject({
      status: 'finalizing',
      ending: 'completed',
      finalizingAt: T0 + 2,
      counts: { total: 8, completed: 8, failed: 0 },
    });
    expect((await store.claimBatchStep('w', T0))?.step).toBe('finalize');
  });

  it('of a batch that stopped meanwhile are kept, and change neither its state nor how it ends', async ({
    store,
  }) => {
    const cancelled = await startBatch(store);
    const expired = await startBatch(store, { expiresAt: T0 + 1 });
    const chunks = await claim(store);
    await store.cancelBatch('ann', cancelled.id, T0);
    await store.expireBatches(T0 + 1);
    const segments = chunks.map(({ chunk }) => wholeSegment(chunk));
    expect(await store.commitSegments(segments, T0 + 9)).toEqual(['ok', 'ok']);
    const completed = { counts: { completed: 4 } };
    expect(await readBatch(store, cancelled.id)).toMatchObject({
      status: 'cancelling',
      finalizingAt: null,
      ...completed,
    });
    expect(await readBatch(store, expired.id)).toMatchObject({
      ending: 'expired',
      finalizingAt: T0 + 1,
      ...completed,
    });
  });
}
