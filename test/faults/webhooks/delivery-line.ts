/** One delivery, from its batch's end to its own. */
import assert from 'node:assert/strict';
import type { WebhookOutcome, WebhookSender } from '../../../src/engine/index.ts';
import { createFakeClock } from '../../helpers/fake-clock.ts';
import type { Random } from '../harness/random.ts';
import type { Scope } from '../harness/scope.ts';
import { checkRequests, recordAttempts } from './attempts.ts';
import type { RecordingSender } from './attempts.ts';
import { openCourier, until } from './courier.ts';
import type { Courier } from './courier.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** The contract's: waits before the second to the tenth attempt. */
export const WAITS_MS = [
  5 * SECOND,
  5 * MINUTE,
  30 * MINUTE,
  ...[2, 5, 10, 14, 20, 24].map((hours) => hours * HOUR),
] as const;
/** How long is watched whether a delivery that has ended comes back. */
const AFTERWARDS_MS = [5 * SECOND, 5 * MINUTE, 24 * HOUR, 240 * HOUR] as const;

export const answered = (status: number, retryAfter: string | null = null) =>
  ({ kind: 'answered', status, retryAfter, body: '' }) as const;

/** One delivery, and everything that is needed to watch it. */
export interface DeliveryLine {
  readonly clock: Courier['clock'];
  readonly sender: RecordingSender;
  courier(): Courier;
  /** When the last attempt was made. */
  lastAt(): number;
  /** Runs the batch and sees its first attempt. */
  begin(): Promise<void>;
  /** Sees that nothing is sent before `waitMs` have gone by since the last attempt, and that then one attempt is made. */
  expectNext(waitMs: number, random: Random, isHeld?: boolean): Promise<void>;
  expectNoMore(): Promise<void>;
  replace(by: (courier: Courier) => Promise<Courier>): Promise<void>;
}

/**
 * A batch whose webhook goes to `url`. `outcomeOf` says what becomes of the delivery's attempt `n`, from 1; attempts that a
 * crash cuts off are not counted.
 */
export async function openLine(
  scope: Scope,
  outcomeOf: (
    n: number,
    ...sent: Parameters<WebhookSender['send']>
  ) => WebhookOutcome | Promise<WebhookOutcome>,
  url = 'http://receiver.test/hook',
): Promise<DeliveryLine> {
  const clock = createFakeClock();
  /** Attempts whose end the service saw. */
  let ended = 0;
  let isHeld = false;
  const sender = recordAttempts(clock, async (request, signal) => {
    if (isHeld) {
      isHeld = false;
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      return { kind: 'aborted' };
    }
    return await outcomeOf(++ended, request, signal);
  });
  let courier = await openCourier(scope, { clock, webhooks: sender });
  const line: DeliveryLine = {
    clock,
    sender,
    courier: () => courier,
    lastAt: () => sender.attempts.at(-1)?.at ?? Number.NaN,
    async begin() {
      const batch = await courier.runBatch(url);
      await courier.lookAt(clock.now());
      assert.equal(sender.attempts.length, 1, 'no attempt at once');
      assert.ok(line.lastAt() - (batch.completedAt ?? 0) <= 100, 'the first attempt comes late');
    },
    async expectNext(waitMs, random, hold = false) {
      const before = sender.attempts.length;
      const due = line.lastAt() + waitMs;
      const looks = Array.from({ length: 3 }, () => random.between(clock.now(), due - 1));
      for (const time of [...looks.toSorted((a, b) => a - b), due - 1]) {
        await courier.lookAt(time);
        assert.equal(sender.attempts.length, before, `an attempt ${due - time} ms before its time`);
      }
      isHeld = hold;
      const look = courier.lookAt(due);
      if (hold) {
        await until(() => sender.attempts.length > before);
        // The process dies in the middle of the attempt: who comes after it makes the attempt again.
        const crashed = await courier.crash();
        await look;
        courier = crashed;
        await courier.lookAt(due);
      }
      await look;
      assert.equal(sender.attempts.length, before + (hold ? 2 : 1), 'not one attempt when its time had come');
      assert.equal(line.lastAt(), due);
    },
    async expectNoMore() {
      const before = sender.attempts.length;
      for (const ms of AFTERWARDS_MS) {
        await courier.lookAt(clock.now() + ms);
        assert.equal(sender.attempts.length, before, 'an attempt after the last one');
      }
      checkRequests(sender.attempts);
    },
    async replace(by) {
      courier = await by(courier);
    },
  };
  return line;
}
