/** An upstream that is not there: lines that could not be sent wait for it, and lose no attempt. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from '../harness/fault.ts';
import { makeInput } from '../harness/lines.ts';
import { createRandom } from '../harness/random.ts';
import type { Scope } from '../harness/scope.ts';
import { waitFor } from '../harness/wait.ts';
import type { World } from '../harness/world.ts';
import { always, runPlans } from './plans.ts';
import { readEnds } from './results.ts';
import { checkAftermath, endOf, openScenario } from './scenario.ts';
import { answerWell } from './server.ts';
import type { ServedCall } from './server.ts';
import { goodAnswers } from './misdeeds/bodies.ts';
import type { Misdeed } from './misdeeds/misdeed.ts';

/** How many requests wait for their answers, at least, when the upstream goes. */
const IN_FLIGHT = 8;

export const refusals: Fault = {
  family: 'upstream',
  name: 'connections refused, from the start or in the middle, until it is back',
  async run(trials) {
    const { quick, seed } = trials;
    const tries: readonly (readonly [string, (scope: Scope) => Promise<void>])[] = [
      ['refuses from the start', refuseFromStart],
      ...Array.from({ length: quick ? 1 : 6 }, (_, at) => {
        const goAway = (scope: Scope): Promise<void> => goDownInTheMiddle(scope, seed + at, quick ? 1 : 3);
        return [`goes down in the middle ${at + 1}`, goAway] as const;
      }),
    ];
    await trials.each(tries, ([name, work]) => trials.attempt(name, work));
  },
};

/** Not even a service that may retry nothing loses a line. */
async function refuseFromStart(scope: Scope): Promise<void> {
  const scenario = await openScenario(scope, { maxRetries: 0, retryBaseMs: 50 });
  const { world, upstream } = scenario;
  await upstream.goDown();
  const running = runPlans(
    scenario,
    Array.from({ length: 100 }, () => always(goodAnswers[0] as Misdeed)),
  );
  running.catch(() => {});
  await waitFor('the service has noticed', () => countRefusals(world) > 0);
  // The fault goes on for some of the service's own probes, each after a longer pause: 50, 100, 200 and 400 ms.
  await sleep(500);
  const [seen] = await world.client.list();
  assert.equal(seen?.status, 'in_progress');
  assert.deepEqual(
    seen.request_counts,
    { total: 100, completed: 0, failed: 0 },
    'lines were not to be counted',
  );
  await upstream.comeBack();
  // Checks that each line was sent once and has its answer.
  await running;
  await checkAftermath(scenario);
}

/** What is in flight when it goes down counts as an attempt, for it was sent; nothing else does. */
async function goDownInTheMiddle(scope: Scope, seed: number, outages: number): Promise<void> {
  const random = createRandom(seed);
  const scenario = await openScenario(scope, { maxRetries: outages, retryBaseMs: 100 });
  const { world, upstream } = scenario;
  const input = makeInput(400);
  let held: ServedCall[] = [];
  const lost = new Map<string, number>();
  const batch = await world.client.create(await world.client.upload(input));
  for (let outage = 1; outage <= outages; outage++) {
    let toAnswer = random.between(1, 100);
    upstream.serve = (call) => (toAnswer-- > 0 ? answerWell(call) : void held.push(call));
    await waitFor('requests wait', () => held.length >= IN_FLIGHT);
    const refusedBefore = countRefusals(world);
    await upstream.goDown();
    for (const { bodyHash } of held) lost.set(bodyHash, (lost.get(bodyHash) ?? 0) + 1);
    held = [];
    await waitFor('the service has noticed', () => countRefusals(world) > refusedBefore);
    upstream.serve = answerWell;
    await upstream.comeBack();
  }
  const ended = await endOf(scenario, batch);
  const ends = await readEnds(world, ended);
  for (const { customId, bodyHash } of input.lines) {
    assert.equal(ends.get(customId)?.file, 'output', `${customId} was lost`);
    const attempts = upstream.callsOf(bodyHash).length;
    assert.equal(attempts, 1 + (lost.get(bodyHash) ?? 0), `attempts of ${customId}`);
  }
  await checkAftermath(scenario);
}

/** How often the service has said that it cannot connect. */
const countRefusals = ({ service }: World): number => service.output().split('cannot be reached').length - 1;
