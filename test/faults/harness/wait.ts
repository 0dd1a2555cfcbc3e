/** Waiting for facts. */
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 10;

/** Asks until the answer is neither null nor false, and answers it. Throws, with `what`, after `timeoutMs`. */
export async function waitFor<T>(
  what: string,
  ask: () => T | null | false | Promise<T | null | false>,
  timeoutMs = 60_000,
): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== null && answer !== false) return answer;
    if (performance.now() > end) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    await sleep(POLL_MS);
  }
}
