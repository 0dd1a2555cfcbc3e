/** What must be true after every fault, whatever it was. */
import type { Witnesses, World } from '../world.ts';
import { checkCalls } from './calls.ts';
import { checkEvents } from './events.ts';
import { checkFolder } from './folder.ts';
import { checkObjects } from './objects.ts';
import { checkPromises } from './promises.ts';
import { checkResults } from './results.ts';

export interface InvariantOptions {
  /** How often the policy may repeat a line's call without any crash. Default 0. */
  readonly retriesALine?: number;
  /** … and those of all lines together. Default: no limit but that of each line. */
  readonly repeatsInAll?: number;
  /** False where the fault has moved the wall clock. Default true. */
  readonly isClockSteady?: boolean;
}

/** Checks all invariants of a world whose service runs and whose batches have ended; throws with all violations. */
export async function checkInvariants(world: World, options: InvariantOptions = {}): Promise<void> {
  await checkWitnessed(world, () => checkFolder(world), options);
}

/** The same for any kind of storage; `stored`: what is wrong with what it holds. */
export async function checkWitnessed(
  world: Witnesses,
  stored: () => Promise<readonly string[]>,
  { retriesALine = 0, repeatsInAll = Infinity, isClockSteady = true }: InvariantOptions = {},
): Promise<void> {
  const violations: string[] = [];
  /** A check that cannot even be made, say because a file is not to be had, has found something too. */
  async function note(invariant: string, check: Promise<readonly string[]>): Promise<void> {
    const found = await check.catch((error: unknown) => [String(error)]);
    violations.push(...found.map((violation) => `[${invariant}] ${violation}`));
  }
  await note('1 promises', checkPromises(world));
  await note('2 results', checkResults(world));
  await note('3 objects', checkObjects(world, isClockSteady));
  await note('4 calls', checkCalls(world, { retriesALine, repeatsInAll }));
  await note('5 events', checkEvents(world));
  await note('3, 6 storage', stored());
  if (violations.length > 0) throw new Error(violations.join('\n    '));
}
