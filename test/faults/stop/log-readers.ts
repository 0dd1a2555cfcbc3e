/** Stops while nobody reads the log: its reader is gone, or has stopped reading. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { holdAnswers } from '../harness/hold.ts';
import { makeInput } from '../harness/lines.ts';
import type { World } from '../harness/world.ts';
import { resume } from './stopping.ts';
import type { StopSignal } from './stopping.ts';

const GRACE_MS = 500;

/** What an end may take beyond the grace, milliseconds: the second for the last lines, and a busy machine. */
const SLACK_MS = 6000;

/** More requests than the lines of which a pipe and the buffers of its two ends hold. */
const MANY_REQUESTS = 3000;

async function stopUnread(world: World, signal: StopSignal): Promise<void> {
  const { child } = world.service;
  const exited = once(child, 'exit', { signal: AbortSignal.timeout(GRACE_MS + SLACK_MS) });
  world.service.kill(signal);
  const [code] = (await exited) as [number | null];
  assert.equal(code, 0, `the exit code after ${signal}`);
}

/** As with `npm start | head`: the next line that is logged is the last. */
export async function stopWithoutReader(world: World, signal: StopSignal): Promise<void> {
  await world.start();
  world.service.child.stdout?.destroy();
  await stopUnread(world, signal);
  await resume(world);
}

/** A reader that is stuck holds up neither requests nor the end. */
export async function stopWithStuckReader(world: World, signal: StopSignal): Promise<void> {
  await world.start({ env: { SHUTDOWN_GRACE_MS: String(GRACE_MS) } });
  const held = holdAnswers(world.upstream);
  await world.client.create(await world.client.upload(makeInput(50)));
  await held.reached(32);
  const { stdout } = world.service.child;
  stdout?.pause();
  for (let asked = 0; asked < MANY_REQUESTS; asked += 50) {
    await Promise.all(Array.from({ length: 50 }, () => world.client.list()));
  }
  await stopUnread(world, signal);
  stdout?.resume();
  held.release();
  await resume(world, { retriesALine: 1 });
}
