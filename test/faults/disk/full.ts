/** A disk that is full when an upload, a segment, the files of a batch or its chunks are to be stored. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault, Trials } from '../harness/fault.ts';
import { holdAnswers } from '../harness/hold.ts';
import type { HeldAnswers } from '../harness/hold.ts';
import { checkInvariants } from '../harness/invariants/index.ts';
import type { PromisedBatch, PromisedFile } from '../harness/ledger.ts';
import { makeInput } from '../harness/lines.ts';
import { troubles } from '../harness/log.ts';
import type { Scope } from '../harness/scope.ts';
import { waitFor } from '../harness/wait.ts';
import { createWorld } from '../harness/world.ts';
import type { World } from '../harness/world.ts';
import { mustBeRefused, orRefused, useFailingDisk, watchLog } from './answers.ts';
import { tidy } from './ill.ts';
import { mountSmallDisk } from './small-disk.ts';
import type { SmallDisk } from './small-disk.ts';

const KB = 1024;
const MB = 1024 * KB;

/** How the disk gets room again. */
const ENDS = [
  'other files are removed',
  'a file is deleted',
  'SIGKILL and a start on the full disk',
] as const;
type End = (typeof ENDS)[number];

/** How long it stays full once something could not be stored, milliseconds. */
const FULL_MS = 1200;
/** And in some tries: so long that what failed cannot be given back either when its pause of 2 s is over. */
const LONG_FULL_MS = 5000;

/** A service on a small disk, with a large file that nobody needs. */
interface Cramped {
  readonly world: World;
  readonly disk: SmallDisk;
  readonly spare: PromisedFile;
  readonly unwanted: PromisedFile;
}

async function startCramped(scope: Scope): Promise<Cramped> {
  const disk = await mountSmallDisk(scope, { megabytes: 48 });
  const world = await createWorld(scope, { dataDir: disk.dataDir });
  await world.start();
  const spare = await world.client.upload(makeInput(10));
  const unwanted = await world.client.upload(makeInput(12, { bytes: MB }));
  return { world, disk, spare, unwanted };
}

/** A batch that was brought to where the disk is full. */
interface Stuck {
  readonly batch: PromisedBatch;
  readonly held: HeldAnswers;
  /** What the log says of it. */
  readonly says: RegExp;
}

/** Brings a batch to that point, fills the disk and lets it go on. */
type Stick = (cramped: Cramped, trials: Trials) => Promise<Stuck>;

const stickCommitting: Stick = async ({ world, disk }, { random }) => {
  const input = await world.client.upload(makeInput(100));
  const held = holdAnswers(world.upstream, { answered: 20 });
  const batch = await world.client.create(input);
  await held.reached(32);
  // Sometimes the result log still has room, and the database has none.
  disk.fill(random.pick([0, 0, 8, 16, 32]) * KB);
  held.release();
  return { batch, held, says: /results cannot be stored/ };
};

const stickFinalizing: Stick = async ({ world, disk }) => {
  const { client, upstream } = world;
  const lines = 300;
  const input = await client.upload(makeInput(lines));
  const held = holdAnswers(upstream, { answered: lines - 1 });
  // Some 3 MB of results, which finalizing copies.
  upstream.paddingBytes = 10 * KB;
  const batch = await client.create(input);
  await waitFor('all lines but one are stored', async () => {
    return (await client.retrieve(batch)).request_counts.completed === lines - 1;
  });
  disk.fill(MB);
  held.release();
  return { batch, held, says: /finalize of .* failed/ };
};

const stickPreparing: Stick = async ({ world, disk }) => {
  const lines = 12_000;
  const input = await world.client.upload(makeInput(lines, { bytes: 200 }));
  const held = holdAnswers(world.upstream, { answered: lines });
  // Enough for the batch and the claim of its step, not for its chunks.
  disk.fill(128 * KB);
  const batch = await world.client.create(input);
  return { batch, held, says: /prepare of .* failed/ };
};

