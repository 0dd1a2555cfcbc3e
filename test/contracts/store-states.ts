import { describe, expect } from 'vitest';
import type { CancelResult, Fenced, Store } from '../../src/engine/ports.ts';
import { batchIn, claimStepOf, failOf, finishOf, readBatch, startOf, T0 } from '../helpers/store-fixtures.ts';
import type { FinishOptions, Situation } from '../helpers/store-fixtures.ts';
import type { StoreIt } from './store-test.ts';

const NOW = T0 + 50;

/** Verbs that may change a batch's state. `fatal`: the store rejects, because the caller confuses states. */
interface Row {
  readonly cancel: 'changed' | 'unchanged' | 'refused';
  readonly start: Fenced;
  readonly fail: Fenced;
  readonly expire: boolean;
  readonly completed: Fenced | 'fatal';
  readonly expired: Fenced | 'fatal';
  readonly cancelled: Fenced | 'fatal';
}

const ENDED: Row = {
  cancel: 'refused',
  start: 'lost',
  fail: 'lost',
  expire: false,
  completed: 'lost',
  expired: 'lost',
  cancelled: 'lost',
};
const FINALIZING: Row = { ...ENDED, completed: 'fatal', expired: 'fatal', cancelled: 'fatal' };

/** What each verb does in each situation; for verbs that need a claimed step, one that is claimed where it can be. */
const TABLE: Readonly<Record<Situation, Row>> = {
  validating: { ...FINALIZING, cancel: 'changed', start: 'ok', fail: 'ok' },
  in_progress: { ...ENDED, cancel: 'changed', expire: true },
  'finalizing as completed': { ...FINALIZING, completed: 'ok' },
  'finalizing as expired': { ...FINALIZING, expired: 'ok' },
  cancelling: { ...FINALIZING, cancel: 'unchanged', cancelled: 'ok' },
  failed: ENDED,
  completed: ENDED,
  expired: ENDED,
  cancelled: { ...ENDED, cancel: 'unchanged' },
};

const STEPLESS: readonly Situation[] = ['in_progress', 'failed', 'completed', 'expired', 'cancelled'];

/** The claimed step of the batch; where there is none to claim, the epoch of the last one that was. */
async function stepIn(store: Store, situation: Situation, id: string) {
  if (!STEPLESS.includes(situation)) return await claimStepOf(store, id);
  const epoch = situation === 'in_progress' || situation === 'failed' ? 1 : 2;
  return { batch: await readBatch(store, id), epoch };
}

function cancelKind(result: CancelResult): string {
  if (result.kind !== 'ok') return result.kind;
  return result.changed ? 'changed' : 'unchanged';
}

/** Every state with every verb that may change it. */
export function describeStates(it: StoreIt): void {
  describe('states', () => {
    for (const [situation, row] of Object.entries(TABLE) as [Situation, Row][]) {
      describeCancel(it, situation, row);
      describeStartAndFail(it, situation, row);
      describeExpire(it, situation, row);
      for (const end of ['completed', 'expired', 'cancelled'] as const)
        describeFinish(it, situation, end, row[end]);
    }
  });
}

function describeCancel(it: StoreIt, situation: Situation, row: Row): void {
  it(`${situation}, on cancel: ${row.cancel}`, async ({ store }) => {
    const before = await batchIn(store, situation);
    const result = await store.cancelBatch('ann', before.id, NOW);
    expect(cancelKind(result)).toBe(row.cancel);
    if (result.kind === 'refused') expect(result.status).toBe(before.status);
    const change = row.cancel === 'changed' ? { status: 'cancelling', cancellingAt: NOW } : {};
    expect(await store.getBatch('ann', before.id)).toEqual({ ...before, ...change });
  });
}

function describeStartAndFail(it: StoreIt, situation: Situation, row: Row): void {
  it(`${situation}, on start: ${row.start}`, async ({ store }) => {
    const before = await batchIn(store, situation);
    const step = await stepIn(store, situation, before.id);
    expect(await store.startBatch(startOf(step, { now: NOW, model: 'large' }))).toBe(row.start);
    const counts = { total: 4, completed: 0, failed: 0 };
    const change =
      row.start === 'ok' ? { status: 'in_progress', inProgressAt: NOW, model: 'large', counts } : {};
    expect(await store.getBatch('ann', before.id)).toEqual({ ...before, ...change });
  });

  it(`${situation}, on fail: ${row.fail}`, async ({ store }) => {
    const before = await batchIn(store, situation);
    const fail = failOf(await stepIn(store, situation, before.id), { now: NOW });
    expect(await store.failBatch(fail)).toBe(row.fail);
    const change = row.fail === 'ok' ? { status: 'failed', failedAt: NOW, errors: fail.errors } : {};
    expect(await store.getBatch('ann', before.id)).toEqual({ ...before, ...change });
  });
}

function describeExpire(it: StoreIt, situation: Situation, row: Row): void {
  it(`${situation}, past its deadline: ${row.expire ? 'finalizing' : 'unchanged'}`, async ({ store }) => {
    const before = await batchIn(store, situation);
    expect(await store.expireBatches(before.expiresAt)).toBe(row.expire ? 1 : 0);
    const change = { status: 'finalizing', ending: 'expired', finalizingAt: before.expiresAt };
    expect(await store.getBatch('ann', before.id)).toEqual({ ...before, ...(row.expire ? change : {}) });
  });
}

function describeFinish(
  it: StoreIt,
  situation: Situation,
  end: FinishOptions['status'],
  expected: Fenced | 'fatal',
): void {
  it(`${situation}, on finish as ${end}: ${expected}`, async ({ store }) => {
    const before = await batchIn(store, situation);
    const step = await stepIn(store, situation, before.id);
    const finished = store.finishBatch(finishOf(step, end, { now: NOW }));
    if (expected === 'fatal') await expect(finished).rejects.toThrow(before.id);
    else expect(await finished).toBe(expected);
    const time = { completed: 'completedAt', expired: 'expiredAt', cancelled: 'cancelledAt' }[end];
    const change = expected === 'ok' ? { status: end, [time]: NOW } : {};
    expect(await store.getBatch('ann', before.id)).toEqual({ ...before, ...change });
  });
}
