import type { Outcome } from '../ports.ts';

/** The outcome of an upstream in this process: a status, a body (anything that JSON can hold), and no headers. */
export function jsonAnswer(status: number, body: unknown): Outcome & { kind: 'answer' } {
  return {
    kind: 'answer',
    status,
    body: Buffer.from(JSON.stringify(body)),
    requestId: null,
    retryAfterMs: null,
    retryAfter: null,
    shouldRetry: null,
    contentEncoding: null,
  };
}
