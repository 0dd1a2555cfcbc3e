/** System calls that fail while the service works: what was refused must not be there, and all goes on afterwards. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from '../harness/fault.ts';
import { holdAnswers } from '../harness/hold.ts';
import { checkInvariants } from '../harness/invariants/index.ts';
import { makeInput } from '../harness/lines.ts';
import type { Scope } from '../harness/scope.ts';
import { createWorld } from '../harness/world.ts';
import type { World } from '../harness/world.ts';
import { orRefused, useFailingDisk, watchLog } from './answers.ts';
import { makeIll } from './ill-disk.ts';
import type { Illness } from './ill-disk.ts';

/** Each file that may be the only one that is ill, within the data folder; `log`: the batch's result log. */
type Place = 'all' | 'database.db-wal' | 'log';

interface Case {
  readonly calls: string;
  readonly error: string;
  readonly place: Place;
}

const SYNCS = 'fsync,fdatasync';
const WRITES = 'pwrite64,pwritev,pwritev2';

const CASES: readonly Case[] = [
  { calls: SYNCS, error: 'EIO', place: 'all' },
  { calls: WRITES, error: 'ENOSPC', place: 'database.db-wal' },
  { calls: SYNCS, error: 'EIO', place: 'database.db-wal' },
  { calls: SYNCS, error: 'ENOSPC', place: 'all' },
  { calls: SYNCS, error: 'EIO', place: 'log' },
  { calls: WRITES, error: 'EIO', place: 'log' },
  { calls: WRITES, error: 'EIO', place: 'all' },
  { calls: 'rename,renameat,renameat2', error: 'EIO', place: 'all' },
  { calls: 'unlink,unlinkat', error: 'EIO', place: 'all' },
];

/** How the illness ends. */
const ENDS = ['it is mended', 'SIGKILL', 'SIGTERM'] as const;
type End = (typeof ENDS)[number];

/** How long it lasts once results are there to be stored, milliseconds. */
const ILL_MS = 1200;

export const failingCalls: Fault = {
  family: 'disk',
  name: 'fsync, write, rename or unlink answer EIO or ENOSPC in the middle of a batch, until mended, SIGKILL or SIGTERM',
  needs: ['strace'],
  async run(trials) {
    const all = CASES.flatMap((one) => ENDS.map((end) => ({ ...one, end })));
    const few = [
      { ...(CASES[0] as Case), end: 'SIGKILL' as const },
      { ...(CASES[1] as Case), end: 'it is mended' as const },
    ];
    await trials.each(trials.quick ? few : all, async ({ end, ...illness }) => {
      const name = `${illness.calls} answer ${illness.error} (${illness.place}) until ${end}`;
      await trials.attempt(name, (scope) => tryIllness(scope, illness, end));
    });
  },
};

async function tryIllness(scope: Scope, illness: Case, end: End): Promise<void> {
  const world = await createWorld(scope);
  const { client } = world;
  await world.start();
  const [input, spare, unwanted] = [
    await client.upload(makeInput(60)),
    await client.upload(makeInput(10)),
    await client.upload(makeInput(10)),
  ];
  const held = holdAnswers(world.upstream, { answered: 20 });
  const batch = await client.create(input);
  await held.reached(32);

  const heal = await makeIll(scope, world.service, illnessIn(world, illness, batch.id));
  const checkLog = watchLog(world);
  await useFailingDisk(world, spare);
  await orRefused('a delete', client.deleteFile(unwanted));
  await checkBadUpload(world);
  held.release();
  await sleep(ILL_MS);
  await client.retrieve(batch);
  checkLog();

  if (end === 'SIGKILL') await world.kill();
  if (end === 'SIGTERM') {
    world.service.kill('SIGTERM');
    await world.died();
  }
  await heal();
  if (world.service.hasEnded) await world.start();
  await world.settle();
  await tidy(world);
  // Answers that could not be stored before the end are asked for again.
  await checkInvariants(world, { retriesALine: end === 'it is mended' ? 0 : 1 });
}

function illnessIn({ dataDir }: World, { calls, error, place }: Case, batchId: string): Illness {
  if (place === 'all') return { calls, error };
  return { calls, error, path: join(dataDir, place === 'log' ? `results/${batchId}.log` : place) };
}

/** An upload that is refused anyway is not answered with 500 because its bytes cannot be removed. */
async function checkBadUpload({ service }: World): Promise<void> {
  const form = new FormData();
  form.set('purpose', 'no such purpose');
  form.set('file', new Blob(['{}']), 'input.jsonl');
  const { status } = await fetch(`${service.url}/v1/files`, { method: 'POST', body: form });
  assert.ok([400, 503, 507].includes(status), `an upload without a valid purpose is answered ${status}`);
}

/** Starts the service once more: what failed removals left behind is looked for at each start. */
export async function tidy(world: World): Promise<void> {
  assert.equal(await world.stop(), 0, 'the exit code of a stop on a sound disk');
  await world.start();
}
