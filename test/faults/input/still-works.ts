import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createWorld } from '../harness/world.ts';
import type { World } from '../harness/world.ts';
import { checkInvariants } from '../harness/invariants/index.ts';
import { makeInput } from '../harness/lines.ts';
import type { Scope } from '../harness/scope.ts';

/** A world whose service runs. */
export async function startWorld(scope: Scope, env: Readonly<Record<string, string>> = {}): Promise<World> {
  const world = await createWorld(scope, { env });
  await world.start();
  assert.equal(world.service.hasEnded, false, `the service did not start: ${world.service.output()}`);
  return world;
}

/** Checks that the first process still lives, that nothing in it failed, and that it does its work. */
export async function assertStillWorks(world: World): Promise<void> {
  assertAlive(world);
  const file = await world.client.upload(makeInput(5));
  const batch = await world.client.create(file, { webhookUrl: world.receiver.url('own') });
  await world.settle();
  assert.equal(batch.ended?.status, 'completed');
  await checkInvariants(world);
  assertAlive(world);
}

/** Checks that the service has not ended and has logged no error: no input of a client is one. */
export function assertAlive({ service }: World): void {
  assert.equal(service.hasEnded, false, `the service has ended: ${service.output().slice(-500)}`);
  const failure = /^.*"level":(?:50|60).*$/m.exec(service.output())?.[0];
  assert.equal(failure, undefined, `the service logged ${failure?.slice(0, 500)}`);
}

/** What the service holds in memory, bytes: now, and the most so far. */
export function residentBytes({ service }: World): { readonly now: number; readonly most: number } {
  const status = readFileSync(`/proc/${service.pid}/status`, 'utf8');
  const [now, most] = ['VmRSS', 'VmHWM'].map((name) => {
    return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
  }) as [number, number];
  return { now, most };
}
