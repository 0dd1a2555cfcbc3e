import type { Clock, Log } from '../engine/index.ts';

/** How long a task that failed (a full disk, say) keeps its claim before it may be tried again, milliseconds. */
const FAILED_PAUSE_MS = 2000;

/** A bounded set of background tasks that can be aborted and waited for. */
export interface Tasks {
  /** How many more may be started now. */
  readonly free: number;
  /**
   * Starts a task, which must honour `signal`. Where it fails, that is logged as `what`, and after a pause
   * `giveBack` returns what it had claimed; where it is aborted, at once and without a word.
   */
  start(what: string, task: (signal: AbortSignal) => Promise<void>, giveBack?: () => Promise<void>): void;
  /** Aborts all and resolves when all have ended. */
  stop(): Promise<void>;
}

/** At most `max` at a time; `onEnd` is told after each. */
export function createTasks(options: {
  readonly max: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly onEnd: () => void;
}): Tasks {
  const { max, clock, log, onEnd } = options;
  const controller = new AbortController();
  const { signal } = controller;
  const pauses = new Set<() => void>();
  const running = new Set<Promise<void>>();

  async function run(
    what: string,
    task: (signal: AbortSignal) => Promise<void>,
    giveBack: () => Promise<void>,
  ): Promise<void> {
    try {
      await task(signal);
    } catch (error) {
      if (!signal.aborted) {
        log.error({ err: error }, `${what} failed`);
        await pause();
      }
      await giveBack();
    }
  }

  async function pause(): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = clock.after(FAILED_PAUSE_MS, end);
      function end(): void {
        cancel();
        pauses.delete(end);
        resolve();
      }
      pauses.add(end);
    });
  }

  return {
    get free() {
      return signal.aborted ? 0 : max - running.size;
    },
    start(what, task, giveBack = async () => {}) {
      const promise = run(what, task, giveBack)
        .catch((error: unknown) => log.error({ err: error }, `${what} could not be given back`))
        .then(() => {
          running.delete(promise);
          if (!signal.aborted) onEnd();
        });
      running.add(promise);
    },
    async stop() {
      controller.abort();
      for (const end of pauses) end();
      await Promise.all(running);
    },
  };
}