const STICKS: readonly { readonly what: string; readonly stick: Stick; readonly times: number }[] = [
  { what: 'committing a segment', stick: stickCommitting, times: 4 },
  { what: 'finalizing', stick: stickFinalizing, times: 2 },
  { what: 'preparing', stick: stickPreparing, times: 2 },
];

interface Case {
  readonly name: string;
  readonly run: (scope: Scope, trials: Trials) => Promise<void>;
}

function cases(): Case[] {
  const uploading = [MB, 0, 4 * KB, 40 * KB, 3 * MB].map((leave) => ({
    name: `uploading with ${leave} bytes left`,
    run: (scope: Scope) => tryUploads(scope, leave),
  }));
  const others = STICKS.flatMap(({ times, ...stick }) =>
    ENDS.flatMap((end) => {
      const one: Case = {
        name: `${stick.what} until ${end}`,
        run: (scope, trials) => tryFullDisk(scope, trials, { ...stick, end, fullMs: FULL_MS }),
      };
      return Array.from({ length: times }, () => one);
    }),
  );
  const long = STICKS.map(({ what, stick }): Case => ({
    name: `${what} for a long time until other files are removed`,
    run: (scope, trials) =>
      tryFullDisk(scope, trials, { what, stick, end: 'other files are removed', fullMs: LONG_FULL_MS }),
  }));
  return [...uploading, ...others, ...long];
}

export const fullDisk: Fault = {
  family: 'disk',
  name: 'full while uploading, committing a segment, finalizing or preparing, until there is room again or SIGKILL',
  needs: ['root'],
  async run(trials) {
    const all = cases();
    // An upload, and a commit that goes on once a file is deleted.
    const few = all.filter((_, i) => i === 0 || i === 9);
    await trials.each(trials.quick ? few : all, async ({ name, run }) => {
      await trials.attempt(name, (scope) => run(scope, trials));
    });
  },
};

async function tryUploads(scope: Scope, leave: number): Promise<void> {
  const { world, disk, spare, unwanted } = await startCramped(scope);
  const { client, dataDir } = world;
  disk.fill(leave);
  await mustBeRefused('a large upload', client.upload(makeInput(5, { bytes: MB })));
  await Promise.all([1, 2, 3, 4].map(() => orRefused('an upload', client.upload(makeInput(900)))));
  assert.deepEqual(await readdir(join(dataDir, 'tmp')), [], 'what was refused takes up room');
  disk.fill();
  await useFailingDisk(world, spare);
  const before = disk.free;
  await client.deleteFile(unwanted);
  assert.ok(disk.free - before > 11 * MB, 'removing a file of 12 MB frees no room');
  const file = await client.upload(makeInput(50));
  await client.create(file);
  await endWell(world, disk, 0);
}

async function tryFullDisk(
  scope: Scope,
  trials: Trials,
  options: { readonly what: string; readonly stick: Stick; readonly end: End; readonly fullMs: number },
): Promise<void> {
  const { what, stick, end, fullMs } = options;
  const cramped = await startCramped(scope);
  const { world, disk, spare, unwanted } = cramped;
  const checkLog = watchLog(world);
  const { batch, says } = await stick(cramped, trials);
  await waitFor(`${what} fails`, () => troubles(world.service).some(({ msg }) => says.test(msg)));
  disk.fill();
  await useFailingDisk(world, spare);
  await sleep(fullMs);
  const { status } = await world.client.retrieve(batch);
  assert.ok(['validating', 'in_progress', 'finalizing'].includes(status), `is ${status} on a full disk`);
  checkLog(says);

  if (end === 'SIGKILL and a start on the full disk') {
    await world.kill();
    await world.start();
    assert.ok(!world.service.hasEnded, `it does not start: ${world.service.output()}`);
    await world.client.list();
  }
  if (end === 'other files are removed') disk.empty();
  // That makes room for all the rest.
  else await world.client.deleteFile(unwanted);
  await endWell(world, disk, world.crashes.length);
}

/** The end of all batches, first with the room that there is; then what must be true of everything. */
async function endWell(world: World, disk: SmallDisk, retriesALine: number): Promise<void> {
  await world.settle();
  disk.empty();
  await tidy(world);
  await checkInvariants(world, { retriesALine });
}
