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
    await vi.waitFor(() => expect(onEnd).toHaveBeenCalledOnce());
    expect(giveBack).toHaveBeenCalledOnce();
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
