import { finalizeBatch, prepareBatch } from '../engine/index.ts';
import type { BatchStep, EngineContext } from '../engine/index.ts';
import { createTasks } from './tasks.ts';

/** Batches prepared or finalized at the same time. */
const MAX_STEPS = 8;

export interface Steps {
  /** Claims and begins steps while there are some. */
  fill(): Promise<void>;
  /** Aborts and gives back what is under way. */
  stop(): Promise<void>;
}

/** Runs prepare and finalize of batches in the background. */
export function createSteps(ctx: EngineContext, worker: string, onEnd: () => void): Steps {
  const tasks = createTasks({ max: MAX_STEPS, clock: ctx.clock, log: ctx.log, onEnd });

  function start(step: BatchStep): void {
    tasks.start(
      `${step.step} of ${step.batch.id}`,
      (signal) => runStep(ctx, step, signal),
      async () => void (await ctx.store.releaseBatchStep(step.batch.id, step.epoch)),
    );
  }

  return {
    async fill() {
      for (let found = true; found && tasks.free > 0;) {
        // At once, for then a store can make one write of them.
        const claims = Array.from({ length: tasks.free }, () =>
          ctx.store.claimBatchStep(worker, ctx.clock.now()),
        );
        const claimed = await Promise.allSettled(claims);
        for (const claim of claimed)
          if (claim.status === 'fulfilled' && claim.value !== null) start(claim.value);
        const failed = claimed.find((claim) => claim.status === 'rejected');
        if (failed !== undefined) throw failed.reason;
        found = claimed.every((claim) => claim.status === 'fulfilled' && claim.value !== null);
      }
    },
    stop: () => tasks.stop(),
  };
}

async function runStep(ctx: EngineContext, step: BatchStep, signal: AbortSignal): Promise<void> {
  if (step.step === 'prepare') await prepareBatch(ctx, step, signal);
  else await finalizeBatch(ctx, step, signal);
}
