/** The store as a process sees it that is frozen in the middle of a write, and thawed when somebody else has its work. */
import type { Store } from '../../../src/engine/index.ts';

/** Where a worker can be frozen: the last call of each step of a batch. */
export const FREEZABLE = ['startBatch', 'commitSegments', 'finishBatch'] as const;
export type Freezable = (typeof FREEZABLE)[number];

export interface FrozenStore {
  readonly store: Store;
  readonly isFrozen: boolean;
  /** What the calls of the verb that had waited were answered, `ok` or `lost`, one for each write. */
  readonly answers: readonly string[];
  /** Lets everything go on, and waits until those calls are answered. */
  thaw(): Promise<void>;
}

/** Freezes at the call of `verb` after the first `passed` ones: from then on no call of any verb goes through. */
export function freezeStore(real: Store, verb: Freezable, passed: number): FrozenStore {
  const thawed = Promise.withResolvers<void>();
  const calls = new Set<Promise<unknown>>();
  const answers: string[] = [];
  let rest = passed;
  let state: 'running' | 'frozen' | 'thawed' = 'running';

  async function callLate(call: () => Promise<unknown>): Promise<unknown> {
    await thawed.promise;
    const result = await call();
    answers.push(...[result].flat().map(String));
    return result;
  }

  const store = new Proxy(real, {
    get(target, name: keyof Store) {
      const method = target[name].bind(target) as (...args: unknown[]) => Promise<unknown>;
      return async (...args: unknown[]): Promise<unknown> => {
        if (state === 'running' && name === verb && rest-- <= 0) state = 'frozen';
        if (state !== 'frozen') return await method(...args);
        if (name === verb) {
          const call = callLate(() => method(...args));
          calls.add(call);
          return await call;
        }
        await thawed.promise;
        return await method(...args);
      };
    },
  });

  return {
    store,
    get isFrozen() {
      return state === 'frozen';
    },
    answers,
    async thaw() {
      // Its later calls are those of a worker like any other.
      state = 'thawed';
      thawed.resolve();
      await Promise.allSettled(calls);
    },
  };
}
