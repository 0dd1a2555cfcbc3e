import { randomBytes } from 'node:crypto';
import { createCommitter } from '../engine/index.ts';
import type { ChunkRun, Engine, Fenced, Line } from '../engine/index.ts';
import { createClaims } from './claims.ts';
import { createDeliveries } from './deliveries.ts';
import { createHousekeeping } from './housekeeping.ts';
import { createLaneStops } from './lane-stops.ts';
import { createLanes } from './lanes.ts';
import { createLease } from './lease.ts';
import { createModelLimits } from './model-limits.ts';
import { createModelReturns } from './model-returns.ts';
import { createModelWindows } from './model-windows.ts';
import { createSlots } from './slots.ts';
import { createSteps } from './steps.ts';
import { createSuspects } from './suspects.ts';
import { createTicker } from './ticker.ts';
import type { Ticker } from './ticker.ts';
import { createTurns } from './turns.ts';
import { createUpstreamGates } from './upstream-gates.ts';
import { createWaitHeap } from './wait-heap.ts';

/** Without being woken, work is looked for this often, milliseconds. */
const TICK_INTERVAL_MS = 1000;

export interface WorkerOptions {
  readonly engine: Engine;
  /** Requests in flight at the most. Default 64. */
  readonly maxConcurrency?: number | undefined;
  /** By model: requests of it in flight at the most, of all workers over the same store together. Default: no limits. */
  readonly modelConcurrency?: ReadonlyMap<string, number> | undefined;
}

export interface Worker {
  /** By which stores and logs know it: `worker_` and 16 hex digits. */
  readonly id: string;
  /** Takes over what dead workers left, then works until `stop`. A store that one process owns has one worker at a time. */
  start(): Promise<void>;
  /**
   * Claims nothing more, lets requests in flight end for `graceMs` (default 0), aborts the rest, commits what
   * was finished and gives everything back. Rejects where the last results could not be stored or chunks could not be
   * given back, but not before all others were.
   */
  stop(options?: { readonly graceMs?: number | undefined }): Promise<void>;
}

