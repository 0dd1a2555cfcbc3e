import { describe, expect, it } from 'vitest';
import type { Outcome } from '../../../src/engine/ports.ts';
import { backoffMs, decideRetry, parseRetryAfterMs } from '../../../src/engine/run/retry.ts';

const NOW = Date.UTC(2026, 0, 1);
const RULES = { maxRetries: 5, retryBaseMs: 500 };

function answer(status: number, headers: Partial<Outcome & { kind: 'answer' }> = {}): Outcome {
  return {
    kind: 'answer',
    status,
    body: Buffer.from('{}'),
    requestId: null,
    retryAfterMs: null,
    retryAfter: null,
    shouldRetry: null,
    contentEncoding: null,
    ...headers,
  };
}

function decide(outcome: Outcome, { retries = 0, deadline = NOW + 86_400_000, random = 0 } = {}) {
  return decideRetry(outcome, retries, NOW, deadline, random, RULES);
}

describe('whether an attempt is made again', () => {
  it.each([408, 409, 429, 500, 502, 503, 504, 529, 599])('%d is', (status) =>
    expect(decide(answer(status))).toEqual({ kind: 'again', delayMs: 500 }),
  );

  it.each([200, 201, 204, 301, 302, 400, 401, 403, 404, 413, 422])('%d is not', (status) =>
    expect(decide(answer(status))).toEqual({ kind: 'final' }),
  );

  it('network errors and timeouts are, an answer over the limit is not', () => {
    const failed = (code: 'request_timeout' | 'request_failed' | 'response_too_large') =>
      decide({ kind: 'failed', code, message: '' }).kind;
    expect(failed('request_timeout')).toBe('again');
    expect(failed('request_failed')).toBe('again');
    expect(failed('response_too_large')).toBe('final');
  });

  it('x-should-retry rules, but not over a success', () => {
    expect(decide(answer(400, { shouldRetry: 'true' })).kind).toBe('again');
    expect(decide(answer(503, { shouldRetry: 'false' })).kind).toBe('final');
    expect(decide(answer(503, { shouldRetry: 'maybe' })).kind).toBe('again');
    expect(decide(answer(200, { shouldRetry: 'true' })).kind).toBe('final');
  });

  it('ends after the allowed number of retries', () => {
    expect(decide(answer(500), { retries: 4 }).kind).toBe('again');
    expect(decide(answer(500), { retries: 5 }).kind).toBe('final');
  });

  it('is not waited for beyond the deadline', () => {
    const outcome = answer(429, { retryAfter: '300' });
    expect(decide(outcome, { deadline: NOW + 300_001 })).toEqual({ kind: 'again', delayMs: 300_000 });
    expect(decide(outcome, { deadline: NOW + 300_000 })).toEqual({ kind: 'final' });
  });
});

describe('how long is waited', () => {
  it('doubles from the base to 60 s, less up to a quarter', () => {
    expect([0, 1, 2, 3, 7, 8, 50].map((retries) => backoffMs(retries, 0, 500))).toEqual([
      500, 1000, 2000, 4000, 60_000, 60_000, 60_000,
    ]);
    expect(backoffMs(0, 0.999_999, 500)).toBe(375);
  });

  it('is the server’s where it says so: retry-after-ms first, then Retry-After', () => {
    const delay = (headers: Partial<Outcome & { kind: 'answer' }>) => decide(answer(429, headers));
    expect(delay({ retryAfterMs: '120', retryAfter: '9' })).toEqual({ kind: 'again', delayMs: 120 });
    expect(delay({ retryAfterMs: 'soon', retryAfter: '9' })).toEqual({ kind: 'again', delayMs: 9000 });
    expect(delay({ retryAfter: '-3' })).toEqual({ kind: 'again', delayMs: 500 });
  });

  it.each([
    ['300', 300_000],
    ['1.5', 1500],
    ['Thu, 01 Jan 2026 00:01:00 GMT', 60_000],
    ['Wed, 31 Dec 2025 00:00:00 GMT', null],
    ['0', null],
    ['-5', null],
    ['soon', null],
    ['3 apples', null],
    ['', null],
    ['9'.repeat(400), null],
  ])('Retry-After %j means %j', (value, ms) => expect(parseRetryAfterMs(value, NOW)).toBe(ms));
});
