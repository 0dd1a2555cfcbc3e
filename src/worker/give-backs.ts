/** Gives back what was claimed and then failed, so that it can be tried again: after a pause, and until it works. */
import type { Clock, Log } from '../engine/index.ts';

/** How long what failed (on a full disk, say) is kept the first time, and how long between two tries to give it back, ms. */
const FIRST_PAUSE_MS = 2000;
/** The longest that anything is kept, milliseconds. */
const MAX_PAUSE_MS = 30_000;
/** So many things are known to have failed before; beyond that the one that failed longest ago is forgotten. */
const MAX_KNOWN = 1000;

export interface GiveBacks {
  /** How many things are kept. */
  readonly size: number;
  /**
   * Keeps `what`, a name for logs and for telling it from others, for 2 s, doubled each time it fails anew, up to 30 s;
   * then calls `giveBack`, again and again until it succeeds. Resolves when that is so, or `stop` ended it; never rejects.
   */
  later(what: string, giveBack: () => Promise<void>): Promise<void>;
  /** `what` did not fail: its next failure is its first. */
  succeeded(what: string): void;
  /** Gives back at once, with one try, what is kept and what still comes; resolves when that is done. */
  stop(): Promise<void>;
}

export function createGiveBacks({ clock, log }: { readonly clock: Clock; readonly log: Log }): GiveBacks {
  /** How often each failed in a row, the one that failed longest ago first. */
  const failures = new Map<string, number>();
  const pauses = new Set<() => void>();
  const kept = new Set<Promise<void>>();
  let stopped = false;

  function countFailure(what: string): number {
    const count = (failures.get(what) ?? 0) + 1;
    failures.delete(what);
    failures.set(what, count);
    if (failures.size > MAX_KNOWN) failures.delete(failures.keys().next().value as string);
    return count;
  }

  async function pause(ms: number): Promise<void> {
    if (stopped) return;
    await new Promise<void>((resolve) => {
      const cancel = clock.after(ms, end);
      function end(): void {
        cancel();
        pauses.delete(end);
        resolve();
      }
      pauses.add(end);
    });
  }

  async function keep(what: string, giveBack: () => Promise<void>): Promise<void> {
    await pause(Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (countFailure(what) - 1)));
    for (let first = true; ; first = false) {
      // What cannot be given back by then is freed at the next start.
      const last = stopped;
      try {
        return await giveBack();
      } catch (error) {
        if (first || last) log.error({ err: error }, `${what} could not be given back`);
        if (last) return;
        await pause(FIRST_PAUSE_MS);
      }
    }
  }

  return {
    get size() {
      return kept.size;
    },
    async later(what, giveBack) {
      const promise = keep(what, giveBack);
      kept.add(promise);
      await promise;
      kept.delete(promise);
    },
    succeeded: (what) => void failures.delete(what),
    async stop() {
      stopped = true;
      for (const end of pauses) end();
      await Promise.all(kept);
    },
  };
}
