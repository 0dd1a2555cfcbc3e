import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createMemoryStorage } from '../../src/adapters/memory/index.ts';
import { createLease } from '../../src/worker/lease.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import { createRecordingLog } from '../helpers/recording-log.ts';
import { createTestEngine } from '../helpers/test-engine.ts';

/** A lease over a store that notes what it is asked, and fails while it is told to. */
function setUp() {
  const storage = createMemoryStorage();
  const calls: string[] = [];
  const state = { fails: false };
  const store = {
    ...storage.store,
    async renewLease(worker: string) {
      calls.push(`renew ${worker}`);
      if (state.fails) throw new Error('no connection');
    },
    async releaseDeadLeases() {
      calls.push('release');
    },
  };
  const clock = createFakeClock();
  const log = createRecordingLog();
  const { context: ctx } = createTestEngine({ storage: { ...storage, store }, clock, log });
  const onReleased = vi.fn<() => void>();
  const lease = createLease({ ctx, worker: 'w', onReleased });
  onTestFinished(() => lease.stop());
  return { lease, clock, log, calls, state, onReleased };
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
});
