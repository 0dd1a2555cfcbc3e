/** Says again and again that this worker is alive, and takes over from those that are not. */
import type { EngineContext } from '../engine/index.ts';

/** A third of the time after which others take a worker for dead, milliseconds. */
const RENEW_MS = 10_000;
/** After a failure the next one is made this soon: what is held is lost where none succeeds in time. */
const RETRY_MS = 1000;

export interface Lease {
  /** Makes it, before anything is claimed, and keeps it up from then on. Rejects where it cannot be made. */
  start(): Promise<void>;
  /** Renews it no more: what is held must have been given back. */
  stop(): Promise<void>;
}

/** `onReleased` is told whenever something of dead workers may have become free. */
export function createLease(options: {
  readonly ctx: EngineContext;
  readonly worker: string;
  readonly onReleased: () => void;
}): Lease {
  const { ctx, worker, onReleased } = options;
  let cancel = (): void => {};
  let renewing: Promise<void> = Promise.resolve();
  let stopped = false;

  async function renew(): Promise<void> {
    await ctx.store.renewLease(worker);
    await ctx.store.releaseDeadLeases(ctx.clock.now());
  }

  function renewAfter(ms: number): void {
    if (stopped) return;
    cancel = ctx.clock.after(ms, () => {
      renewing = renew().then(
        () => {
          onReleased();
          renewAfter(RENEW_MS);
        },
        (error: unknown) => {
          ctx.log.error({ err: error }, 'the lease of this worker cannot be renewed');
          renewAfter(RETRY_MS);
        },
      );
    });
  }

  return {
    async start() {
      await renew();
      renewAfter(RENEW_MS);
    },
    async stop() {
      stopped = true;
      cancel();
      await renewing;
    },
  };
}
