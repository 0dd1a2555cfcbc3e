/** Cancels that come when a batch is about to end anyway. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { Refused } from '../harness/client.ts';
import type { Fault } from '../harness/fault.ts';
import type { PromisedBatch } from '../harness/ledger.ts';
import { makeInput } from '../harness/lines.ts';
import type { World } from '../harness/world.ts';
import { counting, endOf, onOneService } from './shared.ts';

/** Longer than a batch of a few lines lives, milliseconds; it is learnt from those that are not cancelled in time. */
const FIRST_GUESS_MS = 120;

export const cancelAgainstFinalize: Fault = {
  family: 'races',
  name: 'one or two cancels against the end of a batch: the end agrees with what they were answered',
  async run(trials) {
    const { random } = trials;
    const ends: Record<string, number> = { completed: 0, cancelled: 0 };
    let lifeMs = FIRST_GUESS_MS;
    await onOneService(trials, async (world) => {
      world.upstream.script = async () => {
        await sleep(random.between(0, 8));
        return null;
      };
      await trials.each(counting(trials.quick ? 10 : 200), async (n) => {
        await trials.attempt(`batch ${n}`, async () => {
          const file = await world.client.upload(makeInput(random.between(1, 5)));
          const startedAt = performance.now();
          const batch = await world.client.create(file);
          const delayMs = random.next() * lifeMs;
          if (delayMs >= 1) await sleep(delayMs);
          const cancels = counting(random.between(1, 2)).map(() => cancel(world, batch));
          const answers = await Promise.all(cancels);
          const { status } = await endOf(world, batch);
          assert.deepEqual(
            answers,
            answers.map(() => (status === 'cancelled' ? 200 : 409)),
            `cancelled after ${delayMs.toFixed(1)} ms; it ended as ${status}`,
          );
          ends[status] = (ends[status] ?? 0) + 1;
          // Half of the cancels should come too late.
          if (status === 'completed') lifeMs = Math.max(10, (lifeMs + performance.now() - startedAt) / 2);
          else lifeMs *= 1.1;
        });
      });
    });
    for (const [end, count] of Object.entries(ends)) trials.note(`${count} ${end}`);
  },
};

/** The status that a cancel is answered with. */
async function cancel({ client }: World, batch: PromisedBatch): Promise<number> {
  try {
    assert.match(await client.cancel(batch), /^cancell(?:ing|ed)$/);
    return 200;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    assert.match(error.body, /Cannot cancel a batch with status '(?:finalizing|completed)'/);
    return error.status;
  }
}
