/** Processes that die of something else while slow requests are in flight. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from '../harness/fault.ts';
import { checkInvariants } from '../harness/invariants/index.ts';
import { makeInput } from '../harness/lines.ts';
import type { Random } from '../harness/random.ts';
import type { Scope } from '../harness/scope.ts';
import { waitFor } from '../harness/wait.ts';
import { createWorld } from '../harness/world.ts';
import { checkVerdicts } from './verdicts.ts';

const LATENCY_MS = 200;
const LINES = 300;

export const innocentLines: Fault = {
  family: 'poison',
  name: 'kills that are no line’s fault, with slow requests in flight: no line is given up',
  async run(trials) {
    const tries = Array.from({ length: trials.quick ? 1 : 6 }, (_, i) => i + 1);
    await trials.each(tries, async (n) => {
      await trials.attempt(`batch ${n}`, (scope) => tryInnocent(scope, trials.random, trials.quick ? 2 : 5));
    });
  },
};

async function tryInnocent(scope: Scope, random: Random, kills: number): Promise<void> {
  const world = await createWorld(scope);
  await world.start();
  world.upstream.latencyMs = LATENCY_MS;
  const batch = await world.client.create(await world.client.upload(makeInput(LINES)));
  for (let kill = 0; kill < kills; kill++) {
    const before = world.upstream.calls.length;
    await waitFor('lines are in flight', () => world.upstream.calls.length > before);
    // A line that is cut off three times in a row could not be told from a deadly one: each second kill comes later.
    await sleep(kill % 2 === 0 ? random.between(0, LATENCY_MS) : LATENCY_MS * random.between(3, 5));
    if ((await world.client.retrieve(batch)).status === 'completed') break;
    await world.kill();
    await world.start();
  }
  world.upstream.latencyMs = 5;
  await world.settle();
  await checkVerdicts(world, new Set());
  await checkInvariants(world);
}
