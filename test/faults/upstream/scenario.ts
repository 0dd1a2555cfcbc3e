/** A service before a faulty upstream, and what must be true when the faults are over. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { checkInvariants } from '../harness/invariants/index.ts';
import { isTerminal } from '../harness/ledger.ts';
import type { BatchObject, PromisedBatch } from '../harness/ledger.ts';
import { makeInput } from '../harness/lines.ts';
import type { Scope } from '../harness/scope.ts';
import { waitFor } from '../harness/wait.ts';
import { createWorld, MAX_CONCURRENCY } from '../harness/world.ts';
import type { World } from '../harness/world.ts';
import { answerWell, startFaultyUpstream } from './server.ts';
import type { FaultyUpstream, ServedCall } from './server.ts';

/** Settings of the service, in its own units. */
export interface ScenarioSettings {
  readonly maxRetries: number;
  readonly retryBaseMs: number;
  readonly requestTimeoutMs: number;
  readonly maxResponseBytes: number;
}

const DEFAULTS: ScenarioSettings = {
  maxRetries: 2,
  retryBaseMs: 200,
  // Short enough to wait for, long enough that a busy machine does not take good answers for late ones.
  requestTimeoutMs: 1000,
  maxResponseBytes: 1024 * 1024,
};

export interface Scenario {
  readonly world: World;
  readonly upstream: FaultyUpstream;
  readonly settings: ScenarioSettings;
}

/** Starts both; closed with the scope. */
export async function openScenario(
  scope: Scope,
  settings: Partial<ScenarioSettings> = {},
): Promise<Scenario> {
  const all = { ...DEFAULTS, ...settings };
  const upstream = await startFaultyUpstream(scope);
  const world = await createWorld(scope, {
    upstream,
    env: {
      MAX_RETRIES: String(all.maxRetries),
      RETRY_BASE_MS: String(all.retryBaseMs),
      REQUEST_TIMEOUT_MS: String(all.requestTimeoutMs),
      MAX_RESPONSE_BYTES: String(all.maxResponseBytes),
    },
  });
  await world.start();
  assert.ok(!world.service.hasEnded, `the service does not start: ${world.service.output().slice(0, 300)}`);
  return { world, upstream, settings: all };
}

/** Waits until the batch has ended. */
export async function endOf({ world }: Scenario, batch: PromisedBatch): Promise<BatchObject> {
  return await waitFor(`the end of ${batch.id}`, async () => {
    const seen = await world.client.retrieve(batch);
    return isTerminal(seen.status) && seen;
  });
}

/** Checks, with the upstream well again, that no slot was lost or won, that the service is sound, and the invariants. */
export async function checkAftermath(scenario: Scenario): Promise<void> {
  const { world, upstream, settings } = scenario;
  await checkSlots(scenario);
  upstream.serve = answerWell;
  assert.equal(world.service.hasEnded, false, 'the service has ended');
  const complaints = world.service.output().match(/^.*"level":[56]0.*$/gm);
  assert.equal(complaints, null, 'the service has logged an error of its own');
  await checkInvariants(world, { retriesALine: settings.maxRetries });
}

/** A batch of more lines than slots is sent with just MAX_CONCURRENCY at a time, on no more connections than that. */
export async function checkSlots(scenario: Scenario): Promise<void> {
  const { upstream } = scenario;
  const held: ServedCall[] = [];
  const ownBodies = new Set<string>();
  const before = upstream.serve;
  upstream.serve = (call) => (ownBodies.has(call.bodyHash) ? void held.push(call) : before(call));
  const input = makeInput(MAX_CONCURRENCY + 8);
  for (const { bodyHash } of input.lines) ownBodies.add(bodyHash);
  const batch = await scenario.world.client.create(await scenario.world.client.upload(input));
  const open = (): number => held.filter(({ socket }) => !socket.closed).length;
  await waitFor('all slots are in use', () => open() >= MAX_CONCURRENCY, 20_000).catch(() =>
    assert.fail(`only ${open()} of ${MAX_CONCURRENCY} slots are free afterwards`),
  );
  // Whatever is sent because of this answer comes behind all that was sent before it.
  answerWell(held.shift() as ServedCall);
  await waitFor('the free slot is used again', () => open() >= MAX_CONCURRENCY, 20_000);
  assert.equal(open(), MAX_CONCURRENCY, 'more requests at a time than there are slots');
  const connections = upstream.openSockets.length;
  assert.ok(connections <= MAX_CONCURRENCY, `${connections} connections for ${MAX_CONCURRENCY} slots`);
  upstream.serve = (call) => (ownBodies.has(call.bodyHash) ? answerWell(call) : before(call));
  for (const call of held) answerWell(call);
  const { request_counts } = await endOf(scenario, batch);
  assert.equal(request_counts.completed, input.lines.length, 'not all lines were completed afterwards');
}

/** The most memory that the service has ever had, bytes; null where the system does not tell. */
export function peakMemoryBytes({ world }: Scenario): number | null {
  try {
    const status = readFileSync(`/proc/${world.service.pid}/status`, 'utf8');
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
  } catch {
    return null;
  }
}
