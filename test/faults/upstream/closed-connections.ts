/** An upstream that closes connections which are kept for the next request. */
import type { Socket } from 'node:net';
import type { Fault } from '../harness/fault.ts';
import { createRandom } from '../harness/random.ts';
import type { Scope } from '../harness/scope.ts';
import { goodAnswers } from './misdeeds/bodies.ts';
import type { Misdeed } from './misdeeds/misdeed.ts';
import { always, runPlans } from './plans.ts';
import { runRounds } from './rounds.ts';
import { checkAftermath, openScenario } from './scenario.ts';
import { answerWell } from './server.ts';

export const closedConnections: Fault = {
  family: 'upstream',
  name: 'kept connections closed between requests',
  async run(trials) {
    const { quick, seed } = trials;
    const tries: readonly (readonly [string, (scope: Scope) => Promise<void>])[] = [
      ['while all are idle', (scope) => closeIdle(scope, seed, quick ? 2 : 25)],
      ['soon after each answer', (scope) => closeSoon(scope, seed, 3000)],
    ];
    await trials.each(tries.slice(0, quick ? 1 : 2), ([name, work]) => trials.attempt(name, work));
  },
};

/** The service knows of their end before it writes the next request: not one attempt is lost. */
async function closeIdle(scope: Scope, seed: number, rounds: number): Promise<void> {
  const random = createRandom(seed);
  const scenario = await openScenario(scope, { maxRetries: 1 });
  const ways: readonly ((socket: Socket) => unknown)[] = [
    (socket) => socket.end(),
    (socket) => socket.destroy(),
    (socket) => socket.resetAndDestroy(),
  ];
  await runRounds(scenario, rounds, () => {
    for (const socket of scenario.upstream.openSockets) {
      if (random.next() < 0.7) random.pick(ways)(socket);
    }
  });
  await checkAftermath(scenario);
}

/**
 * Now and then the next request is under way when the connection is closed; it is tried again, and although nobody can know
 * how far it came, no line is lost and none is seen twice by an upstream that closes before it has read it.
 */
async function closeSoon(scope: Scope, seed: number, lines: number): Promise<void> {
  const random = createRandom(seed);
  // A line must have bad luck that often before it is lost.
  const scenario = await openScenario(scope, { maxRetries: 20, retryBaseMs: 1 });
  const pending = new Set<Socket>();
  const soon = (call: Parameters<Misdeed['serve']>[0]): void => {
    const { socket } = call;
    pending.add(socket);
    setImmediate(() => {
      pending.delete(socket);
      answerWell(call);
      if (random.next() < 0.5) return;
      let turns = random.between(0, 5);
      const close = (): unknown => {
        if (pending.has(socket)) return null;
        return turns-- === 0 ? socket.destroy() : setImmediate(close);
      };
      close();
    });
  };
  const misdeed = { ...(goodAnswers[0] as Misdeed), serve: soon };
  await runPlans(
    scenario,
    Array.from({ length: lines }, () => always(misdeed)),
  );
  await checkAftermath(scenario);
}
