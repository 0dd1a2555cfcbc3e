/** Many tries on one service: what races is small, and starting it would take most of the time. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { Refused } from '../harness/client.ts';
import type { Trials } from '../harness/fault.ts';
import { checkInvariants } from '../harness/invariants/index.ts';
import { isTerminal } from '../harness/ledger.ts';
import type { BatchObject, PromisedBatch } from '../harness/ledger.ts';
import type { Random } from '../harness/random.ts';
import { createScope } from '../harness/scope.ts';
import { waitFor } from '../harness/wait.ts';
import { createWorld } from '../harness/world.ts';
import type { World } from '../harness/world.ts';

export interface OneServiceOptions {
  /** How often a line may be sent again for other reasons than a crash. Default 0. */
  readonly retriesALine?: number;
  /** As of WorldOptions. */
  readonly apiKey?: string;
}

/** Starts a service, has `work` make its tries on it, and checks all invariants at the end, as a try of its own. */
export async function onOneService(
  trials: Trials,
  work: (world: World) => Promise<void>,
  { retriesALine = 0, apiKey }: OneServiceOptions = {},
): Promise<void> {
  const scope = createScope();
  try {
    const world = await createWorld(scope, apiKey === undefined ? {} : { apiKey });
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

/** How a call was answered. */
export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** The answer to a call, refused or not; throws where it is a failure of the service. */
export async function answerOf(call: Promise<string>): Promise<Answer> {
  try {
    return { status: 200, body: await call };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    assert.ok(error.status < 500, error.message);
    return error;
  }
}

/** The statuses of answers of which nobody knows which one comes first: in ascending order. */
export function statusesOf(...answers: readonly Answer[]): number[] {
  return answers.map(({ status }) => status).toSorted((a, b) => a - b);
}

/** Makes all calls, each after up to `maxMs` milliseconds. */
export async function atOnce<T>(
  random: Random,
  maxMs: number,
  calls: readonly (() => Promise<T>)[],
): Promise<T[]> {
  return await Promise.all(
    calls.map(async (call) => {
      const delayMs = random.between(0, maxMs);
      if (delayMs > 0) await sleep(delayMs);
      return await call();
    }),
  );
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
