/** An upstream that answers errors for a time, and then works again. */
import assert from 'node:assert/strict';
import { createRandom } from '../harness/random.ts';
import type { Scope } from '../harness/scope.ts';
import { goodAnswers } from './misdeeds/bodies.ts';
import type { Misdeed } from './misdeeds/misdeed.ts';
import { answersStatus } from './misdeeds/statuses.ts';
import { runPlans } from './plans.ts';
import type { Plan } from './plans.ts';
import { checkAftermath, openScenario } from './scenario.ts';

const STATUSES = [500, 502, 503, 504, 529, 429] as const;

/** All attempts of the first `stormMs` are answered with errors; the policy's waits outlast that. */
export async function endureStorm(
  scope: Scope,
  { lines, stormMs, seed }: { readonly lines: number; readonly stormMs: number; readonly seed: number },
): Promise<void> {
  const random = createRandom(seed);
  const scenario = await openScenario(scope, { maxRetries: 8, retryBaseMs: stormMs / 10 });
  const errors = STATUSES.map((status) => answersStatus(status, true));
  let calmAt = Infinity;
  let failures = 0;
  /** What an attempt met is decided when it comes, and is not to change when it is looked at again. */
  const plans = Array.from({ length: lines }, (): Plan => {
    const met: Misdeed[] = [];
    return (attempt) => {
      if (calmAt === Infinity) calmAt = performance.now() + stormMs;
      const isStormy = performance.now() < calmAt;
      if (met[attempt - 1] === undefined && isStormy) failures++;
      return (met[attempt - 1] ??= isStormy ? random.pick(errors) : random.pick(goodAnswers));
    };
  });
  await runPlans(scenario, plans);
  assert.ok(failures >= lines, `the storm met only ${failures} attempts`);
  const { completed } = (await scenario.world.client.list())[0]?.request_counts ?? {};
  assert.equal(completed, lines, 'not every line came through the storm');
  await checkAftermath(scenario);
}
