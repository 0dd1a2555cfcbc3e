import type { Clock } from '../../src/engine/index.ts';

export interface FakeClock extends Clock {
  /** Moves both clocks on and fires what is due, in order of time. */
  advance(ms: number): void;
  /** Sets the wall clock alone, as an administrator or NTP might. */
  setWall(now: number): void;
  /** How many timers are set. */
  readonly timers: number;
}

/** A clock that only moves when told to. Starts at `start` (milliseconds since 1970). */
export function createFakeClock(start = Date.UTC(2026, 0, 1)): FakeClock {
  let wall = start;
  let monotonic = 0;
  const timers = new Set<{ at: number; fn: () => void }>();
  return {
    now: () => wall,
    monotonic: () => monotonic,
    after(ms, fn) {
      const timer = { at: monotonic + Math.max(0, ms), fn };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    advance(ms) {
      const end = monotonic + ms;
      for (;;) {
        const next = [...timers].filter((timer) => timer.at <= end).toSorted((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        timers.delete(next);
        wall += next.at - monotonic;
        monotonic = next.at;
        next.fn();
      }
      wall += end - monotonic;
      monotonic = end;
    },
    setWall(now) {
      wall = now;
    },
    get timers() {
      return timers.size;
    },
  };
}
