import type { Clock, Log } from './ports.ts';

/** A wall clock that moved by more than this against the monotonic one has been set, or the machine was asleep. */
export const JUMP_MS = 60_000;
/** So long, by the monotonic clock, must it go on from where it jumped to before it is believed. */
export const STEADY_MS = 600_000;

/** Where the wall clock is against the monotonic one, milliseconds, and whether that is believed. */
export interface ClockState {
  /** Wall minus monotonic time, as believed. */
  readonly offset: number;
  /** Another offset, seen since that monotonic moment; null while the wall clock is where it is believed to be. */
  readonly doubt: { readonly offset: number; readonly since: number } | null;
}

/**
 * What two readings, one of each clock, mean after `state`. Pure. Small moves are followed at once. A jump is doubted
 * first: forgotten where the wall clock comes back, believed where it is steady for STEADY_MS.
 */
export function readClocks(state: ClockState, wall: number, monotonic: number): ClockState {
  const offset = wall - monotonic;
  if (Math.abs(offset - state.offset) <= JUMP_MS) return { offset, doubt: null };
  const { doubt } = state;
  if (doubt === null || Math.abs(offset - doubt.offset) > JUMP_MS) {
    return { offset: state.offset, doubt: { offset, since: monotonic } };
  }
  if (monotonic - doubt.since >= STEADY_MS) return { offset, doubt: null };
  // The newer offset: a clock that drifts back step by step is followed there, too.
  return { offset: state.offset, doubt: { offset, since: doubt.since } };
}

/** A clock whose `now` goes on as if nothing had happened while the wall clock has jumped. */
export interface SteadyClock extends Clock {
  /** What the wall clock says, believed or not. Milliseconds since 1970. */
  wall(): number;
}

/**
 * A wall clock may be wrong for a while: set by hand, by a host, by a time server gone mad. Deadlines must not pass by
 * that, nor webhooks be sent early or put off for a year. So `now` goes by the monotonic clock from a jump on, until
 * the wall clock is back or was steady for ten minutes. What it says at the start is believed. After a small step
 * back `now` stands still, so that what is created later is not older.
 */
export function createSteadyClock(clock: Clock, log: Log): SteadyClock {
  let state: ClockState = { offset: clock.now() - clock.monotonic(), doubt: null };
  /** What `now` answered last. */
  let last = -Infinity;

  function believed(): number {
    const [wall, monotonic] = [clock.now(), clock.monotonic()];
    const before = state;
    state = readClocks(before, wall, monotonic);
    if (state.doubt !== null || before.doubt !== null) tell(before);
    return state.doubt === null ? wall : Math.round(monotonic + state.offset);
  }

  function tell(before: ClockState): void {
    const seconds = (ms: number): number => Math.round(ms / 1000);
    if (state.doubt !== null && state.doubt.since !== before.doubt?.since) {
      log.warn(
        { seconds: seconds(state.doubt.offset - state.offset), steadyMinutes: STEADY_MS / 60_000 },
        'the wall clock has jumped; deadlines ignore that until it is back or was steady for a while',
      );
    } else if (state.doubt === null && before.doubt !== null) {
      const moved = state.offset - before.offset;
      if (Math.abs(moved) <= JUMP_MS) log.info({}, 'the wall clock is back where it was');
      else
        log.warn(
          { seconds: seconds(moved) },
          'the wall clock has been steady since its jump; it is believed now',
        );
    }
  }

  return {
    wall: () => clock.now(),
    now() {
      const time = believed();
      const isSmallStepBack = time < last && last - time <= JUMP_MS;
      if (!isSmallStepBack) last = time;
      return last;
    },
    monotonic: () => clock.monotonic(),
    after: (ms, fn) => clock.after(ms, fn),
  };
}
