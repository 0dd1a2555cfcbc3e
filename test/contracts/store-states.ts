import { describe, expect } from 'vitest';
import { isTerminal } from '../../src/engine/batches/batch.ts';
import {
  batchIn,
  claim,
  claimStepOf,
  createBatch,
  failOf,
  finishOf,
  readBatch,
  startBatch,
  startOf,
  T0,
  wholeSegment,
} from '../helpers/store-fixtures.ts';
import type { Situation } from '../helpers/store-fixtures.ts';
import type { StoreIt } from './store-test.ts';

const SITUATIONS: readonly Situation[] = [
  'validating',
  'failed',
  'in_progress',
  'finalizing as completed',
  'finalizing as expired',
  'completed',
  'expired',
  'cancelling',
  'cancelled',
];

const LATER = T0 + 5000;

/** The states of a batch and who may change them. */
export function describeStates(it: StoreIt): void {
  describe('states', () => {
    describeCancel(it);
    describeExpiry(it);
    describeTimestamps(it);
  });
}

function describeCancel(it: StoreIt): void {
  for (const situation of SITUATIONS) {
    it(`cancel of a batch that is ${situation}`, async ({ store }) => {
      const before = await batchIn(store, situation);
      const result = await store.cancelBatch('ann', before.id, LATER);
      const after = await readBatch(store, before.id);
      if (situation === 'validating' || situation === 'in_progress') {
        expect(result).toEqual({ kind: 'ok', changed: true, batch: after });
        expect(after).toEqual({ ...before, status: 'cancelling', cancellingAt: LATER });
      } else if (situation === 'cancelling' || situation === 'cancelled') {
        expect(result).toEqual({ kind: 'ok', changed: false, batch: before });
        expect(after).toEqual(before);
      } else {
        expect(result).toEqual({ kind: 'refused', status: before.status });
        expect(after).toEqual(before);
      }
    });
  }

  it('cancel of an unknown batch, and of another owner’s, finds nothing', async ({ store }) => {
    const batch = await createBatch(store);
    expect(await store.cancelBatch('bob', batch.id, LATER)).toEqual({ kind: 'missing' });
    expect(await store.cancelBatch('ann', 'batch_unknown', LATER)).toEqual({ kind: 'missing' });
    expect((await readBatch(store, batch.id)).status).toBe('validating');
  });
}

function describeExpiry(it: StoreIt): void {
  for (const situation of SITUATIONS) {
    it(`the deadline of a batch that is ${situation}`, async ({ store }) => {
      const before = await batchIn(store, situation);
      expect(await store.expireBatches(before.expiresAt - 1)).toBe(0);
      const expires = situation === 'in_progress';
      expect(await store.expireBatches(before.expiresAt)).toBe(expires ? 1 : 0);
      const after = await readBatch(store, before.id);
      expect(after).toEqual(
        expires
          ? { ...before, status: 'finalizing', ending: 'expired', finalizingAt: before.expiresAt }
          : before,
      );
    });
  }

  it('expires each batch at its own deadline, and answers how many', async ({ store }) => {
    const first = await startBatch(store, { expiresAt: T0 + 10 });
    const second = await startBatch(store, { expiresAt: T0 + 10 });
    const later = await startBatch(store, { expiresAt: T0 + 20 });
    expect(await store.expireBatches(T0 + 15)).toBe(2);
    const statuses = [first, second, later].map(async ({ id }) => (await readBatch(store, id)).status);
    expect(await Promise.all(statuses)).toEqual(['finalizing', 'finalizing', 'in_progress']);
  });
}

function describeTimestamps(it: StoreIt): void {
  it('are set by the step that makes them true, and by no other', async ({ store }) => {
    const batch = await createBatch(store);
    const prepare = await claimStepOf(store, batch.id);
    await store.startBatch(startOf(prepare, { now: T0 + 1 }));
    await store.expireBatches(batch.expiresAt);
    const finalize = await claimStepOf(store, batch.id);
    await store.finishBatch(finishOf(finalize, 'expired', { now: batch.expiresAt + 9 }));
    expect(await readBatch(store, batch.id)).toMatchObject({
      status: 'expired',
      inProgressAt: T0 + 1,
      finalizingAt: batch.expiresAt,
      expiredAt: batch.expiresAt + 9,
      completedAt: null,
      failedAt: null,
      cancellingAt: null,
      cancelledAt: null,
    });
  });

  it('of each terminal state name just that one', async ({ store }) => {
    for (const status of ['completed', 'failed', 'expired', 'cancelled'] as const) {
      const batch = await batchIn(store, status);
      expect(isTerminal(batch.status)).toBe(true);
      const { completedAt, failedAt, expiredAt, cancelledAt } = batch;
      const set = Object.entries({ completedAt, failedAt, expiredAt, cancelledAt }).filter(
        ([, at]) => at !== null,
      );
      // An expired one ended at its deadline; the fixture's time lies before that.
      expect(set).toEqual([[`${status}At`, status === 'expired' ? batch.expiresAt : T0]]);
    }
  });

  it('are in order where the clock was set back between two steps', async ({ store }) => {
    const completing = await createBatch(store);
    const prepare = await claimStepOf(store, completing.id);
    await store.startBatch(startOf(prepare, { now: T0 - 1 }));
    const [held] = await claim(store);
    if (held === undefined) return expect.unreachable();
    await store.commitSegments([wholeSegment(held.chunk)], T0 - 2);
    const finalize = await claimStepOf(store, completing.id);
    await store.finishBatch(finishOf(finalize, 'completed', { now: T0 - 3 }));
    expect(await readBatch(store, completing.id)).toMatchObject({
      inProgressAt: T0,
      finalizingAt: T0,
      completedAt: T0,
    });

    const cancelling = await batchIn(store, 'in_progress');
    await store.cancelBatch('ann', cancelling.id, T0 - 1);
    const last = await claimStepOf(store, cancelling.id);
    await store.finishBatch(finishOf(last, 'cancelled', { now: T0 - 2 }));
    expect(await readBatch(store, cancelling.id)).toMatchObject({ cancellingAt: T0, cancelledAt: T0 });

    const failing = await createBatch(store);
    await store.failBatch(failOf(await claimStepOf(store, failing.id), { now: T0 - 1 }));
    expect(await readBatch(store, failing.id)).toMatchObject({ failedAt: T0 });
  });
}
