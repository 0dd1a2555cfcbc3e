import { describe, expect } from 'vitest';
import type { Batch } from '../../src/engine/batches/batch.ts';
import type { BatchStep } from '../../src/engine/ports.ts';
import {
  aBlob,
  aFile,
  anEvent,
  anOwner,
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

/** The steps that workers hold: prepare and finalize. */
export function describeSteps(it: StoreIt): void {
  describe('steps', () => {
    describeClaiming(it);
    describeStart(it);
    describeFail(it);
    describeFinish(it);
  });
}

function describeClaiming(it: StoreIt): void {
  it('are claimed by priority, then by deadline, each once', async ({ store }) => {
    const late = await createBatch(store, { expiresAt: T0 + 20 });
    const soon = await createBatch(store, { expiresAt: T0 + 10 });
    const urgent = await createBatch(store, { priority: 1, expiresAt: T0 + 30 });
    const order: string[] = [];
    for (
      let step = await store.claimBatchStep('w', T0);
      step !== null;
      step = await store.claimBatchStep('w', T0)
    ) {
      expect(step).toMatchObject({ step: 'prepare', input: null, batch: { status: 'validating' } });
      order.push(step.batch.id);
    }
    expect(order).toEqual([urgent.id, soon.id, late.id]);
  });

  it('are claimed of the owner with the fewest under way for its weight, in turns where these have as few', async ({
    store,
  }) => {
    await store.putOwner(anOwner({ name: 'bob', weight: 2 }));
    const create = async (owner: string, fields: Partial<Batch> = {}) =>
      await createBatch(store, { owner, expiresAt: T0 + 20, ...fields });
    for (let i = 0; i < 3; i++) await create('ann', { priority: 9, expiresAt: T0 + 10 });
    for (let i = 0; i < 3; i++) await create('bob');
    const order: string[] = [];
    const steps: BatchStep[] = [];
    const next = async () => {
      const step = await store.claimBatchStep('w', T0);
      if (step === null) return;
      order.push(step.batch.owner);
      steps.push(step);
    };
    for (let i = 0; i < 4; i++) await next();
    expect(order).toEqual(['ann', 'bob', 'bob', 'ann']);
    for (const step of steps.filter(({ batch }) => batch.owner === 'ann')) {
      await store.failBatch(failOf(step));
    }
    await next();
    expect(order.at(-1)).toBe('ann');
  });

  it('are shared out between owners in the same way where several are claimed at once', async ({ store }) => {
    for (const owner of ['ann', 'bob']) for (let i = 0; i < 8; i++) await createBatch(store, { owner });
    const steps = await Promise.all(Array.from({ length: 8 }, () => store.claimBatchStep('w', T0)));
    const countOf = (owner: string) => steps.filter((step) => step?.batch.owner === owner).length;
    expect([countOf('ann'), countOf('bob')]).toEqual([4, 4]);
  });

  for (const situation of ['in_progress', 'completed', 'failed', 'expired', 'cancelled'] as const) {
    it(`there is none of a batch that is ${situation}`, async ({ store }) => {
      await batchIn(store, situation);
      expect(await store.claimBatchStep('w', T0)).toBeNull();
    });
  }

  for (const situation of ['finalizing as completed', 'finalizing as expired', 'cancelling'] as const) {
    it(`finalize is the one of a batch that is ${situation}, with its input`, async ({ store }) => {
      const batch = await batchIn(store, situation);
      const step = await store.claimBatchStep('w', T0);
      expect(step).toMatchObject({ step: 'finalize', batch, input: aBlob('the input') });
    });
  }

  it('wait while a chunk of the batch is claimed', async ({ store }) => {
    const batch = await startBatch(store);
    const chunk = await claimOne(store);
    await store.cancelBatch('ann', batch.id, T0);
    expect(await store.claimBatchStep('w', T0)).toBeNull();
    await store.releaseChunks([refOf(chunk)]);
    expect((await store.claimBatchStep('w', T0))?.batch.id).toBe(batch.id);
  });

  it('can be given back once, and are claimed again with a higher epoch', async ({ store }) => {
    const { id } = await createBatch(store);
    const first = await claimStepOf(store, id);
    expect(await store.releaseBatchStep(id, first.epoch)).toBe('ok');
    expect(await store.releaseBatchStep(id, first.epoch)).toBe('lost');
    const second = await claimStepOf(store, id);
    expect(second.epoch).toBeGreaterThan(first.epoch);
    expect(await store.startBatch(startOf(first))).toBe('lost');
    expect(await store.failBatch(failOf(first))).toBe('lost');
    expect(await store.releaseBatchStep(id, first.epoch)).toBe('lost');
    expect(await store.startBatch(startOf(second))).toBe('ok');
  });
}

function describeStart(it: StoreIt): void {
  it('makes the batch run with its total, model and chunks', async ({ store }) => {
    const { id } = await createBatch(store);
    const step = await claimStepOf(store, id);
    const chunks = chunksOf(3);
    expect(await store.startBatch(startOf(step, { chunks, model: 'large', now: T0 + 7 }))).toBe('ok');
    expect(await readBatch(store, id)).toMatchObject({
      status: 'in_progress',
      inProgressAt: T0 + 7,
      model: 'large',
      counts: { total: 12, completed: 0, failed: 0 },
    });
    const records = await store.readChunks(id, 0, 100);
    expect(records.map(({ done: _done, index, ...chunk }) => ({ ...chunk, index: [...index] }))).toEqual(
      chunks.map(({ index, ...chunk }) => ({ ...chunk, index: [...index] })),
    );
    expect(await store.startBatch(startOf(step, { chunks }))).toBe('lost');
  });

  it('pages through the chunks', async ({ store }) => {
    const { id } = await startBatch(store, {}, chunksOf(5));
    const numbers = async (from: number, limit: number) =>
      (await store.readChunks(id, from, limit)).map((chunk) => chunk.number);
    expect(await numbers(0, 2)).toEqual([0, 1]);
    expect(await numbers(2, 10)).toEqual([2, 3, 4]);
    expect(await numbers(5, 10)).toEqual([]);
    expect(await store.readChunks('batch_unknown', 0, 10)).toEqual([]);
  });

  it('is lost where the batch was cancelled meanwhile, which frees its step', async ({ store }) => {
    const { id } = await createBatch(store);
    const step = await claimStepOf(store, id);
    await store.cancelBatch('ann', id, T0);
    expect(await store.claimBatchStep('other', T0)).toBeNull();
    expect(await store.startBatch(startOf(step))).toBe('lost');
    expect(await store.readChunks(id, 0, 10)).toEqual([]);
    expect((await store.claimBatchStep('other', T0))?.step).toBe('finalize');
  });
}

function describeFail(it: StoreIt): void {
  it('ends the batch with its errors', async ({ store }) => {
    const { id } = await createBatch(store);
    const errors = [
      { code: 'invalid_json_line', message: 'm "quoted"', param: null, line: 3 },
      { code: 'duplicate_custom_id', message: 'n', param: 'custom_id', line: 4 },
    ];
    const step = await claimStepOf(store, id);
    expect(await store.failBatch(failOf(step, { errors, now: T0 + 2 }))).toBe('ok');
    expect(await readBatch(store, id)).toMatchObject({ status: 'failed', failedAt: T0 + 2, errors });
    expect(await store.failBatch(failOf(step))).toBe('lost');
  });

  it('is lost where the batch was cancelled meanwhile, which frees its step', async ({ store }) => {
    const { id } = await createBatch(store);
    const step = await claimStepOf(store, id);
    await store.cancelBatch('ann', id, T0);
    expect(await store.failBatch(failOf(step))).toBe('lost');
    expect((await readBatch(store, id)).status).toBe('cancelling');
    expect((await store.claimBatchStep('other', T0))?.step).toBe('finalize');
  });
}

function describeFinish(it: StoreIt): void {
  it('inserts the files, freezes counts and usage, and drops chunks and segments', async ({ store }) => {
    const { id } = await startBatch(store);
    const chunk = await claimOne(store);
    const usage = { inputTokens: 9, cachedTokens: 0, outputTokens: 1, reasoningTokens: 0, totalTokens: 10 };
    await store.commitSegments([{ ...wholeSegment(chunk), usage }], T0);
    const step = await claimStepOf(store, id);
    const [outputFile, errorFile] = [aFile({ purpose: 'batch_output' }), aFile({ purpose: 'batch_output' })];
    const counts = { total: 4, completed: 3, failed: 1 };
    const finish = finishOf(step, 'completed', { outputFile, errorFile, counts, now: T0 + 3 });
    expect(await store.finishBatch(finish)).toBe('ok');
    expect(await readBatch(store, id)).toMatchObject({
      status: 'completed',
      completedAt: T0 + 3,
      outputFileId: outputFile.id,
      errorFileId: errorFile.id,
      counts,
      usage,
    });
    expect(await store.getFile('ann', outputFile.id, T0)).toEqual(outputFile);
    expect(await store.readChunks(id, 0, 10)).toEqual([]);
    expect(await store.readSegments(id, 0)).toEqual([]);
    expect(await store.finishBatch(finish)).toBe('lost');
  });

  it('of a batch that was cancelled before its start needs no chunks', async ({ store }) => {
    const { id } = await createBatch(store);
    await store.cancelBatch('ann', id, T0);
    const step = await claimStepOf(store, id);
    expect(step).toMatchObject({ step: 'finalize', input: null });
    expect(await store.finishBatch(finishOf(step, 'cancelled'))).toBe('ok');
    expect((await readBatch(store, id)).status).toBe('cancelled');
  });

  it('rejects, changing nothing, where it would end otherwise than the batch is to end', async ({
    store,
  }) => {
    const wrong = [
      ['cancelling', 'completed'],
      ['cancelling', 'expired'],
      ['finalizing as completed', 'expired'],
      ['finalizing as expired', 'completed'],
      ['finalizing as expired', 'cancelled'],
    ] as const;
    for (const [situation, status] of wrong) {
      const before = await batchIn(store, situation);
      const step = await claimStepOf(store, before.id);
      const outputFile = aFile();
      await expect(store.finishBatch(finishOf(step, status, { outputFile }))).rejects.toThrow(/./);
      expect(await readBatch(store, before.id)).toEqual(before);
      expect(await store.getFile('ann', outputFile.id, T0)).toBeNull();
      await store.releaseBatchStep(before.id, step.epoch);
      await store.finishBatch(
        finishOf(
          await claimStepOf(store, before.id),
          situation === 'cancelling' ? 'cancelled' : (before.ending ?? 'completed'),
        ),
      );
    }
  });

  it('fences a finalizer whose step was taken over', async ({ store }) => {
    const { id } = await startBatch(store);
    for (const { chunk } of await claim(store)) await store.commitSegments([wholeSegment(chunk)], T0);
    const stale = await claimStepOf(store, id);
    await store.releaseDeadLeases(T0);
    const file = aFile();
    const event = anEvent({ id, owner: 'ann' }, 'batch.completed');
    expect(await store.finishBatch(finishOf(stale, 'completed', { outputFile: file, event }))).toBe('lost');
    expect(await store.getFile('ann', file.id, T0)).toBeNull();
    expect(await store.finishBatch(finishOf(await claimStepOf(store, id), 'completed'))).toBe('ok');
  });
}
