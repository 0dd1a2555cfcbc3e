/** What became of transactions whose connection was lost during their commit. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CommitMark } from './commit-marks.ts';

export type CommitFate = 'committed' | 'aborted' | 'unknown';

/** Between two questions while somebody waits for the answer, and when nobody does any more, milliseconds. */
const PAUSE_MS = 100;
const LATE_PAUSE_MS = 1000;

export interface CommitFates {
  /** Asks again and again for as long as a caller may wait; `unknown` where that was too short. Never rejects. */
  find(mark: CommitMark): Promise<CommitFate>;
  /** Goes on asking. Where it turns out to be committed, calls `undo`, again and again until it succeeds. */
  undoLate(mark: CommitMark, undo: () => Promise<void>): void;
  /** Asks no more; resolves when nothing of it is under way. */
  close(): Promise<void>;
}

/** `ask` answers whether it was committed, and rejects where that cannot be known now; a caller waits for `maxMs` milliseconds. */
export function createCommitFates(options: {
  readonly ask: (mark: CommitMark) => Promise<boolean>;
  readonly maxMs: number;
}): CommitFates {
  const { ask, maxMs } = options;
  const closing = new AbortController();
  const undoing = new Set<Promise<void>>();

  async function look(mark: CommitMark): Promise<CommitFate> {
    try {
      return (await ask(mark)) ? 'committed' : 'aborted';
    } catch {
      return 'unknown';
    }
  }

  async function undoOnceKnown(mark: CommitMark, undo: () => Promise<void>): Promise<void> {
    while (!closing.signal.aborted) {
      const fate = await look(mark);
      if (fate === 'aborted') return;
      try {
        if (fate === 'committed') return await undo();
      } catch {
        // The database went away again.
      }
      await sleep(LATE_PAUSE_MS, undefined, { signal: closing.signal }).catch(() => {});
    }
  }

  return {
    async find(mark) {
      const until = performance.now() + maxMs;
      for (;;) {
        const fate = await look(mark);
        if (fate !== 'unknown' || performance.now() > until) return fate;
        await sleep(PAUSE_MS);
      }
    },
    undoLate(mark, undo) {
      const promise = undoOnceKnown(mark, undo).then(() => void undoing.delete(promise));
      undoing.add(promise);
    },
    async close() {
      closing.abort();
      await Promise.all(undoing);
    },
  };
}
