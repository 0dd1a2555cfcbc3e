/** A store whose writes wait, as those of a process that was frozen: they arrive when somebody else has taken its work. */
import type { Store } from '../../../src/engine/index.ts';

/** Where a worker can be frozen: the last call of each step of a batch. */
export const FREEZABLE = ['startBatch', 'commitSegments', 'finishBatch'] as const;
export type Freezable = (typeof FREEZABLE)[number];

export interface FrozenStore extends Store {
  /** Calls that wait. */
  readonly waiting: number;
  /** What the calls that had waited were answered, `ok` or `lost`, one for each write. */
  readonly answers: readonly string[];
  /** Lets those that wait through, and waits until they are answered. */
  thaw(): Promise<void>;
}

/** Freezes the calls of one verb, all but the first `passed` ones. */
export function freezeStore(store: Store, verb: Freezable, passed: number): FrozenStore {
  const thawed = Promise.withResolvers<void>();
  const calls = new Set<Promise<unknown>>();
  const answers: string[] = [];
  let rest = passed;
  let waiting = 0;

  async function late(call: () => Promise<unknown>): Promise<unknown> {
    waiting++;
    await thawed.promise;
    const result = await call();
    answers.push(...[result].flat().map(String));
    return result;
  }

  const real = store[verb].bind(store) as (...args: unknown[]) => Promise<unknown>;
  async function frozen(...args: unknown[]): Promise<unknown> {
    if (rest-- > 0) return await real(...args);
    const waits = late(() => real(...args));
    calls.add(waits);
    return await waits;
  }

  return {
    ...store,
    [verb]: frozen,
    get waiting() {
      return waiting;
    },
    answers,
    async thaw() {
      thawed.resolve();
      await Promise.allSettled(calls);
    },
  };
}
