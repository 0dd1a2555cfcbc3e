/**
 * Invariant 4: a create that was definitely refused never runs; and the upstream is called once a line, plus the retries
 * by policy, plus what was in flight or not yet committed at each crash. The upstream itself is the witness.
 */
import type { UpstreamCall } from '../upstream.ts';
import type { Witnesses } from '../world.ts';

/**
 * An answer is committed some 20 ms after it came. On a busy machine it may be this long, milliseconds; an answer that
 * was older than that when the process died must not be asked for again.
 */
const COMMIT_MS = 1500;

/** `retriesALine`, `repeatsInAll`: calls that may be repeated without a crash, of each line and of all lines. */
export async function checkCalls(
  world: Witnesses,
  { retriesALine, repeatsInAll }: { readonly retriesALine: number; readonly repeatsInAll: number },
): Promise<string[]> {
  const violations: string[] = [];
  let repeats = 0;
  const tags = new Set((await world.client.list()).map((batch) => batch.metadata?.['tag']));
  for (const tag of world.ledger.refusedTags) {
    if (tags.has(tag)) violations.push(`the refused create ${tag} is there`);
  }
  for (const { file, id } of world.ledger.batches) {
    for (const { customId, bodyHash } of file.input.lines) {
      const calls = world.upstream.callsOf(bodyHash);
      const repeated = calls.slice(0, -1).filter((call) => !wasLost(call, world.crashes));
      repeats += repeated.length;
      if (repeated.length > retriesALine) {
        violations.push(
          `${customId} of ${id} was sent ${calls.length} times, ${repeated.length} without a crash between`,
        );
      }
    }
  }
  if (repeats > repeatsInAll) violations.unshift(`${repeats} calls were repeated without a crash between`);
  return violations.slice(0, 5);
}

/** True where a crash can have taken the call's answer with it. */
function wasLost({ receivedAt, answeredAt }: UpstreamCall, crashes: readonly number[]): boolean {
  return crashes.some(
    (crash) => receivedAt < crash && (answeredAt === null || answeredAt > crash - COMMIT_MS),
  );
}
