/** Answers that must not be taken in whole. */
import assert from 'node:assert/strict';
import type { Fault, Trials } from '../harness/fault.ts';
import { MAX_CONCURRENCY } from '../harness/world.ts';
import { bombs, floods } from './misdeeds/floods.ts';
import type { Misdeed } from './misdeeds/misdeed.ts';
import { always, runPlans } from './plans.ts';
import type { Plan } from './plans.ts';
import { readEnds } from './results.ts';
import { checkAftermath, openScenario, peakMemoryBytes } from './scenario.ts';
import type { Scenario } from './scenario.ts';

const MIB = 1024 * 1024;
/**
 * What the service may need beyond what it had when it was started: for each slot the largest answer that it takes in, as
 * received, put together and as a result line (text that is no UTF-8 grows threefold there), all of it once more until it
 * is collected, and what any work takes. Whoever takes in a flood or unpacks a bomb needs more for a single one.
 */
const boundBytes = ({ settings }: Scenario): number =>
  MAX_CONCURRENCY * 8 * settings.maxResponseBytes + 64 * MIB;

export const boundedMemory: Fault = {
  family: 'upstream',
  name: 'answers without end or measure, and gzip bombs, in all slots at once',
  async run(trials) {
    const kinds = [...floods, ...bombs];
    const peaks: number[] = [];
    if (trials.quick) peaks.push(await tryFlood(trials, 'every kind at once', kinds, 32));
    else
      await trials.each(
        kinds,
        async (kind) => void peaks.push(await tryFlood(trials, kind.name, [kind], 64)),
      );
    trials.note(`at most ${Math.round(Math.max(...peaks) / MIB)} MiB more than at the start`);
  },
};

/** Answers how much the service's memory grew, bytes. */
async function tryFlood(
  trials: Trials,
  name: string,
  kinds: readonly Misdeed[],
  lines: number,
): Promise<number> {
  let grownBytes = 0;
  await trials.attempt(name, async (scope) => {
    // Floods are not to be ended by the time limit in place of the limit of their size.
    const scenario = await openScenario(scope, { requestTimeoutMs: 60_000, retryBaseMs: 50 });
    const startBytes = peakMemoryBytes(scenario) ?? 0;
    const plans = Array.from({ length: lines }, (_, at) => always(kinds[at % kinds.length] as Misdeed));
    const failure = await survive(scenario, plans).catch((error: unknown) => error as Error);
    grownBytes = (peakMemoryBytes(scenario) ?? 0) - startBytes;
    const bound = boundBytes(scenario);
    // Said first, for a service that takes floods in fails in other ways too.
    assert.ok(
      grownBytes <= bound,
      `the memory grew by ${Math.round(grownBytes / MIB)} MiB, ${bound / MIB} MiB are the most`,
    );
    if (failure !== undefined) throw failure;
  });
  return grownBytes;
}

async function survive(scenario: Scenario, plans: readonly Plan[]): Promise<void> {
  const { world } = scenario;
  const batch = await runPlans(scenario, plans);
  const ends = await readEnds(world, await world.client.retrieve(batch));
  for (const { message } of ends.values()) {
    // The service must know a bomb for what it is, and not have unpacked it and found it invalid.
    if (message?.includes('valid JSON') === true) assert.match(message, /encoded as 'gzip'/);
  }
  await checkAftermath(scenario);
}
