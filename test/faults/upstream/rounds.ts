/** Moments at which the service is about to use kept connections again, and does not know yet what has happened to them. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeInput } from '../harness/lines.ts';
import { waitFor } from '../harness/wait.ts';
import type { World } from '../harness/world.ts';
import { endOf } from './scenario.ts';
import type { Scenario } from './scenario.ts';
import { answerOf, answerWell } from './server.ts';
import type { ServedCall } from './server.ts';

const LINES = 40;
/** After this each line is to be tried again: enough to stop the process before. */
const PAUSE_MS = 250;

/**
 * Runs batches one after the other. All their lines are told to come again later; meanwhile, with all connections idle, the
 * process is halted, and `meddle` does something to the connections. When the process goes on, its retries are due, so it
 * sends them before it has read anything. It must look at the connections first: every line has its answer at the second
 * attempt. `onRetry` is told of each of these before it is answered.
 */
export async function runRounds(
  scenario: Scenario,
  rounds: number,
  meddle: () => void,
  onRetry: (call: ServedCall) => void = () => {},
): Promise<void> {
  for (let round = 1; round <= rounds;) if (await runRound(scenario, meddle, onRetry)) round++;
}

/** False where the machine was too slow, so that nothing could be done in time. */
async function runRound(
  scenario: Scenario,
  meddle: () => void,
  onRetry: (call: ServedCall) => void,
): Promise<boolean> {
  const { world, upstream } = scenario;
  const answeredAt: number[] = [];
  upstream.serve = (call) => {
    if (call.attempt > 1) {
      onRetry(call);
      return answerWell(call);
    }
    answeredAt.push(performance.now());
    const headers = `retry-after-ms: ${PAUSE_MS}\r\n`;
    call.write(answerOf(call.goodBody, { status: 429, headers }));
  };
  const input = makeInput(LINES);
  const batch = await world.client.create(await world.client.upload(input));
  await waitFor('every line was told to come again', () => answeredAt.length >= LINES);
  // Its answer comes behind what was there before.
  await world.client.retrieve(batch);
  await halt(world);
  // What is done to a connection after a request was sent on it is another fault.
  const isInTime = performance.now() < (answeredAt[0] as number) + PAUSE_MS;
  if (isInTime) meddle();
  await sleep(Math.max(0, (answeredAt.at(-1) as number) + PAUSE_MS - performance.now()));
  world.service.kill('SIGCONT');
  const ended = await endOf(scenario, batch);
  assert.equal(ended.request_counts.completed, LINES, 'not all lines were completed');
  for (const { customId, bodyHash } of input.lines) {
    assert.equal(upstream.callsOf(bodyHash).length, 2, `attempts of ${customId}`);
  }
  return isInTime;
}

/** Halts the process, which then does nothing until it is told to go on, and knows nothing of it. */
async function halt({ service }: World): Promise<void> {
  service.kill('SIGSTOP');
  await waitFor('the process is halted', () =>
    /\) T /.test(readFileSync(`/proc/${service.pid}/stat`, 'utf8')),
  );
}
