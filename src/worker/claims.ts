import { CHUNK_MAX_LINES, ChunkRun } from '../engine/index.ts';
import type { ChunkClaim, ChunkRef, EngineContext, HeldChunks } from '../engine/index.ts';
import { createGiveBacks } from './give-backs.ts';
import type { Lanes } from './lanes.ts';
import type { ModelWindows } from './model-windows.ts';
import type { UpstreamGates } from './upstream-gates.ts';

/** Bytes held in memory above which no more is read ahead while there are lines to send. */
const READ_AHEAD_BYTES = 64 * 1024 * 1024;
/**
 * Bytes held in memory above which nothing at all is claimed: where no line can go, be it that an upstream is down or that
 * all wait for retries, there are never enough lines to send. One claim, and gaps between lines, may go beyond it.
 */
const MAX_HELD_BYTES = 4 * READ_AHEAD_BYTES;
/**
 * Chunks of models on trial above which no more is read ahead, besides one of each batch. Far more than fill all slots,
 * and few enough that thousands of models, each with a chunk, are not all claimed at once and looked at for each line.
 */
const MAX_TRIAL_CHUNKS = 512;
/** Chunks claimed by one statement. */
const CLAIM_LIMIT = 8;
/** Everything may be claimed. */
const ALL: ReadonlyMap<string, number> = new Map();

export interface Claims {
  /**
   * Claims chunks until enough lines are ready to keep all slots busy, and one of each batch that has none with lines to
   * send, so that none waits behind a larger one. Calls while one is under way are joined to it.
   */
  refill(): Promise<void>;
  /** There may be claimable chunks again. */
  noteWork(): void;
  /** Begins a refill where more lines should be read ahead and there may be some. Cheap: called for each line. */
  refillIfHungry(): void;
  /** Claims nothing more; resolves when what was under way has ended and what was not handed over is given back. */
  stop(): Promise<void>;
}

