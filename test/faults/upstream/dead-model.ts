/** One model hangs while another one answers: the living one must hardly notice. */
import assert from 'node:assert/strict';
import type { Fault } from '../harness/fault.ts';
import { checkInvariants } from '../harness/invariants/index.ts';
import { makeInput } from '../harness/lines.ts';
import { createScope } from '../harness/scope.ts';
import { waitFor } from '../harness/wait.ts';
import { createWorld } from '../harness/world.ts';
import type { World } from '../harness/world.ts';

/** Long enough that the slots, not the processor, decide how fast it goes. */
const LATENCY_MS = 60;
const SLOTS = 64;
/** The share of its speed that the living model must keep. */
const KEPT = 0.95;
/** A busy machine may slow either run down by itself: so many pairs are measured before the model is blamed. */
const MAX_PAIRS = 3;

export const deadModel: Fault = {
  family: 'upstream',
  name: 'one model dead, another alive, in one batch',
  async run(trials) {
    const lines = trials.quick ? 1000 : 5000;
    await trials.attempt('the living model alone, then beside a dead one', async () => {
      let kept = 0;
      for (let pair = 0; pair < MAX_PAIRS && kept < KEPT; pair++) {
        const alone = await linesPerSecond(lines, 0);
        kept = Math.max(kept, (await linesPerSecond(lines, lines)) / alone);
      }
      trials.note(`the living one kept ${Math.round(100 * kept)}% of its speed`);
      assert.ok(kept >= KEPT, `the living model kept only ${Math.round(100 * kept)}% of its speed`);
    });
  },
};

/** How fast the lines of the living model go, after its first rounds, beside `deadLines` of the dead one. */
async function linesPerSecond(livingLines: number, deadLines: number): Promise<number> {
  const scope = createScope();
  try {
    return await measure(await createWorld(scope), livingLines, deadLines);
  } finally {
    await scope.close();
  }
}

async function measure(world: World, livingLines: number, deadLines: number): Promise<number> {
  const { upstream, client } = world;
  const arrivals: number[] = [];
  upstream.latencyMs = LATENCY_MS;
  upstream.script = ({ json }) => {
    if (json['model'] === 'dead') return 'hang';
    arrivals.push(performance.now());
    return null;
  };
  await world.start({ env: { MAX_CONCURRENCY: String(SLOTS), REQUEST_TIMEOUT_MS: '600000' } });
  const every = deadLines > 0 ? 2 : 1;
  const input = makeInput(livingLines + deadLines, { modelOf: (n) => (n % every === 0 ? 'alive' : 'dead') });
  const batch = await client.create(await client.upload(input));
  await waitFor('all lines of the living model are done', async () => {
    return (await client.retrieve(batch)).request_counts.completed === livingLines;
  });
  if (deadLines > 0) await client.cancel(batch);
  await world.settle();
  await checkInvariants(world);
  // Without the first rounds, in which it has yet to show that it lives.
  const from = 4 * SLOTS;
  return ((arrivals.length - from) / ((arrivals.at(-1) ?? 0) - (arrivals[from] ?? 0))) * 1000;
}
