/** Many tries on one service: what races is small, and starting it would take most of the time. */
import assert from 'node:assert/strict';
import type { Trials } from '../harness/fault.ts';
import { checkInvariants } from '../harness/invariants/index.ts';
import { isTerminal } from '../harness/ledger.ts';
import type { BatchObject, PromisedBatch } from '../harness/ledger.ts';
import { createScope } from '../harness/scope.ts';
import { waitFor } from '../harness/wait.ts';
import { createWorld } from '../harness/world.ts';
import type { World } from '../harness/world.ts';

/** Starts a service, has `work` make its tries on it, and checks all invariants at the end, as a try of its own. */
export async function onOneService(
  trials: Trials,
  work: (world: World) => Promise<void>,
  { retriesALine = 0 } = {},
): Promise<void> {
  const scope = createScope();
  try {
    const world = await createWorld(scope);
    await world.start();
    await work(world);
    await trials.attempt('all of them together', async () => {
      await world.settle();
      assert.equal(await world.stop(), 0);
      await world.start();
      await checkInvariants(world, { retriesALine });
    });
  } finally {
    await scope.close();
  }
}

/** The numbers from 1 to `count`. */
export const counting = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

/** The batch in its terminal state. */
export async function endOf(world: World, batch: PromisedBatch): Promise<BatchObject> {
  return await waitFor(`the end of ${batch.id}`, async () => {
    const seen = await world.client.retrieve(batch);
    return isTerminal(seen.status) && seen;
  });
}
