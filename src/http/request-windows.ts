/** How many requests each caller sent in its present window. */
import type rateLimit from '@fastify/rate-limit';
import type { Clock } from '../engine/index.ts';

/** Callers that are counted at a time; with one more, whose window began first is forgotten. Some 100 bytes each. */
const MAX_WINDOWS = 50_000;

interface Window {
  readonly startedAt: number;
  /** Requests that were not refused. */
  count: number;
}

/**
 * Windows that begin with a caller's first request. By the monotonic clock: one that is set back must lock nobody out. What was
 * refused does not count, so that a limit that is raised in the middle of a window lets through what it should.
 */
export class RequestWindows implements rateLimit.FastifyRateLimitStore {
  readonly #clock: Clock;
  /** In the order in which they began. */
  readonly #windows = new Map<string, Window>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Tells `callback` how many requests there are with this one, and in how many milliseconds the window ends. */
  incr(
    key: string,
    callback: (error: Error | null, result?: { current: number; ttl: number }) => void,
    timeWindow: number,
    max: number,
  ): void {
    const now = this.#clock.monotonic();
    const known = this.#windows.get(key);
    const isOpen = known !== undefined && now - known.startedAt < timeWindow;
    const window = isOpen ? known : this.#begin(key, now, timeWindow);
    const current = window.count + 1;
    if (current <= max) window.count = current;
    callback(null, { current, ttl: Math.ceil(window.startedAt + timeWindow - now) });
  }

  child(): RequestWindows {
    return new RequestWindows(this.#clock);
  }

  #begin(key: string, now: number, timeWindow: number): Window {
    this.#windows.delete(key);
    for (const [first, { startedAt }] of this.#windows) {
      if (now - startedAt < timeWindow && this.#windows.size < MAX_WINDOWS) break;
      this.#windows.delete(first);
    }
    const window = { startedAt: now, count: 0 };
    this.#windows.set(key, window);
    return window;
  }

  /** How many callers are remembered. */
  get size(): number {
    return this.#windows.size;
  }
}
