/** The request slots: sends the next line whenever one is free, and acts on what comes back. */
import { judgeAttempt } from '../engine/index.ts';
import type { ChunkRun, Committer, EngineContext, Line, Outcome, Verdict } from '../engine/index.ts';
import type { Lane } from './lane.ts';
import type { Lanes } from './lanes.ts';
import type { ModelLimits } from './model-limits.ts';
import type { ModelWindows } from './model-windows.ts';
import type { Turns } from './turns.ts';
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
  /** Aborts every request of models with a limit: their slots may be another worker's. */
  abortLimited(): void;
  readonly inFlight: number;
}

export interface SlotsOptions {
  readonly ctx: EngineContext;
  readonly lanes: Lanes;
  readonly turns: Turns;
  readonly gates: UpstreamGates;
  readonly windows: ModelWindows;
  readonly limits: ModelLimits;
  readonly waiting: WaitHeap<Line>;
  readonly committer: Committer;
  readonly maxConcurrency: number;
  /** False while others may have taken what this worker holds: nothing is sent then. */
  readonly mayHold: () => boolean;
  /** A line of the chunk landed; there may be too few lines left to keep all slots busy, or its lane may be empty. */
  readonly onLanded: (run: ChunkRun) => void;
}

export function createSlots(options: SlotsOptions): Slots {
  const { ctx, lanes, turns, gates, windows, limits, waiting, committer } = options;
  const { maxConcurrency, mayHold, onLanded } = options;
  let inFlight = 0;

  const isOpen = (model: string): boolean => gates.isOpen(model);

  function fill(): void {
    if (!mayHold()) return;
    while (inFlight < maxConcurrency && !committer.backlogged) {
      const line = lanes.takeNext(isOpen);
      if (line === null) return;
      inFlight++;
      gates.noteSent(line.run.model);
      if (line.suspicion === 'free') send(line);
      else void sendAlone(line);
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
    if (verdict.kind === 'again' && turns.coversRetry(line, verdict.delayMs)) {
      void retryInTurn(line, verdict.delayMs);
      return;
    }
    free(line);
    if (verdict.kind === 'finished') {
      committer.add(line.run, line.place, verdict.result);
    } else if (verdict.kind === 'again') {
      line.retries++;
      waiting.add(line, verdict.delayMs);
    } else {
      lanes.putBack(line);
    }
    if (line.suspicion !== 'free' && turns.has(line)) void turns.end(line, verdict.kind === 'finished');
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

  async function sendAlone(line: Line): Promise<void> {
    if (await turns.begin(line)) return goOn(line);
    gates.noteUntold(line.run.model);
    free(line);
    fill();
    onLanded(line.run);
  }

  async function retryInTurn(line: Line, delayMs: number): Promise<void> {
    line.retries++;
    await turns.hold(line, delayMs);
    if (turns.has(line) && !line.run.stopped) goOn(line);
    else settle(line, { kind: 'aborted' });
  }

  /** Sends a line that waited in its slot, unless the line or the slot may be another worker's by now. */
  function goOn(line: Line): void {
    if (mayHold() && limits.mayGoOn(line.run.model)) send(line);
    else settle(line, { kind: 'aborted' });
  }

  return {
    fill,
    addRuns(runs) {
      for (const run of runs) {
        lanes.addRun(run);
        if (run.poison !== null) turns.giveUp(run, run.poison);
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
    abortLimited() {
      for (const { flying } of lanes.all.values()) {
        for (const line of flying) if (limits.find(line.run.model) !== null) line.abort?.();
      }
    },
    get inFlight() {
      return inFlight;
    },
  };
}
