/** A sender that remembers each attempt, and what each must be like. */
import assert from 'node:assert/strict';
import { Webhook } from 'standardwebhooks';
import type { Clock, WebhookOutcome, WebhookRequest, WebhookSender } from '../../../src/engine/index.ts';
import { SIGNING_SECRET } from '../harness/receiver.ts';

export interface Attempt {
  readonly request: WebhookRequest;
  /** By the clock of the try, milliseconds since 1970. */
  readonly at: number;
  /** Null while it is under way. */
  outcome: WebhookOutcome | null;
}

export interface RecordingSender extends WebhookSender {
  readonly attempts: readonly Attempt[];
}

/** Remembers what `send` is asked for; any URL will do. */
export function recordAttempts(clock: Clock, send: WebhookSender['send']): RecordingSender {
  const attempts: Attempt[] = [];
  return {
    attempts,
    check: () => null,
    async send(request, signal) {
      const attempt: Attempt = { request, at: clock.now(), outcome: null };
      attempts.push(attempt);
      attempt.outcome = await send(request, signal);
      return attempt.outcome;
    },
    close: async () => {},
  };
}

/** The same id in each attempt's header and body, and a signature of its own time that verifies. */
export function checkRequests(attempts: readonly Attempt[]): void {
  const [first] = attempts;
  if (first === undefined) return;
  const { id } = JSON.parse(first.request.body) as { id: string };
  for (const { request, at } of attempts) {
    const { url, headers, body } = request;
    assert.equal(url, first.request.url, 'an attempt at another URL');
    assert.equal(body, first.request.body, 'an attempt with another body');
    assert.equal(headers['webhook-id'], id, 'an attempt with another id');
    assert.equal(headers['webhook-timestamp'], String(Math.floor(at / 1000)), 'a stale timestamp');
    const signature = new Webhook(SIGNING_SECRET).sign(id, new Date(at), body);
    assert.equal(headers['webhook-signature'], signature, 'a signature that does not verify');
  }
}
