/** Upstreams that say how long to wait before the next attempt. */
import assert from 'node:assert/strict';
import type { Fault } from '../harness/fault.ts';
import type { Scope } from '../harness/scope.ts';
import { makeInput } from '../harness/lines.ts';
import { waitFor } from '../harness/wait.ts';
import { goodAnswers } from './misdeeds/bodies.ts';
import { answersStatus } from './misdeeds/statuses.ts';
import type { Misdeed } from './misdeeds/misdeed.ts';
import { always, inTurn, runPlans } from './plans.ts';
import type { Plan } from './plans.ts';
import { readEnds } from './results.ts';
import { checkAftermath, checkSlots, endOf, openScenario } from './scenario.ts';
import { endureStorm } from './storms.ts';
import { answerOf, answerWell } from './server.ts';
import type { ServedCall } from './server.ts';

export const passingErrors: Fault = {
  family: 'upstream',
  name: '429 and 503 with every kind of Retry-After, and storms of 5xx that end',
  async run(trials) {
    const { quick, seed } = trials;
    const storm = quick ? { lines: 100, stormMs: 400 } : { lines: 600, stormMs: 1500 };
    const tries: readonly (readonly [string, (scope: Scope) => Promise<void>])[] = [
      ['seconds, dates and nonsense', (scope) => readHeaders(scope, quick ? 1 : 10)],
      ['300 seconds, then a cancel', waitAndCancel],
      ...Array.from({ length: quick ? 1 : 6 }, (_, at) => {
        return [
          `storm ${at + 1}`,
          (scope: Scope) => endureStorm(scope, { ...storm, seed: seed + at }),
        ] as const;
      }),
    ];
    await trials.each(tries, ([name, work]) => trials.attempt(name, work));
  },
};

/** Lines that are to wait for five minutes hold up nothing: neither other lines, nor slots, nor a cancel. */
async function waitAndCancel(scope: Scope): Promise<void> {
  const scenario = await openScenario(scope);
  const { world, upstream } = scenario;
  const input = makeInput(120);
  // More lines than there are slots are limited, among others that are not.
  const limited = new Set(input.lines.filter((_, at) => at % 2 === 0).map(({ bodyHash }) => bodyHash));
  upstream.serve = (call) =>
    limited.has(call.bodyHash)
      ? call.write(answerOf(call.goodBody, { status: 429, headers: 'retry-after: 300\r\n' }))
      : answerWell(call);
  const batch = await world.client.create(await world.client.upload(input));
  const isLimited = (call: ServedCall): boolean => limited.has(call.bodyHash);
  await waitFor('all other lines are finished', async () => {
    const { request_counts } = await world.client.retrieve(batch);
    return request_counts.completed === input.lines.length - limited.size;
  });
  await waitFor(
    'all limited lines were tried',
    () => upstream.calls.filter(isLimited).length >= limited.size,
  );
  await checkSlots(scenario);
  const { status, request_counts } = await world.client.retrieve(batch);
  assert.equal(status, 'in_progress', 'the batch does not wait for its limited lines');
  assert.equal(request_counts.failed, 0, 'lines that wait were counted as failed');

  const cancelledAt = performance.now();
  await world.client.cancel(batch);
  const ended = await endOf(scenario, batch);
  const tookMs = performance.now() - cancelledAt;
  assert.equal(ended.status, 'cancelled');
  assert.ok(tookMs < 5000, `the cancel took ${Math.round(tookMs)} ms, although nothing was in flight`);
  const ends = await readEnds(world, ended);
  for (const { customId, bodyHash } of input.lines) {
    const end = ends.get(customId);
    assert.equal(end?.code ?? end?.status, limited.has(bodyHash) ? 'batch_cancelled' : 200, customId);
    assert.equal(upstream.callsOf(bodyHash).length, 1, `attempts of ${customId}`);
  }
  await checkAftermath(scenario);
  assert.equal(upstream.calls.filter(isLimited).length, limited.size, 'a limited line was tried again');
}

/** What the header says is waited for; what cannot be read is as if it were not there. */
async function readHeaders(scope: Scope, copies: number): Promise<void> {
  const scenario = await openScenario(scope);
  const good = goodAnswers[0] as Misdeed;
  const limit = (headers: string, asksToWaitMs?: number, status = 429): Misdeed => ({
    ...answersStatus(status, true, headers),
    ...(asksToWaitMs !== undefined && { asksToWaitMs }),
  });
  const ignored = [
    '-5',
    '3 apples',
    'soon',
    '',
    '0',
    '1e3',
    'Thu, 99 Foo 2026',
    'Thu, 01 Jan 1970 00:00:00 GMT',
  ];
  const plansOfACopy = (): Plan[] => [
    ...ignored.map((value) => inTurn(limit(`retry-after: ${value}\r\n`), good)),
    inTurn(limit('retry-after: 1\r\n', 1000), good),
    inTurn(limit('retry-after: 1\r\n', 1000, 503), good),
    inTurn(limit('retry-after-ms: 400\r\n', 400), good),
    inTurn(limit('retry-after-ms: 400\r\nretry-after: 300\r\n', 400), good),
    inTurn(limit('retry-after-ms: x\r\nretry-after: 1\r\n', 1000), good),
    always(limit('retry-after-ms: 50\r\n', 50)),
    inTurn(dated(), good),
    // A wait beyond the batch's deadline is not begun.
    always({ ...limit('retry-after: 90000\r\n'), isRetried: false }),
    always({ ...limit('retry-after: 99999999999999999999\r\n'), isRetried: false }),
    always({ ...limit('retry-after: Fri, 31 Dec 9999 23:59:59 GMT\r\n'), isRetried: false }),
  ];
  await runPlans(scenario, Array.from({ length: copies }, plansOfACopy).flat());
  await checkAftermath(scenario);
}

/** Answers with a date: the first whole second that is at least 0.3 s away. */
function dated(): Misdeed {
  let waitMs = 0;
  return {
    ...answersStatus(429, true, 'retry-after: a date\r\n'),
    get asksToWaitMs() {
      return waitMs;
    },
    serve(call) {
      const now = Date.now();
      const date = Math.ceil((now + 300) / 1000) * 1000;
      // Both sides read the wall clock in whole milliseconds.
      waitMs = date - now - 2;
      const headers = `retry-after: ${new Date(date).toUTCString()}\r\n`;
      call.write(answerOf(call.goodBody, { status: 429, headers }));
    },
  };
}
