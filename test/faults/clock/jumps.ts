/** Jumps of the wall clock in the middle of batches. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from '../harness/fault.ts';
import { holdAnswers } from '../harness/hold.ts';
import { checkInvariants } from '../harness/invariants/index.ts';
import type { BatchObject } from '../harness/ledger.ts';
import { makeInput } from '../harness/lines.ts';
import type { Scope } from '../harness/scope.ts';
import { createWorld } from '../harness/world.ts';
import type { World } from '../harness/world.ts';
import { createFakeTime } from './fake-time.ts';

const HOUR = 3600;
const DAY = 24 * HOUR;

interface Path {
  readonly name: string;
  /** Where the clock goes one after another, seconds from the true time. */
  readonly offsets: readonly number[];
}

const PATHS: readonly Path[] = [
  { name: '400 days forth and back', offsets: [400 * DAY, 0] },
  { name: 'an hour back and forth', offsets: [-HOUR, 0] },
  { name: 'an hour forth and back', offsets: [HOUR, 0] },
  { name: '400 days back and forth', offsets: [-400 * DAY, 0] },
  { name: '400 days forth, and stays', offsets: [400 * DAY] },
  { name: '400 days back, and stays', offsets: [-400 * DAY] },
  { name: 'wildly', offsets: [400 * DAY, -HOUR, HOUR, -400 * DAY, 90 * DAY, 0] },
  { name: 'by small steps', offsets: [20, -20, 30, 0] },
];

/** How long it stays at each place: the worker looks around each second, milliseconds. */
const STAY_MS = 1500;

export const jumps: Fault = {
  family: 'clock',
  name: 'the wall clock jumps by an hour or by 400 days while batches run',
  needs: ['faketime'],
  async run(trials) {
    // Each twice: once with the true time at the start, once restarted in between.
    const all = PATHS.flatMap((path) => [false, true].map((isRestarted) => ({ ...path, isRestarted })));
    await trials.each(trials.quick ? all.slice(0, 1) : all, async ({ isRestarted, ...path }) => {
      const name = `${path.name}${isRestarted ? ', then a start with the true time' : ''}`;
      await trials.attempt(name, (scope) => tryJumps(scope, path, isRestarted));
    });
  },
};

async function tryJumps(scope: Scope, { offsets }: Path, isRestarted: boolean): Promise<void> {
  const time = await createFakeTime(scope);
  const world = await createWorld(scope, { env: { RETRY_BASE_MS: '200' } });
  const { client } = world;
  world.receiver.allowsWrongTimes = true;
  await world.start({ env: time.env });
  const done = await client.create(await client.upload(makeInput(3)));
  await world.settle();

  const held = holdAnswers(world.upstream, { answered: 30 });
  const batches = [await client.create(await client.upload(makeInput(70)))];
  // All slots are taken before the next one begins, so that none of its lines is answered.
  await held.reached(32);
  batches.push(await client.create(await client.upload(makeInput(5))));
  for (const offset of offsets) {
    time.set(offset);
    // One that is made meanwhile must not die either, now or later.
    const file = await client.upload(makeInput(4));
    batches.push(await client.create(file));
    await sleep(STAY_MS);
    for (const batch of batches) assert.equal((await client.retrieve(batch)).status, 'in_progress');
    assert.equal(await client.content(done.file.id), done.file.input.text, 'a file of before');
  }
  held.release();
  if (isRestarted) {
    assert.equal(await world.stop(), 0);
    await world.start();
  }
  await world.settle();
  for (const batch of batches) {
    const end = await client.retrieve(batch);
    assert.equal(end.status, 'completed');
    assert.equal(end.expires_at - end.created_at >= DAY, true, 'the window of a batch');
    checkOrder(end);
  }
  await checkList(world, isRestarted || offsets.length > 1);
  checkTold(world, isRestarted ? [] : offsets);
  await checkInvariants(world, { isClockSteady: false, retriesALine: isRestarted ? 1 : 0 });
}

/** The times of its steps, whatever the clock did between them. */
function checkOrder(batch: BatchObject): void {
  const { created_at, in_progress_at, finalizing_at, completed_at } = batch;
  const times = [created_at, in_progress_at, finalizing_at, completed_at].map(Number);
  assert.deepEqual(
    times,
    times.toSorted((a, b) => a - b),
    'the times of its steps',
  );
}

/** Newest first, in the order of the creates; `isTrue`: the times of all of them are close to the true one. */
async function checkList({ client, ledger }: World, isTrue: boolean): Promise<void> {
  const listed = await client.list();
  const created = ledger.batches.map(({ id }) => id).toReversed();
  assert.deepEqual(
    listed.map(({ id }) => id),
    created,
    'the order of the list',
  );
  if (!isTrue) return;
  for (const { created_at } of listed) {
    assert.ok(Math.abs(created_at - Date.now() / 1000) < 300, 'a batch was made at a time that never was');
  }
}

/** Each jump is in the log, once. */
function checkTold({ service }: World, offsets: readonly number[]): void {
  const told = service.output().match(/the wall clock has jumped/g)?.length ?? 0;
  const jumped = offsets.filter((offset) => Math.abs(offset) > 60).length;
  if (offsets.length > 0) assert.equal(told, jumped, 'jumps that were told of in the log');
}
