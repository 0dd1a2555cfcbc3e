import type { Clock, Log } from '../engine/index.ts';

export interface Ticker {
  /** Runs soon; a run that is under way is followed by another. */
  wake(): void;
  /** No more runs; resolves when the one under way has ended. */
  stop(): Promise<void>;
}

/** Runs `tick` when woken and at least every `intervalMs`, never two at a time. A failing tick is logged. */
export function createTicker(options: {
  readonly clock: Clock;
  readonly log: Log;
  readonly intervalMs: number;
  readonly tick: () => Promise<void>;
}): Ticker {
  const { clock, log, intervalMs, tick } = options;
  let running: Promise<void> | null = null;
  let wokenAgain = false;
  let stopped = false;
  let cancelTimer = clock.after(intervalMs, run);

  function run(): void {
    if (stopped) return;
    if (running !== null) {
      wokenAgain = true;
      return;
    }
    cancelTimer();
    wokenAgain = false;
    running = tick()
      .catch((error: unknown) => log.error({ err: error }, 'the worker failed to look for work'))
      .then(() => {
        running = null;
        if (wokenAgain) run();
        else if (!stopped) cancelTimer = clock.after(intervalMs, run);
      });
  }

  return {
    wake: run,
    async stop() {
      stopped = true;
      cancelTimer();
      await running;
    },
  };
}
