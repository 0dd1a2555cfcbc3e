import { HttpError } from './errors.ts';

/** Runs work that must not take the place of everything else: at most `max` at a time, more are refused with 429. */
export type Gate = <T>(work: () => Promise<T>) => Promise<T>;

/** `what` names the work in the refusal, in the plural. */
export function createGate({ max, what }: { readonly max: number; readonly what: string }): Gate {
  let running = 0;
  return async (work) => {
    if (running === max) {
      throw new HttpError(429, `Too many ${what} at a time: at most ${max}. Try again in a moment.`, {
        headers: { 'retry-after': '1' },
      });
    }
    running++;
    try {
      return await work();
    } finally {
      running--;
    }
  };
}
