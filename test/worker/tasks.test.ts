import { describe, expect, it, vi } from 'vitest';
import { createTasks } from '../../src/worker/tasks.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import { createRecordingLog } from '../helpers/recording-log.ts';

function setUp(max = 2) {
  const clock = createFakeClock();
  const log = createRecordingLog();
  const onEnd = vi.fn();
  return { clock, log, onEnd, tasks: createTasks({ max, clock, log, onEnd }) };
}

describe('background tasks', () => {
  it('are bounded, and tell their end', async () => {
    const { tasks, onEnd } = setUp(1);
    let finish = (): void => {};
    tasks.start('task', () => new Promise<void>((resolve) => (finish = resolve)));
    expect(tasks.free).toBe(0);
    finish();
    await vi.waitFor(() => expect(onEnd).toHaveBeenCalledOnce());
    expect(tasks.free).toBe(1);
    await tasks.stop();
  });

  it('give back what they claimed after a pause where they fail', async () => {
    const { clock, log, tasks, onEnd } = setUp();
    const giveBack = vi.fn(async () => {});
    tasks.start('prepare', () => Promise.reject(new Error('no space')), giveBack);
    await vi.waitFor(() => expect(clock.timers).toBe(1));
    expect(log.entries).toMatchObject([{ level: 'error', message: 'prepare failed' }]);
    expect(giveBack).not.toHaveBeenCalled();
    clock.advance(2000);
    await vi.waitFor(() => expect(onEnd).toHaveBeenCalledTimes(2));
    expect(giveBack).toHaveBeenCalledOnce();
    await tasks.stop();
  });

  it('that failed take nobody’s place while they are kept, so that others can run', async () => {
    const { clock, tasks, onEnd } = setUp(1);
    tasks.start('finalize of a', () => Promise.reject(new Error('damaged')));
    await vi.waitFor(() => expect(onEnd).toHaveBeenCalledOnce());
    expect(tasks.free).toBe(1);
    expect(clock.timers).toBe(1);
    await tasks.stop();
  });

  it('that failed are kept in a bounded number', async () => {
    const { clock, tasks } = setUp(4);
    const giveBack = vi.fn(async () => {});
    let started = 0;
    await vi.waitFor(
      () => {
        for (; tasks.free > 0; started++)
          tasks.start(`prepare of ${started}`, () => Promise.reject(new Error('no space')), giveBack);
        expect(clock.timers).toBe(68);
      },
      { interval: 1 },
    );
    expect(tasks.free).toBe(0);
    clock.advance(2000);
    await vi.waitFor(() => expect(tasks.free).toBe(4));
    expect(giveBack).toHaveBeenCalledTimes(68);
    await tasks.stop();
  });

  it('give back at once and silently where they are aborted', async () => {
    const { log, tasks } = setUp();
    const giveBack = vi.fn(async () => {});
    tasks.start(
      'prepare',
      (signal) =>
        new Promise<void>((_, reject) =>
          signal.addEventListener('abort', () => reject(new Error('aborted'))),
        ),
      giveBack,
    );
    await tasks.stop();
    expect(giveBack).toHaveBeenCalledOnce();
    expect(log.entries).toEqual([]);
    expect(tasks.free).toBe(0);
  });

  it('cut a pause short when stopped', async () => {
    const { clock, tasks } = setUp();
    const giveBack = vi.fn(async () => {});
    tasks.start('prepare', () => Promise.reject(new Error('no space')), giveBack);
    await vi.waitFor(() => expect(clock.timers).toBe(1));
    await tasks.stop();
    expect(giveBack).toHaveBeenCalledOnce();
    expect(clock.timers).toBe(0);
  });
});
