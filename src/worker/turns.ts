/** After a crash: a line's turn to be tried alone, from the note that says so to what came of it. */
import { failedResult } from '../engine/index.ts';
import type { ChunkRun, Committer, EngineContext, Line } from '../engine/index.ts';
import type { Suspects } from './suspects.ts';

export interface Turns {
  /**
   * Notes durably that the line is tried alone, so that the next process knows it if this one dies. False where it must
   * not be sent any more. Tries again while the store fails: without its note the line must not go.
   */
  begin(line: Line): Promise<boolean>;
  /** True from when the line is noted until its turn is over. */
  has(line: Line): boolean;
  /** True where the line keeps its turn, and its slot, while it waits so long for a retry. */
  coversRetry(line: Line, delayMs: number): boolean;
  /** Resolves after `ms` milliseconds, or when the line is aborted. */
  hold(line: Line, ms: number): Promise<void>;
  /** What came of the line is stored before the next suspect's turn. Not finished, it goes on as a plain suspect. */
  end(line: Line, finished: boolean): Promise<void>;
  /** Finishes the line that the process died of too often. */
  giveUp(run: ChunkRun, line: Line): void;
  /** Aborts all lines that `hold` holds. */
  endHolds(): void;
}

/** Pause after the store failed to note a line, milliseconds. */
const STORE_PAUSE_MS = 1000;
/** The longest turn, milliseconds: others wait for its end, and an answer may take ten minutes. */
const MAX_TURN_MS = 60_000;
const CRASHED_MESSAGE =
  'The server died each time it handled this request, so the request was given up after repeated attempts.';

export function createTurns(options: {
  readonly ctx: EngineContext;
  readonly suspects: Suspects;
  readonly committer: Committer;
  /** Another worker has the chunk now. */
  readonly onLost: (run: ChunkRun) => void;
  /** Others may go on. */
  readonly onEnded: () => void;
}): Turns {
  const { ctx, suspects, committer, onLost, onEnded } = options;
  /** Lines whose turn it is, each with what cancels the timer that ends it. */
  const turns = new Map<Line, () => void>();
  const held = new Set<Line>();

  async function begin(line: Line): Promise<boolean> {
    suspects.began(line);
    if (await note(line)) {
      const cancel = ctx.clock.after(MAX_TURN_MS, () => void end(line, false));
      turns.set(line, cancel);
      return true;
    }
    suspects.ended(line);
    return false;
  }

  async function note(line: Line): Promise<boolean> {
    const { run } = line;
    while (!run.stopped) {
      try {
        const noted = await ctx.store.markTrying(run.ref, line.place);
        if (noted === 'lost') onLost(run);
        return noted === 'ok' && !run.stopped;
      } catch (error) {
        ctx.log.error({ err: error, batchId: run.batch.id }, 'a line cannot be noted before it is tried');
      }
      await hold(line, STORE_PAUSE_MS);
    }
    return false;
  }

  async function hold(line: Line, ms: number): Promise<void> {
    if (line.run.stopped) return;
    held.add(line);
    await new Promise<void>((resolve) => {
      const cancel = ctx.clock.after(ms, resolve);
      line.abort = () => {
        cancel();
        resolve();
      };
    });
    line.abort = null;
    held.delete(line);
  }

  async function end(line: Line, finished: boolean): Promise<void> {
    turns.get(line)?.();
    turns.delete(line);
    line.suspicion = 'suspect';
    try {
      if (finished) await committer.flush();
      else await ctx.store.markTrying(line.run.ref, null);
    } catch (error) {
      ctx.log.error({ err: error, batchId: line.run.batch.id }, 'a line tried alone cannot be noted');
    }
    suspects.ended(line);
    onEnded();
  }

  return {
    begin,
    has: (line) => turns.has(line),
    // One that processes died of keeps it, for it may be the retry that kills: noted anew, it would start from no deaths.
    coversRetry: ({ suspicion }, delayMs) =>
      (suspicion === 'prime' || suspicion === 'accused') && delayMs <= MAX_TURN_MS,
    hold,
    end,
    giveUp(run, line) {
      ctx.log.error(
        { batchId: run.batch.id, requestId: line.id },
        'a line killed the process; it is given up',
      );
      // Until that is stored no other suspect of the chunk goes: noted in its place, it would let this one start anew.
      suspects.began(line);
      committer.add(run, line.place, failedResult(line, 'request_crashed', CRASHED_MESSAGE));
      void end(line, true);
    },
    endHolds() {
      for (const line of held) line.abort?.();
    },
  };
}
