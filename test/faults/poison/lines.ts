/** Lines whose handling ends the process each time. */
import assert from 'node:assert/strict';
import type { Fault, Trials } from '../harness/fault.ts';
import { checkInvariants } from '../harness/invariants/index.ts';
import { isTerminal } from '../harness/ledger.ts';
import type { PromisedBatch } from '../harness/ledger.ts';
import { makeInput } from '../harness/lines.ts';
import type { Input } from '../harness/lines.ts';
import type { Scope } from '../harness/scope.ts';
import { hashOf } from '../harness/upstream.ts';
import { waitFor } from '../harness/wait.ts';
import { createWorld } from '../harness/world.ts';
import type { World } from '../harness/world.ts';
import { checkVerdicts } from './verdicts.ts';

const DEADLY = new URL('dies-of-mark.ts', import.meta.url);
/** A line is given up when three processes have died while they tried it, after one that died of it among others. */
const DEATHS_A_LINE = 4;

/** `request`: when it is sent; the others: when its answer is read. */
type Death = 'request' | 'answer' | 'exception';

interface Case {
  readonly death: Death;
  /** The line numbers that are deadly, for each batch; a chunk has 256 lines of one model. */
  readonly batches: readonly (readonly number[])[];
  readonly lines: number;
  /** Models of each batch. */
  readonly models: number;
}

const ONE_CHUNK = { lines: 120, models: 1 } as const;
const MANY_CHUNKS = { lines: 600, models: 1 } as const;
const MODELS = { lines: 90, models: 3 } as const;

const CASES: readonly Case[] = [
  { ...ONE_CHUNK, death: 'request', batches: [[1]] },
  { ...ONE_CHUNK, death: 'exception', batches: [[60]] },
  { ...ONE_CHUNK, death: 'answer', batches: [[120]] },
  { ...ONE_CHUNK, death: 'request', batches: [[2, 3]] },
  { ...ONE_CHUNK, death: 'answer', batches: [[5, 70, 119]] },
  { ...ONE_CHUNK, death: 'request', batches: [[40], [], [7]] },
  { ...MANY_CHUNKS, death: 'answer', batches: [[10, 300, 599]] },
  { ...MANY_CHUNKS, death: 'request', batches: [[256, 257], [1]] },
  { ...MODELS, death: 'exception', batches: [[1, 2, 3]] },
  { ...MODELS, death: 'answer', batches: [[4, 44], [90]] },
];

export const poisonLines: Fault = {
  family: 'poison',
  name: 'lines that kill the process when they are sent or answered: they are given up, all others have their results',
  async run(trials) {
    let deaths = 0;
    let lines = 0;
    const cases = trials.quick ? CASES.slice(0, 1) : [...CASES, ...randomCases(trials)];
    await trials.each(cases, async (one) => {
      await trials.attempt(describe(one), async (scope) => {
        deaths += await tryPoison(scope, one);
        lines += one.batches.flat().length;
      });
    });
    trials.note(`${lines} lines, ${deaths} deaths`);
  },
};

function randomCases({ random }: Trials): Case[] {
  return Array.from({ length: 4 }, () => ({
    lines: 400,
    models: random.between(1, 2),
    death: random.pick(['request', 'answer', 'exception'] as const),
    batches: Array.from({ length: 2 }, () => [random.between(1, 200), random.between(201, 400)]),
  }));
}

function describe({ death, batches, lines, models }: Case): string {
  const where = batches.map((deadly) => `[${deadly.join()}]`).join();
  return `death by ${death}, lines ${where} of ${lines}, ${models} models`;
}

/** What line `n` asks, which no other line does. */
function questionOf(input: Input, n: number): string {
  const line = input.text.split('\n')[n - 1] ?? '';
  return /input \d+, question \d+ /.exec(line)?.[0] ?? '';
}

/** Starts the service again after each death until all batches have ended; answers how many deaths there were. */
async function tryPoison(scope: Scope, { death, batches, lines, models }: Case): Promise<number> {
  const world = await createWorld(scope);
  const inputs = batches.map(() => makeInput(lines, { modelOf: (n) => `model-${n % models}` }));
  const chosen = inputs.flatMap((input, i) => (batches[i] ?? []).map((n) => ({ input, n })));
  const deadly = new Set(chosen.map(({ input, n }) => input.lines[n - 1]?.bodyHash ?? ''));
  const marks = death === 'request' ? chosen.map(({ input, n }) => questionOf(input, n)) : [];
  const start = () =>
    world.start({
      preload: [DEADLY],
      env: { FAULT_DEATH: death, FAULT_DEADLY_LINES: JSON.stringify(marks) },
    });
  await start();
  world.upstream.script = ({ json }) => {
    // Its bytes are those of the line's body.
    const isDeadly = death !== 'request' && deadly.has(hashOf(JSON.stringify(json)));
    return isDeadly ? { body: { mark: 'this answer is deadly' } } : null;
  };
  // All are there before the first line can be sent.
  const files = [];
  for (const input of inputs) files.push(await world.client.upload(input));
  const promised = await Promise.all(files.map((file) => world.client.create(file)));

  // A quick line may kill more often before it is suspected: it was not yet stored that those before it were answered.
  const most = (DEATHS_A_LINE + 2) * deadly.size;
  for (;;) {
    if (!(await endsOrDies(world, promised))) break;
    await world.died();
    assert.ok(
      world.crashes.length <= most,
      `${deadly.size} deadly lines have killed more than ${most} times`,
    );
    await start();
  }
  await world.settle();
  const verdicts = await checkVerdicts(world, deadly);
  assert.equal(verdicts, deadly.size, 'lines that were given up');
  await checkInvariants(world);
  return world.crashes.length;
}

/** True where the service has died before all batches had ended. */
async function endsOrDies({ client, service }: World, batches: readonly PromisedBatch[]): Promise<boolean> {
  await waitFor(
    'the batches end or the service dies',
    async () => {
      if (service.hasEnded) return true;
      try {
        for (const batch of batches) if (!isTerminal((await client.retrieve(batch)).status)) return false;
        return true;
      } catch {
        // It dies in the middle of the call.
        return service.hasEnded;
      }
    },
    30_000,
  );
  return service.hasEnded;
}
