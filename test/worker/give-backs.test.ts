import { describe, expect, it, vi } from 'vitest';
import { createGiveBacks } from '../../src/worker/give-backs.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import { createRecordingLog } from '../helpers/recording-log.ts';

const full = () => Promise.reject(new Error('database or disk is full'));

function setUp() {
  const clock = createFakeClock();
  const log = createRecordingLog();
  return { clock, log, giveBacks: createGiveBacks({ clock, log }) };
}

describe('what was claimed and failed', () => {
  it('is given back after a pause that doubles with each failure in a row, up to half a minute', async () => {
    const { clock, giveBacks } = setUp();
    const pauseOf = async (what: string) => {
      const from = clock.monotonic();
      let at = 0;
      const given = giveBacks.later(what, async () => void (at = clock.monotonic()));
      expect(giveBacks.size).toBe(1);
      while (clock.timers > 0) clock.advance(1000);
      await given;
      expect(giveBacks.size).toBe(0);
      return at - from;
    };
    const pauses = [];
    for (let n = 0; n < 6; n++) pauses.push(await pauseOf('a'));
    expect(pauses).toEqual([2000, 4000, 8000, 16_000, 30_000, 30_000]);
    expect(await pauseOf('b')).toBe(2000);
    giveBacks.succeeded('a');
    expect(await pauseOf('a')).toBe(2000);
  });

  it('is tried to be given back until that succeeds, and that is told once', async () => {
    const { clock, log, giveBacks } = setUp();
    const giveBack = vi.fn(async () => {}).mockImplementationOnce(full);
    giveBack.mockImplementationOnce(full).mockImplementationOnce(full);
    const given = giveBacks.later('finalize of a', giveBack);
    for (let tries = 1; tries <= 4; tries++) {
      await vi.waitFor(() => expect(clock.timers).toBe(1));
      clock.advance(2000);
      await vi.waitFor(() => expect(giveBack).toHaveBeenCalledTimes(tries));
    }
    await given;
    expect(clock.timers).toBe(0);
    expect(log.entries).toMatchObject([{ level: 'error', message: 'finalize of a could not be given back' }]);
  });

  it('is given back at once by a stop, with one try, and so is what comes after it', async () => {
    const { clock, log, giveBacks } = setUp();
    const first = vi.fn(async () => {});
    const second = vi.fn(full);
    const later = vi.fn(async () => {});
    void giveBacks.later('first', first);
    void giveBacks.later('second', second);
    const stopped = giveBacks.stop();
    void giveBacks.later('later', later);
    await stopped;
    expect(first).toHaveBeenCalledOnce();
    expect(second).toHaveBeenCalledOnce();
    expect(later).toHaveBeenCalledOnce();
    expect(log.entries).toMatchObject([{ message: 'second could not be given back' }]);
    expect(clock.timers).toBe(0);
  });

  it('is tried once more where a stop comes while it cannot be given back', async () => {
    const { clock, giveBacks } = setUp();
    const giveBack = vi.fn(async () => {}).mockImplementationOnce(full);
    void giveBacks.later('a', giveBack);
    clock.advance(2000);
    await vi.waitFor(() => expect(clock.timers).toBe(1));
    await giveBacks.stop();
    expect(giveBack).toHaveBeenCalledTimes(2);
    expect(clock.timers).toBe(0);
  });
});
