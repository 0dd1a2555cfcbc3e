import { describe, expect } from 'vitest';
import {
  aBlob,
  aChunk,
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
  readBatch,
  refOf,
  startBatch,
  startOf,
  T0,
  wholeSegment,
} from '../helpers/store-fixtures.ts';
import type { StoreIt } from './store-test.ts';

/** Steps: who prepares and finalizes a batch, and what these write. */
export function describeSteps(it: StoreIt): void {
  describe('steps', () => {
    describeClaiming(it);
    describeFinalizable(it);
    describeFences(it);
    describePrepare(it);
    describeFinish(it);
  });
}

function describeClaiming(it: StoreIt): void {
  it('hands out nothing where nothing waits', async ({ store }) => {
    expect(await store.claimBatchStep('worker', T0)).toBeNull();
    for (const situation of ['in_progress', 'failed', 'completed', 'expired', 'cancelled'] as const) {
      await batchIn(store, situation);
      expect(await store.claimBatchStep('worker', T0), situation).toBeNull();
    }
  });

  it('hands out the preparation of a validating batch, once', async ({ store }) => {
    const batch = await createBatch(store);
    expect(await store.claimBatchStep('worker', T0)).toEqual({
      step: 'prepare',
      batch,
      input: null,
      epoch: 1,
    });
    expect(await store.claimBatchStep('other', T0)).toBeNull();
  });

  for (const situation of ['finalizing as completed', 'finalizing as expired', 'cancelling'] as const) {
    it(`hands out the end of a batch that is ${situation}, once, with its input and counts`, async ({
      store,
    }) => {
      const batch = await batchIn(store, situation);
      expect(await store.claimBatchStep('worker', T0)).toEqual({
        step: 'finalize',
        batch,
        input: aBlob('the input'),
        epoch: 2,
      });
      expect(await store.claimBatchStep('other', T0)).toBeNull();
    });
  }

  it('hands out steps by priority, then by deadline, then by age', async ({ store }) => {
    const old = await createBatch(store, { expiresAt: T0 + 9 });
    const young = await createBatch(store, { expiresAt: T0 + 9 });
    const urgent = await createBatch(store, { expiresAt: T0 + 8 });
    const high = await startBatch(store, { priority: 1, expiresAt: T0 + 20 });
    await store.cancelBatch('ann', high.id, T0);
    const low = await createBatch(store, { priority: -1, expiresAt: T0 });
    const order: string[] = [];
    for (
      let step = await store.claimBatchStep('w', T0);
      step !== null;
      step = await store.claimBatchStep('w', T0)
    ) {
      order.push(step.batch.id);
    }
    expect(order).toEqual([high.id, urgent.id, old.id, young.id, low.id]);
  });
}

function describeFinalizable(it: StoreIt): void {
  it('does not hand out the end of a batch while a chunk of it is claimed', async ({ store }) => {
    const { id } = await startBatch(store, {}, chunksOf(2));
    const [first, second] = (await claim(store)).map(({ chunk }) => chunk);
    await store.cancelBatch('ann', id, T0);
    expect(await store.claimBatchStep('worker', T0)).toBeNull();
    if (first === undefined || second === undefined) throw new Error('two chunks were to be claimed');
    await store.releaseChunks([refOf(first)]);
    expect(await store.claimBatchStep('worker', T0)).toBeNull();
    await store.commitSegments([wholeSegment(second)], T0);
    expect(await store.claimBatchStep('worker', T0)).toMatchObject({ step: 'finalize', batch: { id } });
  });

  it('is not kept from it by the chunks of another batch', async ({ store }) => {
    const other = await startBatch(store);
    await claimOne(store);
    const { id } = await startBatch(store);
    await store.cancelBatch('ann', id, T0);
    expect((await store.claimBatchStep('worker', T0))?.batch.id).toBe(id);
    expect(await readBatch(store, other.id)).toEqual(other);
  });

  it('hands out the end of a batch that was cancelled before it started', async ({ store }) => {
    const { id } = await createBatch(store);
    await store.cancelBatch('ann', id, T0);
    const step = await claimStepOf(store, id);
    expect(step).toMatchObject({ step: 'finalize', input: null, batch: { counts: { total: 0 } } });
    expect(await store.finishBatch(finishOf(step, 'cancelled'))).toBe('ok');
    expect(await readBatch(store, id)).toMatchObject({ status: 'cancelled', inProgressAt: null });
  });
}

