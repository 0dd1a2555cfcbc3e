import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createMemoryStorage } from '../../src/adapters/memory/index.ts';
import type { ModelDemand, WorkerLease } from '../../src/engine/index.ts';
import { createLease } from '../../src/worker/lease.ts';
import { createModelLimits } from '../../src/worker/model-limits.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import { createRecordingLog } from '../helpers/recording-log.ts';
import { createTestEngine } from '../helpers/test-engine.ts';

/** A lease over a store that notes what it is asked, and fails while it is told to. */
function setUp(modelConcurrency: ReadonlyMap<string, number> = new Map()) {
  const storage = createMemoryStorage();
  const calls: string[] = [];
  const state = {
    fails: false,
    lease: { validMs: 30_000, isNew: false, slots: [] } as WorkerLease,
    release: async () => {},
  };
  const asked: (readonly ModelDemand[])[] = [];
  const store = {
    ...storage.store,
    async renewLease(worker: string, demands: readonly ModelDemand[] = []) {
      calls.push(`renew ${worker}`);
      asked.push(demands);
      if (state.fails) throw new Error('no connection');
      return state.lease;
    },
    async releaseDeadLeases() {
      calls.push('release');
      await state.release();
    },
  };
  const clock = createFakeClock();
  const log = createRecordingLog();
  const { context: ctx } = createTestEngine({ storage: { ...storage, store }, clock, log });
  const onReleased = vi.fn<() => void>();
  const onLost = vi.fn<() => void>();
  const limits = createModelLimits({ clock, limits: modelConcurrency, onExpired() {} });
  const lease = createLease({ ctx, worker: 'w', limits, onReleased, onLost });
  onTestFinished(() => lease.stop());
  return { lease, clock, log, calls, state, onReleased, onLost, limits, asked };
}

describe('the lease of a worker', () => {
  it('is made before anything of dead workers is taken over, and renewed every ten seconds', async () => {
    const { lease, clock, calls, onReleased } = setUp();
    await lease.start();
    expect(calls).toEqual(['renew w', 'release']);
    clock.advance(9999);
    expect(calls).toHaveLength(2);
    clock.advance(1);
    await vi.waitFor(() => expect(onReleased).toHaveBeenCalledTimes(1));
    clock.advance(10_000);
    await vi.waitFor(() => expect(onReleased).toHaveBeenCalledTimes(2));
    expect(calls).toEqual(['renew w', 'release', 'renew w', 'release', 'renew w', 'release']);
  });

  it('that cannot be renewed is tried again each second, and the log says so', async () => {
    const { lease, clock, log, calls, state, onReleased } = setUp();
    await lease.start();
    state.fails = true;
    clock.advance(10_000);
    await vi.waitFor(() => expect(log.entries).toHaveLength(1));
    clock.advance(1000);
    await vi.waitFor(() => expect(log.entries).toHaveLength(2));
    expect(log.entries[0]).toMatchObject({
      level: 'error',
      message: 'the lease of this worker cannot be renewed',
    });
    state.fails = false;
    clock.advance(1000);
    await vi.waitFor(() => expect(onReleased).toHaveBeenCalledTimes(1));
    expect(calls.filter((call) => call === 'release')).toHaveLength(2);
  });

  it('is renewed while what dead workers held waits to be released, which is asked for once at a time', async () => {
    const { lease, clock, calls, state, onReleased } = setUp();
    await lease.start();
    let end = (): void => {};
    state.release = async () => await new Promise((resolve) => (end = resolve));
    for (let times = 2; times <= 5; times++) {
      clock.advance(10_000);
      await vi.waitFor(() => expect(calls.filter((call) => call === 'renew w')).toHaveLength(times));
      await new Promise(setImmediate);
      expect(lease.isValid()).toBe(true);
    }
    expect(calls.filter((call) => call === 'release')).toHaveLength(2);
    expect(onReleased).not.toHaveBeenCalled();
    end();
    await vi.waitFor(() => expect(onReleased).toHaveBeenCalled());
    clock.advance(10_000);
    await vi.waitFor(() => expect(calls.filter((call) => call === 'release')).toHaveLength(3));
    end();
  });

  it('stays as it is where what dead workers held cannot be released, which is tried again with the next one', async () => {
    const { lease, clock, log, calls, state } = setUp();
    state.release = () => Promise.reject(new Error('no connection'));
    await lease.start();
    expect(lease.isValid()).toBe(true);
    expect(log.entries).toMatchObject([
      { level: 'error', message: 'what dead workers held cannot be released' },
    ]);
    clock.advance(10_000);
    await vi.waitFor(() => expect(log.entries).toHaveLength(2));
    expect(calls).toEqual(['renew w', 'release', 'renew w', 'release']);
  });

  it('is valid for two seconds less than the store says, counted from before it was asked for', async () => {
    const { lease, clock, state } = setUp();
    expect(lease.isValid()).toBe(false);
    await lease.start();
    state.fails = true;
    clock.advance(27_999);
    expect(lease.isValid()).toBe(true);
    clock.advance(1);
    expect(lease.isValid()).toBe(false);
  });

  it('that others have ended is told, but not the first one', async () => {
    const { lease, clock, state, onReleased, onLost } = setUp();
    state.lease = { ...state.lease, isNew: true };
    await lease.start();
    expect(onLost).not.toHaveBeenCalled();
    clock.advance(10_000);
    await vi.waitFor(() => expect(onReleased).toHaveBeenCalledTimes(1));
    expect(onLost).toHaveBeenCalledTimes(1);
    state.lease = { ...state.lease, isNew: false };
    clock.advance(10_000);
    await vi.waitFor(() => expect(onReleased).toHaveBeenCalledTimes(2));
    expect(onLost).toHaveBeenCalledTimes(1);
  });

  it('that cannot be made lets nothing begin', async () => {
    const { lease, state } = setUp();
    state.fails = true;
    await expect(lease.start()).rejects.toThrow('no connection');
  });

  it('is renewed no more once it is stopped', async () => {
    const { lease, clock, calls } = setUp();
    await lease.start();
    await lease.stop();
    clock.advance(60_000);
    expect(calls).toHaveLength(2);
  });

  it('asks for the slots of models each time, each second while there are some to come or to give back', async () => {
    const { lease, clock, state, onReleased, limits, asked } = setUp(new Map([['m', 8]]));
    const renewed = async (times: number) =>
      await vi.waitFor(() => expect(onReleased).toHaveBeenCalledTimes(times));
    const answer = (slots: number, share: number) => {
      state.lease = { validMs: 30_000, isNew: false, slots: [{ model: 'm', slots, share }] };
    };
    answer(2, 8);
    await lease.start();
    expect(limits.find('m')?.slots).toBe(2);
    answer(8, 8);
    clock.advance(1000);
    await renewed(1);
    answer(4, 4);
    clock.advance(9999);
    expect(asked).toHaveLength(2);
    clock.advance(1);
    await renewed(2);
    expect(limits.find('m')?.slots).toBe(4);
    clock.advance(1000);
    await renewed(3);
    clock.advance(9999);
    expect(asked.map(([demand]) => demand?.held)).toEqual([0, 2, 8, 4]);
    await lease.stop();
    expect(asked.at(-1)).toEqual([]);
  });
});
