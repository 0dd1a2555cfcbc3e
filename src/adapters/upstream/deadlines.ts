import type { Clock } from '../../engine/ports.ts';

/** Something that must end in time. */
export interface Timed {
  /** Monotonic milliseconds. */
  readonly startedAt: number;
}

export interface Deadlines<T extends Timed> {
  add(item: T): void;
  remove(item: T): void;
  readonly items: ReadonlySet<T>;
}

/**
 * Tells `onExpired` of items that were not removed within `timeoutMs` of their `startedAt`. All have the same time,
 * so they expire in the order in which they were added, and one timer, for the oldest, serves them all: a timer for
 * each would be set and cancelled tens of thousands of times a second. `onExpired` must remove its item.
 */
export function createDeadlines<T extends Timed>(options: {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly onExpired: (item: T) => void;
}): Deadlines<T> {
  const { clock, timeoutMs, onExpired } = options;
  const items = new Set<T>();
  let cancelTimer: (() => void) | null = null;

  function sweep(): void {
    cancelTimer = null;
    const now = clock.monotonic();
    for (const item of items) {
      const leftMs = item.startedAt + timeoutMs - now;
      if (leftMs > 0) {
        cancelTimer = clock.after(leftMs, sweep);
        return;
      }
      onExpired(item);
    }
  }

  return {
    add(item) {
      items.add(item);
      cancelTimer ??= clock.after(timeoutMs, sweep);
    },
    remove(item) {
      items.delete(item);
      if (items.size > 0 || cancelTimer === null) return;
      cancelTimer();
      cancelTimer = null;
    },
    items,
  };
}