function describeFences(it: StoreIt): void {
  it('hands out a released step again, with a higher epoch', async ({ store }) => {
    const { id } = await createBatch(store);
    const first = await claimStepOf(store, id);
    expect(await store.releaseBatchStep(id, first.epoch)).toBe('ok');
    const second = await claimStepOf(store, id);
    expect(second.epoch).toBeGreaterThan(first.epoch);
    expect(await store.releaseBatchStep(id, first.epoch)).toBe('lost');
    expect(await store.claimBatchStep('other', T0)).toBeNull();
  });

  it('loses the writes of a step that was released, whether claimed again or not', async ({ store }) => {
    const batch = await createBatch(store);
    const old = await claimStepOf(store, batch.id);
    await store.releaseBatchStep(batch.id, old.epoch);
    for (const again of [false, true]) {
      if (again) await claimStepOf(store, batch.id);
      expect(await store.startBatch(startOf(old))).toBe('lost');
      expect(await store.failBatch(failOf(old))).toBe('lost');
      expect(await store.releaseBatchStep(batch.id, old.epoch)).toBe('lost');
      expect(await store.getBatch('ann', batch.id)).toEqual(batch);
      expect(await store.readChunks(batch.id, 0, 10)).toEqual([]);
    }
  });

  it('loses the end of a step that was released, whether claimed again or not', async ({ store }) => {
    const batch = await batchIn(store, 'cancelling');
    const old = await claimStepOf(store, batch.id);
    await store.releaseBatchStep(batch.id, old.epoch);
    const outputFile = aFile();
    for (const again of [false, true]) {
      if (again) await claimStepOf(store, batch.id);
      expect(await store.finishBatch(finishOf(old, 'cancelled', { outputFile }))).toBe('lost');
      expect(await store.getBatch('ann', batch.id)).toEqual(batch);
      expect(await store.getFile('ann', outputFile.id, T0)).toBeNull();
    }
  });

  it('loses the writes of steps of unknown batches', async ({ store }) => {
    const batch = await createBatch(store);
    const step = { batch: { ...batch, id: 'batch_unknown' }, epoch: 0 };
    expect(await store.releaseBatchStep('batch_unknown', 0)).toBe('lost');
    expect(await store.startBatch(startOf(step))).toBe('lost');
    expect(await store.failBatch(failOf(step))).toBe('lost');
    expect(await store.finishBatch(finishOf(step, 'completed'))).toBe('lost');
    expect(await store.releaseBatchStep(batch.id, 0)).toBe('lost');
  });

  for (const verb of ['start', 'fail'] as const) {
    it(`loses a ${verb} that a cancel came before, and lets the batch be finalized`, async ({ store }) => {
      const { id } = await createBatch(store);
      const step = await claimStepOf(store, id);
      await store.cancelBatch('ann', id, T0);
      expect(await store.claimBatchStep('other', T0)).toBeNull();
      const event = anEvent(step.batch, 'batch.failed', T0, ['http://hook']);
      const write =
        verb === 'start'
          ? store.startBatch(startOf(step, { event }))
          : store.failBatch(failOf(step, { event }));
      expect(await write).toBe('lost');
      expect(await store.claimDeliveries('worker', T0, 10)).toEqual([]);
      expect(await store.readChunks(id, 0, 10)).toEqual([]);
      expect(await store.claimBatchStep('other', T0)).toMatchObject({ step: 'finalize', batch: { id } });
    });
  }
}

