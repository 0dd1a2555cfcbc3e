/** A receiver that is down for hours or for good, and one that says when it wants to hear again. */
import assert from 'node:assert/strict';
import type { WebhookOutcome } from '../../../src/engine/index.ts';
import type { Fault } from '../harness/fault.ts';
import type { Random } from '../harness/random.ts';
import { answered, openLine, WAITS_MS } from './delivery-line.ts';
import type { DeliveryLine } from './delivery-line.ts';

const SECOND = 1000;
const ATTEMPTS = WAITS_MS.length + 1;

/** All of these are tried again. */
const TROUBLES: readonly WebhookOutcome[] = [
  { kind: 'failed', message: 'no answer: ECONNREFUSED' },
  { kind: 'failed', message: 'no answer within 15000 ms' },
  { kind: 'refused', message: 'its host is not on the public internet' },
  ...[301, 307, 400, 401, 404, 408, 429, 500, 502, 503].map((status) => answered(status)),
];

/** What is done to the service after an attempt, at some moment before the next one. */
type Blow = 'none' | 'restart' | 'crash' | 'crash in the attempt';

export const downForHours: Fault = {
  family: 'webhooks',
  name: 'a receiver that is down for hours, and a service that is restarted and killed meanwhile',
  async run(trials) {
    const { quick, random } = trials;
    const failures = quick
      ? [0, 4, 10]
      : [0, 1, 4, 9, 10, ...Array.from({ length: 45 }, () => random.between(1, 10))];
    let blows = 0;
    await trials.each(failures, async (count) => {
      const plan = Array.from({ length: Math.min(count + 1, ATTEMPTS) }, () => ({
        trouble: random.pick(TROUBLES),
        blow: random.pick<Blow>(['none', 'none', 'restart', 'crash', 'crash in the attempt']),
      }));
      blows += plan.filter(({ blow }) => blow !== 'none').length;
      const name = `${count} failures, with ${plan.map(({ blow }) => blow).join(', ')}`;
      await trials.attempt(name, async (scope) => {
        const line = await openLine(scope, (n) =>
          n > count ? answered(200) : (plan[n - 1]?.trouble ?? answered(500)),
        );
        await line.begin();
        for (let n = 1; n <= Math.min(count, ATTEMPTS - 1); n++) {
          await strike(line, plan[n - 1]?.blow ?? 'none', random);
          await line.expectNext(WAITS_MS[n - 1] as number, random, plan[n]?.blow === 'crash in the attempt');
        }
        await line.expectNoMore();
      });
    });
    trials.note(`${blows} restarts and crashes, seed ${trials.seed}`);
  },
};

export const wakesByItself: Fault = {
  family: 'webhooks',
  name: 'attempts that nothing wakes the service for but the time',
  async run(trials) {
    await trials.attempt('the first three attempts, second by second', async (scope) => {
      const line = await openLine(scope, (n) => (n > 2 ? answered(200) : answered(503)));
      await line.begin();
      for (const waitMs of WAITS_MS.slice(0, 2)) {
        const before = line.sender.attempts.length;
        const due = line.lastAt() + waitMs;
        while (line.sender.attempts.length === before) {
          await line.courier().tick(SECOND);
          assert.ok(line.clock.now() < due + 3 * SECOND, 'no attempt when its time had come');
        }
        assert.ok(line.lastAt() >= due, 'an attempt before its time');
      }
      await line.expectNoMore();
    });
  },
};

export const goneForGood: Fault = {
  family: 'webhooks',
  name: 'a receiver that answers 410',
  async run(trials) {
    const numbers = trials.quick ? [1, 4] : Array.from({ length: ATTEMPTS }, (_, at) => at + 1);
    await trials.each(numbers, async (number) => {
      await trials.attempt(`to attempt ${number}`, async (scope) => {
        const line = await openLine(scope, (n) => answered(n === number ? 410 : n < number ? 500 : 200, '5'));
        await line.begin();
        for (let n = 1; n < number; n++) await line.expectNext(WAITS_MS[n - 1] as number, trials.random);
        await line.expectNoMore();
        await line.replace((courier) => courier.crash());
        await line.expectNoMore();
      });
    });
  },
};

/** Ends the service somewhere in the next seconds, and starts it again. */
async function strike(line: DeliveryLine, blow: Blow, random: Random): Promise<void> {
  if (blow === 'none' || blow === 'crash in the attempt') return;
  await line.courier().lookAt(line.clock.now() + random.between(0, 4 * SECOND));
  const before = line.sender.attempts.length;
  await line.replace((courier) => (blow === 'crash' ? courier.crash() : courier.restart()));
  await line.courier().lookAt(line.clock.now());
  assert.equal(line.sender.attempts.length, before, `a ${blow} hurries the next attempt`);
}
