import type { Database } from 'better-sqlite3';

type Verb = (...args: never[]) => Promise<unknown>;

/** A verb that was called and whose transaction has not been committed. */
interface Call {
  readonly run: () => Promise<unknown>;
  readonly resolve: (result: Promise<unknown>) => void;
}

/** Calls that are committed together. */
export interface CommitGroup {
  /** The same verbs, each call of which is settled when it is committed. */
  join<V extends Record<keyof V, Verb>>(verbs: V): V;
  /** Runs what waits now. */
  flush(): void;
}

/**
 * Lets writes share transactions: those that are called in one turn of the event loop are committed, and synced, together,
 * for the sync is most of what a small write costs. A verb must do all its work before it returns its promise; inside a
 * group its transaction is a savepoint, so that one which throws leaves no trace and does not harm the others. A
 * group that fails as a whole is run again one by one, so that each is told its own fate.
 */
export function createCommitGroup(db: Database): CommitGroup {
  const begin = db.prepare('begin immediate');
  const commit = db.prepare('commit');
  const rollback = db.prepare('rollback');
  let waiting: Call[] = [];

  function flush(): void {
    const calls = waiting;
    waiting = [];
    const results = calls.length > 1 ? runTogether(calls) : null;
    calls.forEach((call, i) => call.resolve(results?.[i] ?? call.run()));
  }

  /** Null where nothing of it was committed. */
  function runTogether(calls: readonly Call[]): Promise<unknown>[] | null {
    const results: Promise<unknown>[] = [];
    try {
      begin.run();
      for (const call of calls) {
        const result = call.run();
        // Whoever called it hears of it; where the group is run again, nobody does.
        result.catch(() => {});
        results.push(result);
        // Some failures (a full disk, for one) end the whole transaction.
        if (!db.inTransaction) return null;
      }
      commit.run();
      return results;
    } catch {
      if (db.inTransaction) rollback.run();
      return null;
    }
  }

  return {
    join<V extends Record<keyof V, Verb>>(verbs: V): V {
      const joined = Object.entries<Verb>(verbs).map(([name, verb]) => [
        name,
        async (...args: never[]) =>
          await new Promise((resolve) => {
            if (waiting.push({ run: () => verb(...args), resolve }) === 1) setImmediate(flush);
          }),
      ]);
      return Object.fromEntries(joined) as V;
    },
    flush,
  };
}
