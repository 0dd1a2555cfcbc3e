import { finalizeBatch, prepareBatch } from '../engine/index.ts';
import type { BatchStep, EngineContext } from '../engine/index.ts';
import { createTasks } from './tasks.ts';

/** Batches prepared or finalized at the same time. */
const MAX_STEPS = 4;

export interface Steps {
  /** Claims and begins steps while there are some. */
  fill(): Promise<void>;
  /** Aborts and gives back what is under way. */
  stop(): Promise<void>;
}

/** Runs prepare and finalize of batches in the background. */
export function createSteps(ctx: EngineContext, worker: string, onEnd: () => void): Steps {
  const tasks = createTasks({ max: MAX_STEPS, clock: ctx.clock, log: ctx.log, onEnd });

  return {
    async fill() {
      while (tasks.free > 0) {
        const step = await ctx.store.claimBatchStep(worker, ctx.clock.now());
        if (step === null) return;
        tasks.start(
          `${step.step} of ${step.batch.id}`,
          (signal) => runStep(ctx, step, signal),
          async () => void (await ctx.store.releaseBatchStep(step.batch.id, step.epoch)),
        );
      }
    },
    stop: () => tasks.stop(),
  };
}

async function runStep(ctx: EngineContext, step: BatchStep, signal: AbortSignal): Promise<void> {
  if (step.step === 'prepare') await prepareBatch(ctx, step, signal);
  else await finalizeBatch(ctx, step, signal);
}
