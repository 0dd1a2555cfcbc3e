/** Gives back the chunks of models of which other workers have all slots: here they would wait, there they can be sent. */
import type { ChunkRun, Committer, EngineContext } from '../engine/index.ts';
import type { Lanes } from './lanes.ts';
import type { ModelLimits } from './model-limits.ts';

export interface ModelReturns {
  /** Begins to give back what there is. What could not be given back before is tried again. */
  check(): void;
  /** Resolves when what is under way has ended. */
  stop(): Promise<void>;
}

export function createModelReturns(options: {
  readonly ctx: EngineContext;
  readonly lanes: Lanes;
  readonly limits: ModelLimits;
  readonly committer: Committer;
  /** The chunk is not held any more. */
  readonly onReturned: (run: ChunkRun) => void;
}): ModelReturns {
  const { ctx, lanes, limits, committer, onReturned } = options;
  /** Of which nothing more is sent. */
  const leaving = new Set<ChunkRun>();
  let returning: Promise<void> | null = null;

  function findLeaving(): void {
    const models = new Set(limits.withoutSlots().map(({ model }) => model));
    if (models.size === 0) return;
    for (const { runs, stopping } of lanes.all.values()) {
      for (const run of runs) {
        if (stopping || !models.has(run.model)) continue;
        lanes.stopRun(run);
        leaving.add(run);
      }
    }
  }

  async function giveBack(): Promise<void> {
    const runs = [...leaving];
    try {
      await committer.flush();
      await ctx.store.releaseChunks(runs.map((run) => run.ref));
    } catch (error) {
      ctx.log.error({ err: error }, 'chunks of models without slots cannot be given back');
      return;
    }
    for (const run of runs) {
      leaving.delete(run);
      onReturned(run);
    }
  }

  return {
    check() {
      findLeaving();
      if (leaving.size === 0) return;
      returning ??= giveBack().finally(() => {
        returning = null;
      });
    },
    async stop() {
      await returning;
    },
  };
}
