import { attemptDelivery } from '../engine/index.ts';
import type { EngineContext } from '../engine/index.ts';
import { createTasks } from './tasks.ts';

/** Webhook attempts under way at the same time. */
const MAX_DELIVERIES = 16;

export interface Deliveries {
  /** Claims and begins due deliveries while there are some. */
  fill(): Promise<void>;
  /** Aborts and gives back what is under way. */
  stop(): Promise<void>;
}

/** Posts due webhooks in the background. */
export function createDeliveries(ctx: EngineContext, worker: string, onEnd: () => void): Deliveries {
  const tasks = createTasks({ max: MAX_DELIVERIES, clock: ctx.clock, log: ctx.log, onEnd });

  return {
    async fill() {
      if (tasks.free === 0) return;
      const due = await ctx.store.claimDeliveries(worker, ctx.clock.now(), tasks.free);
      for (const delivery of due) {
        tasks.start(
          `delivery ${delivery.id}`,
          (signal) => attemptDelivery(ctx, delivery, signal),
          () => ctx.store.releaseDeliveries([delivery]),
        );
      }
    },
    stop: () => tasks.stop(),
  };
}
