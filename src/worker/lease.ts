/** Says again and again that this worker is alive, and takes over from those that are not. */
import type { EngineContext } from '../engine/index.ts';
import { leaseEnd } from './lease-end.ts';
import type { ModelLimits } from './model-limits.ts';

/** A third of the time after which others take a worker for dead, milliseconds. */
const RENEW_MS = 10_000;
/** After a failure the next one is made this soon: what is held is lost where none succeeds in time. */
const RETRY_MS = 1000;
/** Where slots of models are to come or to be given back, the next one is made this soon. */
const SLOTS_MS = 1000;

export interface Lease {
  /**
   * Makes it, before anything is claimed, and keeps it up from then on; takes over what is free by then. Rejects where it cannot
   * be made.
   */
  start(): Promise<void>;
  /**
   * False where it is so old that others may have what this worker holds: the process was frozen, or the store is away. Counted from
   * before it was asked for.
   */
  isValid(): boolean;
  /** Renews it no more, and leaves the slots of models to others: what is held must have been given back. */
  stop(): Promise<void>;
}

/**
 * `onReleased` is told whenever something of dead workers may have become free; `onLost` when others have taken this one for dead, so
 * that it holds nothing any more.
 */
export function createLease(options: {
  readonly ctx: EngineContext;
  readonly worker: string;
  readonly limits: ModelLimits;
  readonly onReleased: () => void;
  readonly onLost: () => void;
}): Lease {
  const { ctx, worker, limits, onReleased, onLost } = options;
  let validUntil = -Infinity;
  let cancel = (): void => {};
  let renewing: Promise<void> = Promise.resolve();
  let releasing: Promise<void> | null = null;
  let stopped = false;

  /** Answers when to do so again, milliseconds. */
  async function renew(): Promise<number> {
    const sentAt = ctx.clock.monotonic();
    const demands = limits.demands();
    const lease = await ctx.store.renewLease(worker, demands);
    const isLost = lease.isNew && validUntil > -Infinity;
    validUntil = leaseEnd(sentAt, lease.validMs);
    const soon = limits.grant(lease, demands, sentAt);
    if (isLost) onLost();
    return soon ? SLOTS_MS : RENEW_MS;
  }

  /** Beside the renewals, which must not wait for it: it waits for whatever others have locked. Never two at a time; never rejects. */
  async function release(): Promise<void> {
    releasing ??= ctx.store
      .releaseDeadLeases(ctx.clock.now())
      .catch((error: unknown) => ctx.log.error({ err: error }, 'what dead workers held cannot be released'))
      .then(() => {
        releasing = null;
      });
    await releasing;
  }

  async function leaveSlots(): Promise<void> {
    limits.close();
    try {
      await ctx.store.renewLease(worker, []);
    } catch (error) {
      ctx.log.warn({ err: error }, 'slots of models are free for others only once the lease has ended');
    }
  }

  function renewAfter(ms: number): void {
    if (stopped) return;
    cancel = ctx.clock.after(ms, () => {
      renewing = renew().then(
        (ms) => {
          renewAfter(ms);
          void release().then(onReleased);
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
      renewAfter(await renew());
      await release();
    },
    isValid: () => ctx.clock.monotonic() < validUntil,
    async stop() {
      stopped = true;
      cancel();
      await renewing;
      if (limits.any) await leaveSlots();
      await releasing;
    },
  };
}
