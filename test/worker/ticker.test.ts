import { describe, expect, it, vi } from 'vitest';
import { createTicker } from '../../src/worker/ticker.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import { createRecordingLog } from '../helpers/recording-log.ts';

function setUp(tick: () => Promise<void>) {
  const clock = createFakeClock();
  const log = createRecordingLog();
  return { clock, log, ticker: createTicker({ clock, log, intervalMs: 1000, tick }) };
}

describe('the ticker', () => {
  it('ticks when its interval has passed since the last end', async () => {
    let ticks = 0;
    const { clock, ticker } = setUp(async () => void ticks++);
    clock.advance(1000);
    await vi.waitFor(() => expect(clock.timers).toBe(1));
    clock.advance(1000);
    expect(ticks).toBe(2);
    await ticker.stop();
    expect(clock.timers).toBe(0);
  });

  it('never runs two at a time, and joins wake-ups during a run into one more', async () => {
    const release: (() => void)[] = [];
    const { ticker } = setUp(() => new Promise<void>((resolve) => release.push(resolve)));
    ticker.wake();
    ticker.wake();
    ticker.wake();
    expect(release).toHaveLength(1);
    release[0]?.();
    await vi.waitFor(() => expect(release).toHaveLength(2));
    release[1]?.();
    await ticker.stop();
    expect(release).toHaveLength(2);
  });

  it('goes on after a failure, which is logged', async () => {
    let ticks = 0;
    const { clock, log, ticker } = setUp(async () => {
      if (ticks++ === 0) throw new Error('disk');
    });
    ticker.wake();
    await vi.waitFor(() => expect(log.entries).toHaveLength(1));
    await vi.waitFor(() => expect(clock.timers).toBe(1));
    clock.advance(1000);
    expect(ticks).toBe(2);
    await ticker.stop();
  });

  it('waits at its stop for the run under way', async () => {
    let finish = (): void => {};
    const { ticker } = setUp(() => new Promise<void>((resolve) => (finish = resolve)));
    ticker.wake();
    let stopped = false;
    const stop = ticker.stop().then(() => (stopped = true));
    await Promise.resolve();
    expect(stopped).toBe(false);
    finish();
    await stop;
  });
});
