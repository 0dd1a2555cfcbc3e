/** The request slots: sends the next line whenever one is free, and acts on what comes back. */
import { failedResult, judgeAttempt } from '../engine/index.ts';
import type { ChunkRun, Committer, EngineContext, Line, Outcome, Verdict } from '../engine/index.ts';
import type { Lane, Lanes } from './lanes.ts';
import type { ModelWindows } from './model-windows.ts';
import type { Suspects } from './suspects.ts';
import type { UpstreamGates } from './upstream-gates.ts';
import type { WaitHeap } from './wait-heap.ts';

export interface Slots {
  /** Sends lines while slots are free and lines may be sent. */
  fill(): void;
  /** Takes claimed chunks on and begins to send their lines. */
  addRuns(runs: readonly ChunkRun[]): void;
  /** Lines that wait for another attempt and may go now. */
  retryDue(line: Line): void;
  /** Aborts every request of the lane that is still in flight. */
  abort(lane: Lane): void;
  readonly inFlight: number;
}

export interface SlotsOptions {
  readonly ctx: EngineContext;
  readonly lanes: Lanes;
  readonly suspects: Suspects;
  readonly gates: UpstreamGates;
  readonly windows: ModelWindows;
  readonly waiting: WaitHeap<Line>;
  readonly committer: Committer;
  readonly maxConcurrency: number;
  /** A line of the chunk landed; there may be too few lines left to keep all slots busy, or its lane may be empty. */
  readonly onLanded: (run: ChunkRun) => void;
  /** Another worker has the chunk now. */
  readonly onLost: (run: ChunkRun) => void;
}

/** How long a line waits that could not be noted before it was to be tried alone. */
const STORE_PAUSE_MS = 1000;
const CRASHED_MESSAGE =
  'The server died each time it handled this request, so the request was given up after repeated attempts.';

export function createSlots(options: SlotsOptions): Slots {
  const { ctx, lanes, suspects, gates, windows, waiting, committer, maxConcurrency, onLanded, onLost } =
    options;
  let inFlight = 0;

  const isOpen = (model: string): boolean => gates.isOpen(model);

  function fill(): void {
    while (inFlight < maxConcurrency && !committer.backlogged) {
      const line = lanes.takeNext(isOpen);
      if (line === null) return;
      inFlight++;
      gates.noteSent(line.run.model);
      if (line.suspicion === 'free') send(line);
      else void sendNoted(line);
    }
  }

  function send(line: Line): void {
    line.abort = ctx.upstream.send(line.request, (outcome) => settle(line, outcome));
  }

  function free(line: Line): void {
    line.abort = null;
    inFlight--;
    lanes.landed(line);
  }

  function settle(line: Line, outcome: Outcome): void {
    const verdict = judgeAttempt(ctx, line, outcome, Math.random());
    // Before the slot is free: the gate of a model goes with its last line.
    tellOf(line.run.model, outcome, verdict);
    free(line);
    if (verdict.kind === 'finished') {
      committer.add(line.run, line.place, verdict.result);
    } else if (verdict.kind === 'again') {
      line.retries++;
      waiting.add(line, verdict.delayMs);
    } else {
      lanes.putBack(line);
    }
    if (line.suspicion !== 'free') void acquit(line, verdict.kind === 'finished');
    fill();
    onLanded(line.run);
  }

  function tellOf(model: string, outcome: Outcome, verdict: Verdict): void {
    if (verdict.kind === 'unreachable') gates.noteUnreachable(model, verdict.message);
    else if (verdict.kind === 'aborted') gates.noteUntold(model);
    else gates.noteReached(model);
    if (outcome.kind === 'answer') windows.noteAnswer(model);
    else if (outcome.kind === 'failed' && outcome.code === 'request_timeout') windows.noteSilence(model);
  }

  /** Notes durably which line is tried alone before it is sent, so that the next process knows it if this one dies. */
  async function sendNoted(line: Line): Promise<void> {
    suspects.began(line);
    try {
      const noted = await ctx.store.markTrying(line.run.ref, line.place);
      if (noted === 'ok' && !line.run.stopped) return send(line);
      if (noted === 'lost') onLost(line.run);
    } catch (error) {
      ctx.log.error({ err: error, batchId: line.run.batch.id }, 'a line cannot be noted before it is tried');
    }
    suspects.ended(line);
    gates.noteUntold(line.run.model);
    free(line);
    waiting.add(line, STORE_PAUSE_MS);
    onLanded(line.run);
  }

  /** The line is no suspect any more; what came of it is stored before the next suspect's turn. */
  async function acquit(line: Line, finished: boolean): Promise<void> {
    line.suspicion = 'free';
    try {
      if (finished) await committer.flush();
      else await ctx.store.markTrying(line.run.ref, null);
    } catch (error) {
      ctx.log.error({ err: error, batchId: line.run.batch.id }, 'a line tried alone cannot be noted');
    }
    suspects.ended(line);
    fill();
  }

  /** Until that is stored no other suspect of the chunk goes: noted in its place, it would let this one start anew. */
  function giveUp(run: ChunkRun, line: Line): void {
    ctx.log.error({ batchId: run.batch.id, requestId: line.id }, 'a line killed the process; it is given up');
    suspects.began(line);
    committer.add(run, line.place, failedResult(line, 'request_crashed', CRASHED_MESSAGE));
    void acquit(line, true);
  }

  return {
    fill,
    addRuns(runs) {
      for (const run of runs) {
        lanes.addRun(run);
        if (run.poison !== null) giveUp(run, run.poison);
      }
      // Not before all are there: a model must not take every slot because its chunk was read first.
      fill();
    },
    retryDue(line) {
      lanes.putBack(line);
      fill();
    },
    abort(lane) {
      for (const line of lane.flying) line.abort?.();
    },
    get inFlight() {
      return inFlight;
    },
  };
}
