import { attemptDelivery } from '../engine/index.ts';
import type { Delivery, EngineContext } from '../engine/index.ts';
import { createTasks } from './tasks.ts';

/** Webhook attempts under way at the same time. */
const MAX_DELIVERIES = 64;
/** And to one receiver: each takes 15 s where that never answers, and webhooks to others must not wait for it. */
const MAX_PER_RECEIVER = 8;

export interface Deliveries {
  /** Claims and begins due deliveries while there are some. */
  fill(): Promise<void>;
  /** Aborts and gives back what is under way. */
  stop(): Promise<void>;
}

/** Posts due webhooks in the background. */
export function createDeliveries(ctx: EngineContext, worker: string, onEnd: () => void): Deliveries {
  const tasks = createTasks({ max: MAX_DELIVERIES, clock: ctx.clock, log: ctx.log, onEnd });

  const held = new Set<Delivery>();

  function start(delivery: Delivery): void {
    held.add(delivery);
    tasks.start(
      `delivery ${delivery.id}`,
      async (signal) => {
        await attemptDelivery(ctx, delivery, signal);
        held.delete(delivery);
      },
      async () => {
        await ctx.store.releaseDeliveries([delivery]);
        held.delete(delivery);
      },
    );
  }

  return {
    async fill() {
      if (tasks.free === 0) return;
      const due = await ctx.store.claimDeliveries(worker, ctx.clock.now(), tasks.free, {
        perReceiver: MAX_PER_RECEIVER,
        held: [...held].map(({ target }) => target.url),
      });
      for (const delivery of due) start(delivery);
    },
    stop: () => tasks.stop(),
  };
}
