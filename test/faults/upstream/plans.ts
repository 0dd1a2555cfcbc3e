/** What the upstream will do with each attempt of each line, and whether the service made of it what it must. */
import type { PromisedBatch } from '../harness/ledger.ts';
import { makeInput } from '../harness/lines.ts';
import { endOf } from './scenario.ts';
import type { Scenario, ScenarioSettings } from './scenario.ts';
import type { Misdeed } from './misdeeds/misdeed.ts';
import { readEnds } from './results.ts';
import type { LineEnd } from './results.ts';
import type { ServedCall } from './server.ts';

/** What happens to an attempt: 1 for a line's first one. */
export type Plan = (attempt: number) => Misdeed;

export const always =
  (misdeed: Misdeed): Plan =>
  () =>
    misdeed;

/** These in turn, the last one for ever. */
export const inTurn =
  (...misdeeds: readonly [...Misdeed[], Misdeed]): Plan =>
  (attempt) =>
    misdeeds[Math.min(attempt, misdeeds.length) - 1] as Misdeed;

/** How late the upstream may see what the service does, milliseconds. */
const LATE_MS = 100;
/** Two clocks that count milliseconds from different starts. */
const ROUNDING_MS = 1;

/** Runs a batch with a line for each plan to its end, and checks each line. Throws with what is wrong. */
export async function runPlans(scenario: Scenario, plans: readonly Plan[]): Promise<PromisedBatch> {
  const { world, upstream } = scenario;
  const input = makeInput(plans.length);
  const planOf = new Map(input.lines.map(({ bodyHash }, at) => [bodyHash, plans[at] as Plan]));
  upstream.serve = (call) => planOf.get(call.bodyHash)?.(call.attempt).serve(call);
  const batch = await world.client.create(await world.client.upload(input));
  const ended = await endOf(scenario, batch);
  const ends = await readEnds(world, ended);
  const keys = new Set<string>();
  const violations = input.lines.flatMap(({ bodyHash, customId }, at) => {
    const misdeeds = foresee(plans[at] as Plan, scenario.settings.maxRetries);
    const calls = upstream.callsOf(bodyHash);
    const end = ends.get(customId);
    const found = [
      ...checkAttempts(calls, misdeeds, keys),
      ...checkWaits(calls, misdeeds, scenario.settings),
      ...checkEnd(calls, misdeeds, end),
    ];
    const story = misdeeds.map(({ name }) => name).join(', then ');
    return found.map((violation) => `${customId} (${story}): ${violation}`);
  });
  if (violations.length > 0) {
    throw new Error(`${violations.length} violations:\n    ${violations.slice(0, 8).join('\n    ')}`);
  }
  return batch;
}

/** What each attempt of a line will meet: as many as there must be. */
function foresee(plan: Plan, maxRetries: number): Misdeed[] {
  const misdeeds: Misdeed[] = [];
  do misdeeds.push(plan(misdeeds.length + 1));
  while ((misdeeds.at(-1) as Misdeed).isRetried && misdeeds.length <= maxRetries);
  return misdeeds;
}

/** `keys`: those of other lines. */
function checkAttempts(
  calls: readonly ServedCall[],
  misdeeds: readonly Misdeed[],
  keys: Set<string>,
): string[] {
  const own = new Set(calls.map(({ idempotencyKey }) => idempotencyKey));
  const isShared = [...own].some((key) => key === '' || keys.has(key));
  for (const key of own) keys.add(key);
  return [
    ...(calls.length === misdeeds.length ? [] : [`${calls.length} attempts in place of ${misdeeds.length}`]),
    ...(own.size > 1 || isShared
      ? [`the idempotency keys ${[...own].join()}, which are not its own one`]
      : []),
  ];
}

function checkWaits(
  calls: readonly ServedCall[],
  misdeeds: readonly Misdeed[],
  { retryBaseMs, requestTimeoutMs }: ScenarioSettings,
): string[] {
  return calls.slice(1).flatMap((call, retries) => {
    const last = calls[retries] as ServedCall;
    const { timesOut = false, asksToWaitMs } = misdeeds[retries] ?? {};
    const waitMs = asksToWaitMs ?? Math.round(retryBaseMs * 2 ** retries * 0.75);
    const failedAt = timesOut ? timeoutOf(last, requestTimeoutMs) : (last.lastDeedAt ?? last.receivedAt);
    const waitedMs = call.receivedAt - failedAt;
    if (waitedMs >= waitMs - ROUNDING_MS) return [];
    return [
      `attempt ${call.attempt} came ${Math.round(waitedMs)} ms after the last had failed, not ${waitMs}`,
    ];
  });
}

/**
 * When the service gave the call up, or a little later: it counts from when it sent the request and closes the connection,
 * and the upstream sees both late on a busy machine, but seldom both.
 */
function timeoutOf({ receivedAt, closedAt }: ServedCall, requestTimeoutMs: number): number {
  return Math.min(receivedAt + requestTimeoutMs, closedAt ?? Infinity) - LATE_MS;
}

function checkEnd(
  calls: readonly ServedCall[],
  misdeeds: readonly Misdeed[],
  end: LineEnd | undefined,
): string[] {
  const expected = (misdeeds.at(-1) as Misdeed).end;
  const succeeded = 'status' in expected && expected.status >= 200 && expected.status < 300;
  const found: string[] = [];
  const file = succeeded ? 'output' : 'error';
  if (end?.file !== file) found.push(`in the ${String(end?.file)} file and not in the ${file} file`);
  const status = 'status' in expected ? expected.status : null;
  const code = 'code' in expected ? expected.code : null;
  if (end?.status !== status) found.push(`its status is ${String(end?.status)} and not ${String(status)}`);
  if (end?.code !== code) found.push(`its error is ${String(end?.code)} and not ${String(code)}`);
  if (end?.answer !== undefined && end.answer !== calls.at(-1)?.answer) {
    found.push(`its answer ${end.answer} is not that of its last attempt`);
  }
  if (succeeded && end?.answer === undefined) found.push('it has no answer');
  return found;
}
