/** Stops while lines are in flight, and while a batch is prepared or finalized. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { holdAnswers } from '../harness/hold.ts';
import { makeInput } from '../harness/lines.ts';
import type { Random } from '../harness/random.ts';
import { waitFor } from '../harness/wait.ts';
import type { World } from '../harness/world.ts';
import { answered, assertKept, resume, stopWithin } from './stopping.ts';
import type { StopSignal } from './stopping.ts';

const graced = (graceMs: number) => ({ env: { SHUTDOWN_GRACE_MS: String(graceMs) } });

/** 40 of 100 lines are stored, 32 wait for answers that take far longer than the grace. */
async function startSlowBatch(world: World, graceMs: number) {
  await world.start(graced(graceMs));
  const held = holdAnswers(world.upstream, { answered: 40 });
  const batch = await world.client.create(await world.client.upload(makeInput(100)));
  await held.reached(32);
  await waitFor('40 results are stored', async () => {
    return (await world.client.retrieve(batch)).request_counts.completed === 40;
  });
  return { held, stored: answered(world) };
}

/** Requests that outlast the grace are given up, and only undone lines are sent after the next start. */
export async function stopWithSlowCalls(world: World, signal: StopSignal): Promise<void> {
  const graceMs = 500;
  const { held, stored } = await startSlowBatch(world, graceMs);
  await stopWithin(world, signal, graceMs);
  held.release();
  await resume(world, { retriesALine: 1 });
  assertKept(world, stored);
}

/** Requests that end within the grace are not made again. */
export async function stopWithQuickCalls(world: World, signal: StopSignal): Promise<void> {
  const graceMs = 20_000;
  await world.start(graced(graceMs));
  world.upstream.latencyMs = 700;
  await world.client.create(await world.client.upload(makeInput(100)));
  await waitFor('32 calls are in flight', () => world.upstream.calls.length >= 32);
  const tookMs = await stopWithin(world, signal, 5000);
  assert.ok(tookMs > 200, 'it did not wait for the requests in flight');
  assert.equal(world.upstream.calls.length, 32, 'lines were sent during the stop');
  world.upstream.latencyMs = 1;
  await resume(world);
}

/** The second signal ends the process at once. */
export async function stopTwice(world: World, signal: StopSignal): Promise<void> {
  const { held, stored } = await startSlowBatch(world, 60_000);
  const { service } = world;
  service.kill(signal);
  await waitFor('it is stopping', () => /"msg":"stopping"/.test(service.output()));
  const secondAt = performance.now();
  service.kill(signal);
  await world.died();
  assert.equal(await service.ended, 1, 'the exit code after the second signal');
  assert.ok(performance.now() - secondAt < 3000, 'the second signal did not end it at once');
  held.release();
  await resume(world);
  assertKept(world, stored);
}

/** Many lines with small answers, stopped the moment when the result files are being written. */
export async function stopFinalizing(world: World, signal: StopSignal): Promise<string | null> {
  const lines = 3000;
  await world.start(graced(500));
  world.upstream.paddingBytes = 4000;
  const held = holdAnswers(world.upstream, { answered: lines - 1 });
  const batch = await world.client.create(await world.client.upload(makeInput(lines)));
  await waitFor('all lines but one are stored', async () => {
    return (await world.client.retrieve(batch)).request_counts.completed === lines - 1;
  });
  held.release();
  const end = performance.now() + 20_000;
  const tmp = join(world.dataDir, 'tmp');
  while (readdirSync(tmp).length === 0 && performance.now() < end) await turn();
  await stopWithin(world, signal, 500);
  const wasInTime = !/"msg":"batch ended"/.test(world.service.output());
  // In time or not, nobody asks the upstream again.
  await resume(world);
  return wasInTime ? 'in the middle of it' : null;
}

/** A batch of many lines, stopped soon after its create: its chunks are there, all or none. */
export async function stopPreparing(
  world: World,
  signal: StopSignal,
  random: Random,
): Promise<string | null> {
  const lines = 15_000;
  await world.start(graced(500));
  const held = holdAnswers(world.upstream);
  const batch = await world.client.create(await world.client.upload(makeInput(lines)));
  await sleep(random.between(0, 120));
  await stopWithin(world, signal, 500);
  const wasInTime = !/"msg":"batch validated"/.test(world.service.output());
  held.release();
  await world.start();
  const { request_counts: counts } = await waitFor('it runs', async () => {
    const seen = await world.client.retrieve(batch);
    return seen.status === 'in_progress' && seen;
  });
  assert.equal(counts.total, lines);
  // What comes next would only take time.
  await world.client.cancel(batch);
  assert.equal(await world.stop(), 0);
  await resume(world, { retriesALine: 1 });
  return wasInTime ? 'in the middle of it' : null;
}