/** Drives the engine: prepares batches, keeps the request slots full, finalizes, delivers webhooks, tidies up. */
export function createWorker(options: WorkerOptions): Worker {
  const { engine, maxConcurrency = 64, modelConcurrency = new Map() } = options;
  const ctx = engine.context;
  const worker = `worker_${randomBytes(8).toString('hex')}`;
  let ticker: Ticker | null = null;
  let unsubscribe = (): void => {};
  let stopping = false;
  /** Told when no request is in flight any more. */
  let onIdle = (): void => {};
  /** True once chunks were given back or lost whose lines may still wait. */
  let hasStrays = false;

  const suspects = createSuspects();
  const windows = createModelWindows({ maxConcurrency, onUnused: (model) => gates.forget(model) });
  const limits = createModelLimits({
    clock: ctx.clock,
    limits: modelConcurrency,
    onExpired() {
      ctx.log.warn(
        {},
        'the lease is too old to go on with models that have a limit; their requests are aborted',
      );
      slots.abortLimited();
    },
  });
  const lanes = createLanes(suspects, windows, limits);
  const gates = createUpstreamGates({
    clock: ctx.clock,
    log: ctx.log,
    firstPauseMs: ctx.settings.retryBaseMs,
    onOpen: () => slots.fill(),
  });
  const waiting = createWaitHeap<Line>(ctx.clock, (line) => slots.retryDue(line));
  const committer = createCommitter({ ctx, onCommitted, onWritten: () => slots.fill() });
  const turns = createTurns({ ctx, suspects, committer, onLost: dropRun, onEnded: () => slots.fill() });
  const slots = createSlots({
    ctx,
    lanes,
    turns,
    gates,
    windows,
    limits,
    waiting,
    committer,
    maxConcurrency,
    mayHold: () => lease.isValid(),
    onLanded,
  });
  const laneStops = createLaneStops({ ctx, worker, lanes, slots, committer, onGivenBack });
  const claims = createClaims({
    ctx,
    worker,
    lanes,
    gates,
    windows,
    limits,
    maxConcurrency,
    mayHold: () => lease.isValid(),
    onRuns: (runs) => laneStops.takeOn(runs),
  });
  const steps = createSteps(ctx, worker, wake);
  const deliveries = createDeliveries(ctx, worker, wake);
  const housekeeping = createHousekeeping(ctx);
  const returns = createModelReturns({ ctx, lanes, limits, committer, onReturned });
  const lease = createLease({ ctx, worker, limits, onReleased: wake, onLost: dropAll });

  function wake(): void {
    claims.noteWork();
    ticker?.wake();
  }

  /** First those that stop batches; then those that begin something, all at once, for then a store can make one write of theirs. */
  const parts: readonly (readonly (() => Promise<void>)[])[] = [
    [expireBatches],
    [() => laneStops.check()],
    [async () => returns.check()],
    [
      () => unlessLapsed(() => steps.fill()),
      () => {
        claims.noteWork();
        return claims.refill();
      },
      () => unlessLapsed(() => deliveries.fill()),
    ],
  ];

  /** Whoever takes this worker for dead frees what it claims. */
  async function unlessLapsed(claim: () => Promise<void>): Promise<void> {
    if (lease.isValid()) await claim();
  }

  /** Each part is done even where one before it fails. Rejects with the first failure. */
  async function tick(): Promise<void> {
    // First: on a full disk the rest fails, and this may make room.
    housekeeping.fill();
    const failures: unknown[] = [];
    for (const part of parts) {
      await Promise.all(part.map((look) => look().catch((error: unknown) => failures.push(error))));
    }
    dropStrays();
    slots.fill();
    if (failures.length > 0) throw failures[0];
  }

  async function expireBatches(): Promise<void> {
    const expired = await ctx.store.expireBatches(ctx.clock.now());
    if (expired > 0) ctx.log.info({ batches: expired }, 'batches reached their deadline');
  }

  function onReturned(run: ChunkRun): void {
    removeRun(run);
    hasStrays = true;
  }

  function onGivenBack(): void {
    hasStrays = true;
    wake();
  }

  /** A wait may be hours, and each line that waits keeps its chunk's input in memory. One look serves many chunks. */
  function dropStrays(): void {
    if (hasStrays) waiting.drop((line) => line.run.stopped);
    hasStrays = false;
  }

  function onLanded(run: ChunkRun): void {
    const lane = lanes.all.get(run.batch.id);
    if (lane !== undefined && lane.stopping && !stopping) laneStops.noteLanded(lane);
    else if (lane !== undefined) lanes.removeIfEmpty(lane);
    if (slots.inFlight === 0) onIdle();
    claims.refillIfHungry();
  }

  function onCommitted(run: ChunkRun, lines: number, fenced: Fenced): void {
    if (fenced === 'lost') return dropRun(run);
    run.uncommitted -= lines;
    if (run.uncommitted > 0) return;
    removeRun(run);
    // It may have been its batch's last chunk, and it makes room for the next one of its model.
    wake();
  }

  function dropAll(): void {
    ctx.log.warn({}, 'this worker was not heard of for so long that others have taken over what it held');
    const runs = [...lanes.all.values()].flatMap((lane) => [...lane.runs]);
    // All of them first: each request that is aborted makes room for a line of those that are left.
    for (const run of runs) lanes.stopRun(run);
    for (const run of runs) dropRun(run);
  }

  function dropRun(run: ChunkRun): void {
    ctx.log.warn({ ...run.ref }, 'a chunk was lost to another worker; its results are dropped');
    // Nobody has it where what was lost is only the answer to its last commit.
    claims.giveBackLater(run.ref);
    for (const line of lanes.all.get(run.batch.id)?.flying ?? []) if (line.run === run) line.abort?.();
    removeRun(run);
    hasStrays = true;
  }

  function removeRun(run: ChunkRun): void {
    lanes.removeRun(run);
    const lane = lanes.all.get(run.batch.id);
    if (lane !== undefined) lanes.removeIfEmpty(lane);
  }

  function sendNothingMore(): void {
    stopping = true;
    unsubscribe();
    for (const lane of lanes.all.values()) lanes.stop(lane);
    waiting.clear();
    turns.endHolds();
  }

  /** Resolves when nothing is in flight; what is left after `graceMs` is aborted. */
  async function drain(graceMs: number): Promise<void> {
    if (slots.inFlight === 0) return;
    await new Promise<void>((resolve) => {
      const cancel = ctx.clock.after(graceMs, () => {
        for (const lane of lanes.all.values()) slots.abort(lane);
      });
      onIdle = () => {
        cancel();
        resolve();
      };
    });
  }

  return {
    id: worker,
    async start() {
      await lease.start();
      ticker = createTicker({ clock: ctx.clock, log: ctx.log, intervalMs: TICK_INTERVAL_MS, tick });
      unsubscribe = engine.onWake(wake);
      wake();
    },
    async stop({ graceMs = 0 } = {}) {
      sendNothingMore();
      await Promise.all([ticker?.stop(), claims.stop()]);
      await Promise.all([steps.stop(), deliveries.stop(), housekeeping.stop(), drain(graceMs)]);
      waiting.clear();
      gates.close();
      const ends = await Promise.allSettled([committer.close()]);
      laneStops.close();
      await returns.stop();
      ends.push(
        ...(await Promise.allSettled([...lanes.all.values()].map((lane) => laneStops.giveBack(lane)))),
      );
      // Last: what was given back must not have been taken for a dead worker's before.
      await lease.stop();
      const failed = ends.find((end) => end.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    },
  };
}
