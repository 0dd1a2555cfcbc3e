/** Receivers that are reached and misbehave: they redirect, ask for other times, or come back after a long time. */
import assert from 'node:assert/strict';
import { createWebhookSender } from '../../../src/adapters/webhook/index.ts';
import { startUpstreamServer } from '../../helpers/upstream-server.ts';
import type { Reply } from '../../helpers/upstream-server.ts';
import type { Fault } from '../harness/fault.ts';
import type { Random } from '../harness/random.ts';
import type { Scope } from '../harness/scope.ts';
import { openLine, WAITS_MS } from './delivery-line.ts';
import type { DeliveryLine } from './delivery-line.ts';
import { deadPort, startTrap } from './machine.ts';

const DAY_MS = 24 * 3_600_000;

/** A line whose receiver really listens; `replyOf` says what it answers to attempt `n`, from 1. */
async function openRealLine(scope: Scope, replyOf: (n: number, now: number) => Reply): Promise<DeliveryLine> {
  let requests = 0;
  const server = await startUpstreamServer(() => replyOf(++requests, line.clock.now()));
  scope.defer(() => server.close());
  const sender = createWebhookSender({ allowPrivate: true });
  scope.defer(() => sender.close());
  const line = await openLine(scope, (_n, ...sent) => sender.send(...sent), `${server.origin}/hook`);
  return line;
}

interface WantedPause {
  readonly name: string;
  /** The header's value at the time `now`. */
  readonly value: (now: number) => string;
  /** So long the service must wait at least, besides its own schedule, milliseconds. */
  readonly waitMs: number;
}

const httpDate = (time: number): string => new Date(time).toUTCString();
const pause = (value: string, waitMs = 0): WantedPause => ({ name: value, value: () => value, waitMs });

const PAUSES: readonly WantedPause[] = [
  pause('7200', 7_200_000),
  pause('120', 120_000),
  pause('5.25', 5250),
  pause('1'),
  pause('0'),
  pause('-1'),
  pause('-86400'),
  pause(''),
  pause('soon'),
  pause('12 apples'),
  pause('1e9'),
  pause('0x7fffffff'),
  pause('Infinity'),
  pause('NaN'),
  pause('12, 24'),
  pause('\u0661\u0662\u0663'),
  pause('x'.repeat(4000)),
  pause('999999999999', DAY_MS),
  pause('86401', DAY_MS),
  pause('Wed, 99 Foo 2026 99:99:99 GMT'),
  pause('Fri, 31 Dec 9999 23:59:59 GMT', DAY_MS),
  pause('Thu, 01 Jan 1970 00:00:00 GMT'),
  { name: 'a date in an hour', value: (now) => httpDate(now + 3_600_000), waitMs: 3_600_000 },
  { name: 'a date an hour ago', value: (now) => httpDate(now - 3_600_000), waitMs: 0 },
];

export const retryAfter: Fault = {
  family: 'webhooks',
  name: 'a receiver that answers 429 with all kinds of Retry-After',
  async run(trials) {
    const { quick, random } = trials;
    const pauses = quick ? PAUSES.filter((_, at) => at % 4 === 0) : PAUSES;
    await trials.each(pauses, async (wanted) => {
      await trials.attempt(wanted.name.slice(0, 40), async (scope) => {
        const line = await openRealLine(scope, (n, now) =>
          n === 3 ? {} : { status: n === 1 ? 429 : 503, headers: { 'retry-after': wanted.value(now) } },
        );
        await line.begin();
        await line.expectNext(waitOf(line, wanted, WAITS_MS[0]), random);
        await line.expectNext(waitOf(line, wanted, WAITS_MS[1]), random);
        await line.expectNoMore();
      });
    });
  },
};

/** Dates are in whole seconds, counted from when they are given. */
function waitOf(line: DeliveryLine, { name, waitMs }: WantedPause, scheduledMs: number): number {
  const cutMs = name.startsWith('a date') ? line.lastAt() % 1000 : 0;
  return Math.max(scheduledMs, waitMs - cutMs);
}

const REDIRECTS = [300, 301, 302, 303, 305, 307, 308];

export const redirects: Fault = {
  family: 'webhooks',
  name: 'a receiver that redirects to this machine',
  async run(trials) {
    const { quick, random } = trials;
    await trials.each(quick ? [302, 307] : REDIRECTS, async (status) => {
      await trials.attempt(String(status), async (scope) => {
        const trap = await startTrap(scope);
        const places = [
          `http://127.0.0.1:${trap.port}/`,
          `http://[::1]:${trap.port}/`,
          `http://0x7f.1:${trap.port}/`,
          `//localhost:${trap.port}/`,
          '/elsewhere',
          'http://receiver.test@127.0.0.1/',
        ];
        const line = await openRealLine(scope, (n) => {
          const location = places[n - 1];
          if (location === undefined) return {};
          return {
            status,
            headers: { location, refresh: `0; url=${location}`, 'content-location': location },
          };
        });
        await line.begin();
        for (const at of places.keys()) await line.expectNext(WAITS_MS[at] as number, random);
        await line.expectNoMore();
        const statuses = line.sender.attempts.map(
          ({ outcome }) => outcome?.kind === 'answered' && outcome.status,
        );
        assert.deepEqual(statuses, [...places.map(() => status), 200]);
        assert.deepEqual(trap.visitors, [], 'a redirect was followed');
      });
    });
  },
};

export const deadForHours: Fault = {
  family: 'webhooks',
  name: 'a port on which nobody listens for hours',
  async run(trials) {
    const { quick, random } = trials;
    const counts = quick ? [5] : [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    await trials.each(counts, async (count) => {
      await trials.attempt(`${count} attempts`, async (scope) => await knockUntilOpen(scope, count, random));
    });
  },
};

/** The first `count` attempts find nobody. */
async function knockUntilOpen(scope: Scope, count: number, random: Random): Promise<void> {
  const port = await deadPort(random);
  const sender = createWebhookSender({ allowPrivate: true });
  scope.defer(() => sender.close());
  const line = await openLine(scope, (_n, ...sent) => sender.send(...sent), `http://127.0.0.1:${port}/hook`);
  await line.begin();
  for (let n = 1; n <= Math.min(count, WAITS_MS.length); n++) {
    if (n === count) {
      const server = await startUpstreamServer(() => ({ status: 204, body: '' }), { port });
      scope.defer(() => server.close());
    }
    await line.replace((courier) => courier.restart());
    await line.expectNext(WAITS_MS[n - 1] as number, random);
  }
  await line.expectNoMore();
  const outcomes = line.sender.attempts.map(({ outcome }) => outcome);
  const failed = { kind: 'failed', message: 'no answer: ECONNREFUSED' };
  const delivered = { kind: 'answered', status: 204, retryAfter: null, body: '' };
  const expected = Array.from({ length: count }, () => failed);
  assert.deepEqual(outcomes, count > WAITS_MS.length ? expected : [...expected, delivered]);
}
