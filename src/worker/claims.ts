import { CHUNK_MAX_LINES, ChunkRun } from '../engine/index.ts';
import type { ChunkClaim, ChunkRef, EngineContext, HeldChunks } from '../engine/index.ts';
import { createGiveBacks } from './give-backs.ts';
import type { Lanes } from './lanes.ts';
import { NO_MODEL_LIMITS } from './model-limits.ts';
import type { ModelLimits } from './model-limits.ts';
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
  /** Gives back a chunk of which this worker has lost track; nothing happens where another one has it. */
  giveBackLater(chunk: ChunkRef): void;
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
  readonly limits?: ModelLimits | undefined;
  readonly maxConcurrency: number;
  /** False while others may take this worker for dead, who would free what it claims: nothing is claimed then. */
  readonly mayHold: () => boolean;
  readonly onRuns: (runs: readonly ChunkRun[]) => void;
}): Claims {
  const { ctx, worker, lanes, gates, windows, limits = NO_MODEL_LIMITS } = options;
  const { maxConcurrency, mayHold, onRuns } = options;
  const giveBacks = createGiveBacks({ clock: ctx.clock, log: ctx.log });
  const wantedLines = maxConcurrency + CHUNK_MAX_LINES;
  // Enough chunks with lines left of one model to fill all slots, few enough that it cannot hold all memory.
  const maxPerModel = 2 + Math.ceil(wantedLines / 32);
  /** After a claim that found nothing: none is made before `progress` comes to this, or something else changed. */
  let nextClaim = 0;
  /** So many chunks were spent when batches without lines to send were claimed from last. */
  let dryChecked = -1;
  let refilling: Promise<void> | null = null;
  let stopped = false;

  /** Rises where a chunk is spent or the slots of a model with a limit need more lines. */
  const progress = (): number => lanes.spentRuns + limits.shortages;

  function wantsMore(): boolean {
    if (lanes.heldBytes >= MAX_HELD_BYTES) return false;
    if (windows.runsOnTrial >= MAX_TRIAL_CHUNKS + lanes.all.size) return false;
    const ready = countUsable();
    return ready < wantedLines && (lanes.heldBytes < READ_AHEAD_BYTES || ready < maxConcurrency / 4);
  }

  /**
   * Lines that can keep slots busy. Those of an upstream that is down, of a model that has yet to answer, or beyond the slots
   * of a model with a limit, cannot, and must not keep others from being claimed while there is memory for these.
   */
  function countUsable(): number {
    if (gates.allOpen && windows.allOpen) return lanes.readyLines - limits.surplus();
    return lanes.countReady(isUsable) - limits.surplus(isUsable);
  }

  function isUsable(model: string): boolean {
    return gates.isOpen(model) && !windows.isOnTrial(model);
  }

  /**
   * What counts against a claim's `perModel`: chunks that have lines left. Of a model that cannot be sent, one is enough to
   * find out when it can, and more would only fill the memory; so it is where a model with a limit has enough lines for its slots.
   */
  function countHeld(counts: readonly HeldChunks[]): readonly HeldChunks[] {
    if (gates.allOpen && windows.allOpen && !limits.any) return counts;
    return counts.map((held) => ({ ...held, chunks: Math.max(held.chunks, leastHeld(held.model)) }));
  }

  function leastHeld(model: string): number {
    if (!isUsable(model)) return maxPerModel;
    const limited = limits.find(model);
    if (limited === null) return 0;
    // Few slots are soon supplied: one chunk at a time.
    return limits.hasEnough(limited) ? maxPerModel : maxPerModel - 1;
  }

  /** A batch runs dry when one of its chunks is spent, so looking once for each is enough. */
  function mayHaveRunDry(): boolean {
    return lanes.spentRuns !== dryChecked && lanes.heldBytes < READ_AHEAD_BYTES && lanes.hasDry();
  }

  async function claimMore(): Promise<boolean> {
    if (!mayHold() || lanes.heldBytes >= MAX_HELD_BYTES) return false;
    const more = wantsMore();
    // With much held only what goes before everything that is ready of its owner may still be claimed.
    const mayReadAhead = lanes.heldBytes < READ_AHEAD_BYTES;
    const above = more || mayReadAhead ? ALL : lanes.topPriorities();
    const untaken = lanes.countUntaken();
    const held = countHeld(untaken);
    const modelRoom = limits.any ? limits.claimRoom(countByModel(untaken)) : undefined;
    const except = new Set(mayReadAhead ? held.map(({ batchId }) => batchId) : lanes.all.keys());
    const before = progress();
    dryChecked = lanes.spentRuns;
    const claim = async (perModel: number) =>
      await ctx.store.claimChunks({
        worker,
        now: ctx.clock.now(),
        limit: CLAIM_LIMIT,
        perModel,
        held,
        modelRoom,
        oneEachExcept: more ? null : except,
        above,
      });
    // One of each model before more of any: only models that are here can share the slots.
    let claims = await claim(1);
    if (claims.length === 0) claims = await claim(maxPerModel);
    if (claims.length > 0) await open(claims);
    else if (more) nextClaim = hasFull(held, modelRoom) ? before + 1 : Infinity;
    return claims.length > 0;
  }

  /** There may be more once a chunk is spent where models have as many as they may. */
  function hasFull(held: readonly HeldChunks[], modelRoom: ReadonlyMap<string, number> | undefined): boolean {
    return held.some(({ chunks }) => chunks >= maxPerModel) || [...(modelRoom?.values() ?? [])].includes(0);
  }

  /** Reads the chunks and hands them over. One that cannot be read stays claimed for a while, or it would be next again. */
  async function open(claims: readonly ChunkClaim[]): Promise<void> {
    const opened = await Promise.allSettled(claims.map((claim) => ChunkRun.open(ctx, claim, maxConcurrency)));
    const runs = stopped ? [] : opened.flatMap((run) => (run.status === 'fulfilled' ? [run.value] : []));
    onRuns(runs);
    const rest: ChunkClaim[] = [];
    claims.forEach((claim, i) => {
      if (opened[i]?.status === 'fulfilled') giveBacks.succeeded(nameOf(refOf(claim)));
      if (opened[i]?.status === 'rejected' || stopped) rest.push(claim);
    });
    for (const claim of rest) giveBackLater(refOf(claim));
    const failed = opened.find((run) => run.status === 'rejected');
    if (failed !== undefined)
      ctx.log.error(
        { err: failed.reason, chunks: rest.map((claim) => nameOf(refOf(claim))) },
        'chunks cannot be read; they must wait',
      );
  }

  function giveBackLater(chunk: ChunkRef): void {
    void giveBacks.later(nameOf(chunk), () => ctx.store.releaseChunks([chunk]));
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
    giveBackLater,
    refillIfHungry() {
      if (progress() < nextClaim || stopped || refilling !== null) return;
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

function countByModel(counts: readonly HeldChunks[]): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const { model, chunks } of counts) sums.set(model, (sums.get(model) ?? 0) + chunks);
  return sums;
}

/** For logs, and to tell its failures from those of others. */
function nameOf({ batchId, chunkNumber }: ChunkRef): string {
  return `chunk ${chunkNumber} of ${batchId}`;
}

function refOf({ batch, chunk }: ChunkClaim): ChunkRef {
  return { batchId: batch.id, chunkNumber: chunk.number, epoch: chunk.epoch };
}