function describePrepare(it: StoreIt): void {
  it('starts a batch with its chunks, model and total', async ({ store }) => {
    const batch = await createBatch(store);
    const step = await claimStepOf(store, batch.id);
    const chunks = [aChunk(0, { lineCount: 9, model: 'large' }), aChunk(1, { firstLine: 10, lineCount: 3 })];
    expect(await store.startBatch(startOf(step, { chunks, model: null, now: T0 + 5 }))).toBe('ok');
    expect(await store.getBatch('ann', batch.id)).toEqual({
      ...batch,
      status: 'in_progress',
      inProgressAt: T0 + 5,
      counts: { total: 12, completed: 0, failed: 0 },
    });
    const kept = await store.readChunks(batch.id, 0, 10);
    expect(kept).toEqual([
      { ...chunks[0], done: new Uint8Array(2) },
      { ...chunks[1], done: new Uint8Array(1) },
    ]);
    expect(await store.claimBatchStep('worker', T0)).toBeNull();
  });

  it('reads chunks by pages', async ({ store }) => {
    const { id } = await startBatch(store, {}, chunksOf(5));
    await startBatch(store, {}, chunksOf(5));
    const numbers = async (from: number, limit: number) =>
      (await store.readChunks(id, from, limit)).map(({ number }) => number);
    expect(await numbers(0, 2)).toEqual([0, 1]);
    expect(await numbers(2, 2)).toEqual([2, 3]);
    expect(await numbers(4, 2)).toEqual([4]);
    expect(await numbers(5, 2)).toEqual([]);
    expect(await store.readChunks('batch_unknown', 0, 10)).toEqual([]);
  });

  it('fails a batch with its errors', async ({ store }) => {
    const batch = await createBatch(store);
    const errors = [
      { code: 'invalid_url', message: 'Not "this" one: ü', param: 'url', line: 7 },
      { code: 'empty_file', message: '…', param: null, line: null },
    ];
    expect(await store.failBatch(failOf(await claimStepOf(store, batch.id), { errors, now: T0 + 5 }))).toBe(
      'ok',
    );
    expect(await store.getBatch('ann', batch.id)).toEqual({
      ...batch,
      status: 'failed',
      failedAt: T0 + 5,
      errors,
    });
  });
}

function describeFinish(it: StoreIt): void {
  it('ends a batch with its files, and drops its chunks and segments', async ({ store }) => {
    const { id } = await startBatch(store, {}, chunksOf(2));
    const other = await startBatch(store);
    for (const { chunk } of await claim(store)) {
      await store.commitSegments([chunk.batchId === id ? wholeSegment(chunk) : aSegment(chunk, [0])], T0);
    }
    const step = await claimStepOf(store, id);
    const outputFile = aFile({ purpose: 'batch_output', expiresAt: T0 + 99 });
    const errorFile = aFile({ purpose: 'batch_output' });
    const finish = finishOf(step, 'completed', { outputFile, errorFile, now: T0 + 7 });
    expect(await store.finishBatch(finish)).toBe('ok');
    expect(await store.getBatch('ann', id)).toEqual({
      ...step.batch,
      status: 'completed',
      completedAt: T0 + 7,
      outputFileId: outputFile.id,
      errorFileId: errorFile.id,
    });
    expect(await store.getFile('ann', outputFile.id, T0)).toEqual(outputFile);
    expect(await store.getFile('ann', errorFile.id, T0)).toEqual(errorFile);
    expect(await store.readChunks(id, 0, 10)).toEqual([]);
    expect(await store.readSegments(id, 0)).toEqual([]);
    expect(await store.readChunks(other.id, 0, 10)).toHaveLength(1);
    expect(await store.readSegments(other.id, 0)).toHaveLength(1);
    expect(await store.finishBatch(finish)).toBe('lost');
  });

  it('can be tried again after it was refused', async ({ store }) => {
    const { id } = await batchIn(store, 'finalizing as expired');
    const step = await claimStepOf(store, id);
    await expect(store.finishBatch(finishOf(step, 'completed'))).rejects.toThrow(id);
    expect(await store.finishBatch(finishOf(step, 'expired'))).toBe('ok');
  });

  it('ends a cancelled batch with what was done and what was not', async ({ store }) => {
    const { id } = await startBatch(store);
    const chunk = await claimOne(store);
    await store.commitSegments([aSegment(chunk, [2])], T0);
    await store.cancelBatch('ann', id, T0);
    await store.releaseChunks([refOf(chunk)]);
    const step = await claimStepOf(store, id);
    const [kept] = await store.readChunks(id, 0, 10);
    expect(Array.from(kept?.done ?? [])).toEqual([0b100]);
    const counts = { total: 4, completed: 1, failed: 3 };
    await store.finishBatch(finishOf(step, 'cancelled', { counts, now: T0 + 9 }));
    expect(await readBatch(store, id)).toMatchObject({ status: 'cancelled', counts, cancelledAt: T0 + 9 });
  });
}
