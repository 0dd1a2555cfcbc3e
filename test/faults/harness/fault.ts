/** What a fault is, and how one is run: tries, each in a scope of its own, and what they violated. */
import { createScope } from './scope.ts';
import type { Scope } from './scope.ts';
import { createRandom } from './random.ts';
import type { Random } from './random.ts';

/** Something that a fault needs of the machine, and that some machines lack. */
export type Need = 'root' | 'strace' | 'faketime' | 'radosgw';

export interface Fault {
  /** What kind of fault it is; the name of its folder. */
  readonly family: string;
  /** What happens, e.g. `SIGKILL at random moments`. */
  readonly name: string;
  readonly needs?: readonly Need[];
  run(trials: Trials): Promise<void>;
}

export interface TrialOptions {
  /** True: a few tries, for `npm test`; false: all of them. */
  readonly quick: boolean;
  /** Seed of everything random, so that a run can be repeated. */
  readonly seed: number;
}

/** What a fault is given to run its tries with. */
export interface Trials extends TrialOptions {
  /** Numbers from the seed. */
  readonly random: Random;
  /**
   * Runs one try. What it throws is noted as a violation under `name` and does not end the run; what it opened in its
   * scope is closed.
   */
  attempt(name: string, work: (scope: Scope) => Promise<void>): Promise<void>;
  /** Runs `work` for each item, two at a time: the machines that run this have two cores. */
  each<T>(items: Iterable<T>, work: (item: T) => Promise<void>): Promise<void>;
  /** A figure for the table, e.g. `upstream: 37 calls repeated`. */
  note(text: string): void;
}

export interface FaultResult {
  readonly tries: number;
  readonly violations: readonly string[];
  readonly notes: readonly string[];
}

/** Runs all tries of a fault. Never rejects: what goes wrong outside of its tries is a violation, too. */
export async function runFault(fault: Fault, { quick, seed }: TrialOptions): Promise<FaultResult> {
  let tries = 0;
  const violations: string[] = [];
  const notes: string[] = [];
  const trials: Trials = {
    quick,
    seed,
    random: createRandom(seed),
    async attempt(name, work) {
      tries++;
      const scope = createScope();
      try {
        await work(scope);
      } catch (error) {
        violations.push(`${name}: ${messageOf(error)}`);
      }
      await scope.close();
    },
    async each(items, work) {
      const rest = items[Symbol.iterator]();
      async function drain(): Promise<void> {
        for (let next = rest.next(); next.done !== true; next = rest.next()) await work(next.value);
      }
      await Promise.all([drain(), drain()]);
    },
    note: (text) => void notes.push(text),
  };
  try {
    await fault.run(trials);
  } catch (error) {
    violations.push(`outside of its tries: ${messageOf(error)}`);
  }
  return { tries, violations, notes };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