export function createClaims(options: {
  readonly ctx: EngineContext;
  readonly worker: string;
  readonly lanes: Lanes;
  readonly gates: UpstreamGates;
  readonly windows: ModelWindows;
  readonly maxConcurrency: number;
  readonly onRuns: (runs: readonly ChunkRun[]) => void;
}): Claims {
  const { ctx, worker, lanes, gates, windows, maxConcurrency, onRuns } = options;
  const giveBacks = createGiveBacks({ clock: ctx.clock, log: ctx.log });
  const wantedLines = maxConcurrency + CHUNK_MAX_LINES;
  // Enough chunks with lines left of one model to fill all slots, few enough that it cannot hold all memory.
  const maxPerModel = 2 + Math.ceil(wantedLines / 32);
  /** After a claim that found nothing: none is made before so many chunks are spent, or something else changed. */
  let nextClaim = 0;
  /** So many chunks were spent when batches without lines to send were claimed from last. */
  let dryChecked = -1;
  let refilling: Promise<void> | null = null;
  let stopped = false;

  function wantsMore(): boolean {
    if (lanes.heldBytes >= MAX_HELD_BYTES) return false;
    if (windows.runsOnTrial >= MAX_TRIAL_CHUNKS + lanes.all.size) return false;
    const ready = countUsable();
    return ready < wantedLines && (lanes.heldBytes < READ_AHEAD_BYTES || ready < maxConcurrency / 4);
  }

  /**
   * Lines that can keep slots busy. Those of an upstream that is down, or of a model that has yet to answer, cannot, and
   * must not keep others from being claimed while there is memory for these.
   */
  function countUsable(): number {
    if (gates.allOpen && windows.allOpen) return lanes.readyLines;
    return lanes.countReady(isUsable);
  }

  function isUsable(model: string): boolean {
    return gates.isOpen(model) && !windows.isOnTrial(model);
  }

  /**
   * What counts against a claim's `perModel`: chunks that have lines left. Of a model that cannot be sent, one is enough to
   * find out when it can, and more would only fill the memory.
   */
  function countHeld(): HeldChunks[] {
    const counts = lanes.countUntaken();
    if (gates.allOpen && windows.allOpen) return counts;
    return counts.map((held) => (isUsable(held.model) ? held : { ...held, chunks: maxPerModel }));
  }

  /** A batch runs dry when one of its chunks is spent, so looking once for each is enough. */
  function mayHaveRunDry(): boolean {
    return lanes.spentRuns !== dryChecked && lanes.heldBytes < READ_AHEAD_BYTES && lanes.hasDry();
  }

  async function claimMore(): Promise<boolean> {
    if (lanes.heldBytes >= MAX_HELD_BYTES) return false;
    const more = wantsMore();
    // With much held only what goes before everything that is ready of its owner may still be claimed.
    const mayReadAhead = lanes.heldBytes < READ_AHEAD_BYTES;
    const above = more || mayReadAhead ? ALL : lanes.topPriorities();
    const held = countHeld();
    const except = new Set(mayReadAhead ? held.map(({ batchId }) => batchId) : lanes.all.keys());
    const spent = lanes.spentRuns;
    dryChecked = spent;
    const claim = async (perModel: number) =>
      await ctx.store.claimChunks({
        worker,
        now: ctx.clock.now(),
        limit: CLAIM_LIMIT,
        perModel,
        held,
        oneEachExcept: more ? null : except,
        above,
      });
    // One of each model before more of any: only models that are here can share the slots.
    let claims = await claim(1);
    if (claims.length === 0) claims = await claim(maxPerModel);
    if (claims.length > 0) await open(claims);
    else if (more) noteNothing(held, spent);
    return claims.length > 0;
  }

  /** There may be more once a chunk is spent, where models at their limit have some left; else when there is work. */
  function noteNothing(held: readonly HeldChunks[], spent: number): void {
    const limited = held.some(({ chunks }) => chunks >= maxPerModel);
    nextClaim = limited ? spent + 1 : Infinity;
  }

  /** Reads the chunks and hands them over. One that cannot be read stays claimed for a while, or it would be next again. */
  async function open(claims: readonly ChunkClaim[]): Promise<void> {
    const opened = await Promise.allSettled(claims.map((claim) => ChunkRun.open(ctx, claim, maxConcurrency)));
    const runs = stopped ? [] : opened.flatMap((run) => (run.status === 'fulfilled' ? [run.value] : []));
    onRuns(runs);
    const rest: ChunkClaim[] = [];
    claims.forEach((claim, i) => {
      if (opened[i]?.status === 'fulfilled') giveBacks.succeeded(nameOf(claim));
      if (opened[i]?.status === 'rejected' || stopped) rest.push(claim);
    });
    for (const claim of rest)
      void giveBacks.later(nameOf(claim), () => ctx.store.releaseChunks([refOf(claim)]));
    const failed = opened.find((run) => run.status === 'rejected');
    if (failed !== undefined)
      ctx.log.error(
        { err: failed.reason, chunks: rest.map(nameOf) },
        'chunks cannot be read; they must wait',
      );
  }

  async function refill(): Promise<void> {
    refilling ??= refillAll().finally(() => {
      refilling = null;
    });
    await refilling;
  }

  async function refillAll(): Promise<void> {
    let found = true;
    while (found) found = !stopped && (await claimMore());
  }

  return {
    refill,
    noteWork() {
      nextClaim = 0;
    },
    refillIfHungry() {
      if (lanes.spentRuns < nextClaim || stopped || refilling !== null) return;
      if (!wantsMore() && !mayHaveRunDry()) return;
      // The next tick tries again.
      refill().catch((error: unknown) => ctx.log.error({ err: error }, 'the worker failed to claim work'));
    },
    async stop() {
      stopped = true;
      await refilling?.catch(() => {});
      await giveBacks.stop();
    },
  };
}

/** For logs, and to tell its failures from those of others. */
function nameOf({ batch, chunk }: ChunkClaim): string {
  return `chunk ${chunk.number} of ${batch.id}`;
}

function refOf({ batch, chunk }: ChunkClaim): ChunkRef {
  return { batchId: batch.id, chunkNumber: chunk.number, epoch: chunk.epoch };
}
