/** Each kind of bad answer, for ever and mixed with the others. */
import assert from 'node:assert/strict';
import type { Fault, Trials } from '../harness/fault.ts';
import { createRandom } from '../harness/random.ts';
import type { Scope } from '../harness/scope.ts';
import { startRawServer } from '../../helpers/upstream-server.ts';
import { goodAnswers, invalidBodies, redirects } from './misdeeds/bodies.ts';
import { cuts } from './misdeeds/cuts.ts';
import type { Misdeed } from './misdeeds/misdeed.ts';
import { silences } from './misdeeds/silences.ts';
import { statuses } from './misdeeds/statuses.ts';
import { always, inTurn, runPlans } from './plans.ts';
import type { Plan } from './plans.ts';
import { checkAftermath, openScenario } from './scenario.ts';

/** More lines than there are slots meet it, so that all slots are taken by it at least once. */
const LINES = 40;

/** A place that redirects point to; throws at the end of `work` where anybody came to it. */
async function withTrap(scope: Scope, work: (url: string) => Promise<void>): Promise<void> {
  const trap = await startRawServer((request, socket) =>
    socket.end(`HTTP/1.1 200 OK\r\n\r\n${request.path}`),
  );
  scope.defer(() => trap.close());
  await work(`${trap.origin}/elsewhere`);
  assert.equal(trap.connections.length, 0, 'a redirect was followed');
}

function kinds(trap: string): Misdeed[] {
  return [...silences, ...cuts, ...invalidBodies, ...redirects(trap), ...statuses];
}

export const kindsOfAnswers: Fault = {
  family: 'upstream',
  name: 'answers that are none, cut, late, invalid, redirects or errors, each for ever and all at random',
  async run(trials) {
    const { quick } = trials;
    const names = kinds('').map(({ name }) => name);
    const mixes = Array.from({ length: quick ? 1 : 12 }, (_, at) => () => tryMix(trials, at + 1));
    const singles = quick
      ? [() => tryKinds(trials, 'every kind at once', names, 2)]
      : names.map((name) => () => tryKinds(trials, name, [name], LINES));
    await trials.each([...singles, ...mixes], (work) => work());
    trials.note(`${names.length} kinds`);
  },
};

/** Lines that always meet one of the kinds, `copies` of each, with good answers to every fourth line. */
async function tryKinds(
  trials: Trials,
  title: string,
  names: readonly string[],
  copies: number,
): Promise<void> {
  await trials.attempt(title, async (scope) => {
    await withTrap(scope, async (trap) => {
      const scenario = await openScenario(scope, { maxRetries: trials.quick ? 1 : 2 });
      const chosen = kinds(trap).filter(({ name }) => names.includes(name));
      const bad = Array.from({ length: copies }, () => chosen.map(always)).flat();
      const good = goodAnswers.map(always);
      const plans = bad.flatMap((plan, at) =>
        at % 3 === 0 ? [plan, good[(at / 3) % good.length] as Plan] : [plan],
      );
      await runPlans(scenario, plans);
      await checkAftermath(scenario);
    });
  });
}

/** Lines each of whose attempts meets good answers and bad ones alike. */
async function tryMix(trials: Trials, number: number): Promise<void> {
  const { quick, seed } = trials;
  await trials.attempt(`mix ${number}`, async (scope) => {
    await withTrap(scope, async (trap) => {
      const random = createRandom(seed + number);
      const scenario = await openScenario(scope);
      const bad = kinds(trap);
      const pick = (): Misdeed => random.pick(random.pick([bad, goodAnswers]));
      const plans = Array.from({ length: quick ? 60 : 200 }, () => inTurn(pick(), pick(), pick()));
      await runPlans(scenario, plans);
      await checkAftermath(scenario);
    });
  });
}
