/** Waits for the next attempt of a webhook go by the monotonic clock. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from '../harness/fault.ts';
import { checkInvariants } from '../harness/invariants/index.ts';
import { makeInput } from '../harness/lines.ts';
import type { Scope } from '../harness/scope.ts';
import { waitFor } from '../harness/wait.ts';
import { createWorld } from '../harness/world.ts';
import { createFakeTime } from './fake-time.ts';

const HOUR = 3600;
const DAY = 24 * HOUR;
/** The second attempt of a webhook comes this much after the first one, milliseconds. */
const SECOND_ATTEMPT_MS = 5000;

export const webhookWaits: Fault = {
  family: 'clock',
  name: 'the wall clock jumps while a webhook waits for its next attempt',
  needs: ['faketime'],
  async run(trials) {
    const offsets = [-400 * DAY, 400 * DAY, HOUR, -HOUR];
    await trials.each(trials.quick ? offsets.slice(0, 1) : offsets, async (offset) => {
      await trials.attempt(`by ${offset} s`, (scope) => tryWait(scope, offset));
    });
  },
};

async function tryWait(scope: Scope, offset: number): Promise<void> {
  const time = await createFakeTime(scope);
  const world = await createWorld(scope);
  const { client, receiver } = world;
  world.receiver.allowsWrongTimes = true;
  await world.start({ env: time.env });
  receiver.status = 500;
  const batch = await client.create(await client.upload(makeInput(2)));
  const arrived = (): number =>
    receiver.events.filter(({ type, batchId }) => type === 'batch.queued' && batchId === batch.id).length;
  await waitFor('the first attempt', () => arrived() === 1);
  const firstAt = performance.now();
  time.set(offset);
  await sleep(SECOND_ATTEMPT_MS / 2);
  assert.equal(arrived(), 1, 'the second attempt came early');
  receiver.status = 200;
  // Its signature names the service's own time, which the receiver would refuse.
  time.set(0);
  await waitFor('the second attempt', () => arrived() === 2, 2 * SECOND_ATTEMPT_MS);
  assert.ok(performance.now() - firstAt > SECOND_ATTEMPT_MS - 200, 'the second attempt came early');
  await world.settle();
  await checkInvariants(world, { isClockSteady: false });
}
