import type { Clock, Log } from '../engine/index.ts';
import { createGiveBacks } from './give-backs.ts';

/** So many failed tasks may be kept beside those that run, so that a full disk does not have all batches tried in a row. */
const MAX_FAILED = 64;

/** A bounded set of background tasks that can be aborted and waited for. */
export interface Tasks {
  /** How many more may be started now. A failed one that is kept takes nobody's place. */
  readonly free: number;
  /**
   * Starts a task, which must honour `signal`. Where it fails, that is logged as `what`, and `giveBack` returns what it
   * had claimed after a pause (longer each time that this very `what` fails), again and again until it succeeds; where it
   * is aborted, at once and without a word.
   */
  start(what: string, task: (signal: AbortSignal) => Promise<void>, giveBack?: () => Promise<void>): void;
  /** Aborts all and resolves when all have ended. */
  stop(): Promise<void>;
}

/** At most `max` run at a time; `onEnd` is told when one ends, and when one that failed was given back. */
export function createTasks(options: {
  readonly max: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly onEnd: () => void;
}): Tasks {
  const { max, clock, log, onEnd } = options;
  const controller = new AbortController();
  const { signal } = controller;
  const giveBacks = createGiveBacks({ clock, log });
  /** Those that run, and those that are kept. */
  const all = new Set<Promise<void>>();

  function tellEnd(): void {
    if (!signal.aborted) onEnd();
  }

  async function run(
    what: string,
    task: (signal: AbortSignal) => Promise<void>,
    giveBack: () => Promise<void>,
  ): Promise<void> {
    try {
      await task(signal);
      giveBacks.succeeded(what);
    } catch (error) {
      if (!signal.aborted) log.error({ err: error }, `${what} failed`);
      const given = giveBacks.later(what, giveBack);
      tellEnd();
      await given;
    }
  }

  return {
    get free() {
      if (signal.aborted) return 0;
      return Math.min(max - (all.size - giveBacks.size), max + MAX_FAILED - all.size);
    },
    start(what, task, giveBack = async () => {}) {
      const promise = run(what, task, giveBack).then(() => {
        all.delete(promise);
        tellEnd();
      });
      all.add(promise);
    },
    async stop() {
      controller.abort();
      await Promise.all([giveBacks.stop(), ...all]);
    },
  };
}
