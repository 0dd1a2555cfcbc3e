/** An upstream that answers a request twice, the second time late: that answer is never another line's. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import type { Fault } from '../harness/fault.ts';
import { createRandom } from '../harness/random.ts';
import type { Scope } from '../harness/scope.ts';
import { goodAnswers } from './misdeeds/bodies.ts';
import type { Misdeed } from './misdeeds/misdeed.ts';
import { answersStatus } from './misdeeds/statuses.ts';
import { inTurn, runPlans } from './plans.ts';
import { runRounds } from './rounds.ts';
import { checkAftermath, openScenario } from './scenario.ts';
import { answerOf } from './server.ts';

/** What comes unasked on an idle connection, and its rest, which comes when a request has been received on it. */
const STRAYS: readonly (readonly [string, string])[] = [
  [answerOf('{"answer":"a late second one"}'), ''],
  [answerOf('{"answer":"a late second one"}').repeat(3), ''],
  ['HTTP/1.1 200 OK\r\ncontent-length: 30\r\n', '\r\n{"answer":"a late second one"}'],
  ['H', answerOf('{"answer":"a late second one"}').slice(1)],
  [
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n',
    '1e\r\n{"answer":"a late second one"}\r\n0\r\n\r\n',
  ],
  ['HTTP/1.1 100 Continue\r\n\r\n', answerOf('{"answer":"a late second one"}')],
  ['HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n', ''],
  ['{"answer":"the rest of a body"}', ''],
  ['\r\n', ''],
];

export const secondAnswers: Fault = {
  family: 'upstream',
  name: 'late second answers on used connections',
  async run(trials) {
    const { quick, seed } = trials;
    let strays = 0;
    const numbers = Array.from({ length: quick ? 1 : 4 }, (_, at) => at + 1);
    const tries = numbers.flatMap((number): [string, (scope: Scope) => Promise<number>][] => [
      [`on idle connections ${number}`, (scope) => sendStrays(scope, seed + number, quick ? 2 : 25)],
      [`after giving up ${number}`, (scope) => answerAfterGivingUp(scope, seed + number, quick ? 100 : 500)],
    ]);
    await trials.each(tries, async ([name, work]) => {
      await trials.attempt(name, async (scope) => void (strays += await work(scope)));
    });
    trials.note(`${strays} second answers`);
  },
};

/** Answers how many were sent. */
async function sendStrays(scope: Scope, seed: number, rounds: number): Promise<number> {
  const random = createRandom(seed);
  const scenario = await openScenario(scope, { maxRetries: 1 });
  const rests = new Map<Socket, string>();
  let strays = 0;
  const meddle = (): void => {
    for (const socket of scenario.upstream.openSockets) {
      if (random.next() < 0.3) continue;
      const [stray, rest] = random.pick(STRAYS);
      socket.write(stray);
      strays++;
      if (rest !== '') rests.set(socket, rest);
    }
  };
  await runRounds(scenario, rounds, meddle, ({ socket }) => {
    const rest = rests.get(socket);
    if (rest !== undefined) socket.write(rest);
  });
  await checkAftermath(scenario);
  return strays;
}

/**
 * A gateway that gives up on a request says so, and the model's own answer comes when the next request is received on that
 * connection. Answers how many would have come.
 */
async function answerAfterGivingUp(scope: Scope, seed: number, lines: number): Promise<number> {
  const random = createRandom(seed);
  const scenario = await openScenario(scope, { retryBaseMs: 20 });
  const late = new Map<Socket, string>();
  let reused = 0;
  const watched = (misdeed: Misdeed, givesUp: boolean): Misdeed => ({
    ...misdeed,
    serve(call) {
      const stray = late.get(call.socket);
      if (stray !== undefined) {
        reused++;
        call.socket.write(stray);
      }
      if (givesUp) late.set(call.socket, answerOf(call.goodBody));
      misdeed.serve(call);
    },
  });
  const gaveUp = [408, 500, 502, 503, 504].map((status) => watched(answersStatus(status, true), true));
  const good = goodAnswers.map((misdeed) => watched(misdeed, false));
  const plans = Array.from({ length: lines }, () => inTurn(random.pick(gaveUp), random.pick(good)));
  await runPlans(scenario, plans);
  assert.equal(reused, 0, 'a connection was used again on which an answer may still come');
  await checkAftermath(scenario);
  return late.size;
}
