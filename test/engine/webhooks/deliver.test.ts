import OpenAI from 'openai';
import { Webhook } from 'standardwebhooks';
import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { decideDelivery, DELIVERY_SCHEDULE_MS } from '../../../src/engine/webhooks/deliver.ts';
import type { WebhookOutcome } from '../../../src/engine/ports.ts';
import { signWebhook } from '../../../src/engine/webhooks/webhook-signature.ts';

const NOW = Date.UTC(2026, 0, 1);
const HOUR = 3_600_000;
const answered = (status: number, retryAfter: string | null = null) =>
  ({ kind: 'answered', status, retryAfter, body: '' }) as const;

describe('what a delivery attempt means', () => {
  it.each([200, 202, 204, 299])('%d is delivered', (status) =>
    expect(decideDelivery(answered(status), 0, NOW)).toEqual({ kind: 'delivered', statusCode: status }),
  );

  it.each([301, 302, 307, 400, 404, 429, 500])('%d is tried again', (status) =>
    expect(decideDelivery(answered(status), 0, NOW)).toEqual({
      kind: 'retry',
      at: NOW + 5000,
      statusCode: status,
      error: `answered ${status}`,
    }),
  );

  it('410 ends it at once', () => expect(decideDelivery(answered(410), 0, NOW).kind).toBe('failed'));

  it.each<Extract<WebhookOutcome, { kind: 'failed' | 'refused' }>>([
    { kind: 'failed', message: 'timed out' },
    { kind: 'refused', message: 'private address' },
  ])('no answer ($kind) is tried again', (outcome) =>
    expect(decideDelivery(outcome, 0, NOW)).toMatchObject({
      kind: 'retry',
      statusCode: null,
      error: outcome.message,
    }),
  );

  it('makes ten attempts on the schedule: at once, 5 s, 5 min, 30 min, 2, 5, 10, 14, 20, 24 h', () => {
    const waits = Array.from({ length: 10 }, (_, attempts) => {
      const result = decideDelivery(answered(500), attempts, NOW);
      return result.kind === 'retry' ? result.at - NOW : result.kind;
    });
    expect(waits).toEqual([
      5000,
      300_000,
      HOUR / 2,
      ...[2, 5, 10, 14, 20, 24].map((h) => h * HOUR),
      'failed',
    ]);
    expect(DELIVERY_SCHEDULE_MS).toHaveLength(9);
  });

  it('waits longer where Retry-After asks for it, up to a day, never shorter', () => {
    const wait = (retryAfter: string) => {
      const result = decideDelivery(answered(429, retryAfter), 0, NOW);
      return result.kind === 'retry' ? result.at - NOW : null;
    };
    expect(wait('60')).toBe(60_000);
    expect(wait('1')).toBe(5000);
    expect(wait('999999999')).toBe(24 * HOUR);
    expect(wait('nonsense')).toBe(5000);
  });
});

describe('the signature of a webhook', () => {
  const body =
    '{"id":"evt_1","object":"event","created_at":1,"type":"batch.completed","data":{"id":"batch_1"}}';
  const standardSecret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

  it.each([standardSecret, 'a plain text secret'])('with %s satisfies standardwebhooks', (secret) => {
    const headers = signWebhook([secret], 'evt_1', Date.now(), body);
    const verifier = secret.startsWith('whsec_')
      ? new Webhook(secret)
      : new Webhook(secret, { format: 'raw' });
    expect(verifier.verify(body, headers)).toMatchObject({ id: 'evt_1' });
    expect(() => verifier.verify(`${body} `, headers)).toThrow();
  });

  it.each([standardSecret, 'a plain text secret'])('with %s satisfies the official SDK', async (secret) => {
    const client = new OpenAI({ apiKey: 'unused', webhookSecret: secret });
    const headers = signWebhook([secret], 'evt_1', Date.now(), body);
    await expect(client.webhooks.unwrap(body, headers)).resolves.toMatchObject({ type: 'batch.completed' });
    const stale = signWebhook([secret], 'evt_1', Date.now() - 301_000, body);
    await expect(client.webhooks.unwrap(body, stale)).rejects.toThrow();
  });

  it('with two secrets satisfies whoever has either of them', async () => {
    const old = `whsec_${Buffer.alloc(32, 8).toString('base64')}`;
    const headers = signWebhook([standardSecret, old], 'evt_1', Date.now(), body);
    expect(headers['webhook-signature']).toMatch(/^v1,\S{44} v1,\S{44}$/);
    for (const secret of [standardSecret, old]) {
      expect(new Webhook(secret).verify(body, headers)).toMatchObject({ id: 'evt_1' });
      const client = new OpenAI({ apiKey: 'unused', webhookSecret: secret });
      await expect(client.webhooks.unwrap(body, headers)).resolves.toMatchObject({ id: 'evt_1' });
    }
    const stranger = new OpenAI({ apiKey: 'unused', webhookSecret: `whsec_${'a'.repeat(44)}` });
    await expect(stranger.webhooks.unwrap(body, headers)).rejects.toThrow();
    const newest = signWebhook([standardSecret], 'evt_1', Date.now(), body);
    expect(headers['x-signature-256']).toBe(newest['x-signature-256']);
  });

  it('carries X-Signature-256 over the raw body too', () => {
    const headers = signWebhook([standardSecret], 'evt_1', NOW, body);
    const expected = createHmac('sha256', standardSecret).update(body).digest('hex');
    expect(headers['x-signature-256']).toBe(`sha256=${expected}`);
  });
});
