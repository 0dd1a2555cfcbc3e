/** Answers of the upstream that are held back until a try has done what it wants to do meanwhile. */
import { waitFor } from './wait.ts';
import type { WitnessUpstream } from './upstream.ts';

export interface HeldAnswers {
  /** Requests whose answers are held. */
  readonly count: number;
  /** Resolves when at least so many are held. */
  reached(count: number): Promise<void>;
  /** Gives them all, and holds none any more. */
  release(): void;
}

/** Holds back the answers to all requests from now on but the first `answered` ones. */
export function holdAnswers(
  upstream: WitnessUpstream,
  { answered = 0 }: { readonly answered?: number } = {},
): HeldAnswers {
  const released = Promise.withResolvers<void>();
  let rest = answered;
  let count = 0;
  upstream.script = async () => {
    if (rest-- > 0) return null;
    count++;
    await released.promise;
    return null;
  };
  return {
    get count() {
      return count;
    },
    async reached(wanted) {
      await waitFor(`${wanted} requests wait for their answers`, () => count >= wanted);
    },
    release() {
      upstream.script = () => null;
      released.resolve();
    },
  };
}
