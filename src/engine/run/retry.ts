import type { Outcome } from '../ports.ts';

export interface RetryRules {
  /** Attempts after the first one. */
  readonly maxRetries: number;
  /** The first wait; doubled each time. */
  readonly retryBaseMs: number;
}

export type RetryDecision = { readonly kind: 'again'; readonly delayMs: number } | { readonly kind: 'final' };

const MAX_BACKOFF_MS = 60_000;
const FINAL: RetryDecision = { kind: 'final' };

/**
 * Whether an attempt that was sent is made again, and after how long. Pure.
 *
 * Retried: 408, 409, 429, 5xx and network errors (the official SDKs' rule), unless `x-should-retry` says
 * otherwise, up to `maxRetries`. The wait is the server's (`retry-after-ms`, then `Retry-After` in seconds or as
 * a date) or exponential up to 60 s with up to 25% of jitter. A retry that could not begin before the deadline
 * is not waited for. `retries` counts those made already; `now` and `deadline` are wall-clock milliseconds;
 * `random` lies in [0, 1).
 */
export function decideRetry(
  outcome: Outcome,
  retries: number,
  now: number,
  deadline: number,
  random: number,
  rules: RetryRules,
): RetryDecision {
  if (retries >= rules.maxRetries || !isRetryable(outcome)) return FINAL;
  const delayMs = serverDelayMs(outcome, now) ?? backoffMs(retries, random, rules.retryBaseMs);
  return now + delayMs < deadline ? { kind: 'again', delayMs } : FINAL;
}

/** min(60 s, base × 2^retries), less up to a quarter. */
export function backoffMs(retries: number, random: number, baseMs: number): number {
  const full = Math.min(MAX_BACKOFF_MS, baseMs * 2 ** retries);
  return Math.round(full * (1 - random / 4));
}

function isRetryable(outcome: Outcome): boolean {
  if (outcome.kind === 'failed') return outcome.code !== 'response_too_large';
  if (outcome.kind !== 'answer') return false;
  const { status, shouldRetry } = outcome;
  if (status >= 200 && status < 300) return false;
  if (shouldRetry === 'true') return true;
  if (shouldRetry === 'false') return false;
  return status === 408 || status === 409 || status === 429 || status >= 500;
}

function serverDelayMs(outcome: Outcome, now: number): number | null {
  if (outcome.kind !== 'answer') return null;
  return parseDelay(outcome.retryAfterMs, 1) ?? parseRetryAfterMs(outcome.retryAfter, now);
}

/**
 * A `Retry-After` header (RFC 9110: delay in seconds, fractions allowed here, or an HTTP date) as milliseconds
 * from `now`; null where it is absent, unreadable, or not in the future.
 */
export function parseRetryAfterMs(value: string | null, now: number): number | null {
  if (value === null) return null;
  const seconds = parseDelay(value, 1000);
  if (seconds !== null) return seconds;
  // Date.parse also reads "-5" and "3 apples" as dates; an HTTP date begins with a weekday.
  if (!/^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)/.test(value)) return null;
  const date = Date.parse(value);
  return Number.isFinite(date) && date > now ? date - now : null;
}

function parseDelay(value: string | null, unitMs: number): number | null {
  if (value === null || !/^\d+(\.\d+)?$/.test(value.trim())) return null;
  const delay = Math.ceil(Number(value) * unitMs);
  return Number.isFinite(delay) && delay > 0 ? delay : null;
}
