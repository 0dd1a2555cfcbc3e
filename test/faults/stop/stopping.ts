/** Stops and what must hold of each. */
import assert from 'node:assert/strict';
import { checkInvariants } from '../harness/invariants/index.ts';
import type { UpstreamCall } from '../harness/upstream.ts';
import type { World } from '../harness/world.ts';

export type StopSignal = 'SIGTERM' | 'SIGINT';

/** What a stop may take beyond the grace on a busy machine, milliseconds. */
const SLACK_MS = 5000;

/**
 * Sends the signal and waits for the end, which must come within `graceMs` and a bit, with exit code 0. Answers
 * how long it took, milliseconds.
 */
export async function stopWithin(world: World, signal: StopSignal, graceMs: number): Promise<number> {
  const { service } = world;
  const startedAt = performance.now();
  service.kill(signal);
  const end = await service.ended;
  const tookMs = performance.now() - startedAt;
  assert.equal(end, 0, `the exit code after ${signal}; ${service.output().slice(-600)}`);
  assert.ok(tookMs < graceMs + SLACK_MS, `the stop took ${tookMs.toFixed(0)} ms, the grace is ${graceMs} ms`);
  return tookMs;
}

/** The calls that were answered so far: a stop must lose none of these answers. */
export const answered = ({ upstream }: World): UpstreamCall[] =>
  upstream.calls.filter((call) => call.answeredAt !== null);

/** None of these calls was made again. */
export function assertKept({ upstream }: World, calls: readonly UpstreamCall[]): void {
  const repeated = calls.filter(({ bodyHash }) => upstream.callsOf(bodyHash).length > 1);
  assert.equal(repeated.length, 0, `${repeated.length} lines with stored results were sent again`);
}

/** Starts again, waits for all ends and checks all. */
export async function resume(world: World, { retriesALine = 0 } = {}): Promise<void> {
  await world.start();
  await world.settle();
  await checkInvariants(world, { retriesALine });
}
