/** Webhooks: what a receiver gets. */
import { createHmac } from 'node:crypto';
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { line, startReceiver, useService } from './service.ts';
import type { ReceivedWebhook } from './service.ts';

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const service = useService({ WEBHOOK_SIGNING_SECRET: SECRET, WEBHOOK_ALLOW_PRIVATE: 'true' });

async function submitTo(url: string, lines: readonly (string | object)[]) {
  const batch = await service.submit(lines, { webhook_url: url } as object);
  return await service.end(batch.id);
}

describe('a webhook of a batch', () => {
  it('tells of its end in the official shape, and verifies with the SDK', async () => {
    const { url, received } = await startReceiver();
    const batch = await submitTo(url, [line('a')]);
    await expect.poll(() => received.length).toBe(1);
    const [{ body, headers }] = received as [ReceivedWebhook];
    const event = await service.client.webhooks.unwrap(body, headers, SECRET);
    expect(event).toEqual({
      id: expect.stringMatching(/^evt_[0-9a-f]{32}$/),
      object: 'event',
      created_at: expect.any(Number),
      type: 'batch.completed',
      data: {
        id: batch.id,
        request_counts: batch.request_counts,
        output_file_id: batch.output_file_id,
        error_file_id: null,
      },
    });
    expect(headers.get('content-type')).toBe('application/json');
    expect(headers.get('webhook-id')).toBe(event.id);
    expect(headers.get('webhook-timestamp')).toMatch(/^\d{10}$/);
  });

  it('is signed as Standard Webhooks has it, and with the hex digest of its body', async () => {
    const { url, received } = await startReceiver();
    await submitTo(url, [line('a')]);
    await expect.poll(() => received.length).toBe(1);
    const [{ body, headers }] = received as [ReceivedWebhook];
    const key = Buffer.from(SECRET.slice(6), 'base64');
    const signed = `${headers.get('webhook-id')}.${headers.get('webhook-timestamp')}.${body}`;
    expect(headers.get('webhook-signature')).toBe(
      `v1,${createHmac('sha256', key).update(signed).digest('base64')}`,
    );
    expect(headers.get('x-signature-256')).toBe(
      `sha256=${createHmac('sha256', SECRET).update(body).digest('hex')}`,
    );
  });

  it('is refused by the SDK where anything in it was changed', async () => {
    const { url, received } = await startReceiver();
    await submitTo(url, [line('a')]);
    await expect.poll(() => received.length).toBe(1);
    const [{ body, headers }] = received as [ReceivedWebhook];
    const other = body.replace('completed', 'expired');
    await expect(service.client.webhooks.unwrap(other, headers, SECRET)).rejects.toBeInstanceOf(
      OpenAI.InvalidWebhookSignatureError,
    );
  });

  it.each([
    ['batch.failed', ['{"custom_id":"a"}']],
    ['batch.completed', [line('a')]],
  ])('of type %s', async (type, lines) => {
    const { url, received } = await startReceiver();
    await submitTo(url, lines);
    await expect.poll(() => received.length).toBe(1);
    expect(JSON.parse(received[0]?.body ?? '')).toMatchObject({ type });
  });

  it('of a cancelled batch', async () => {
    const { url, received } = await startReceiver();
    const lines = Array.from({ length: 2000 }, (_, i) => line(`l${i}`));
    const { id } = await service.submit(lines, { webhook_url: url } as object);
    await service.client.batches.cancel(id);
    await service.end(id);
    await expect.poll(() => received.length).toBe(1);
    expect(JSON.parse(received[0]?.body ?? '')).toMatchObject({ type: 'batch.cancelled', data: { id } });
  });

  it('keeps its id when it is sent again after a failure', async () => {
    const { url, received } = await startReceiver(() => ({ status: 500 }));
    await submitTo(url, [line('a')]);
    await expect.poll(() => received.length, { timeout: 15_000 }).toBe(2);
    expect(received[1]?.headers.get('webhook-id')).toBe(received[0]?.headers.get('webhook-id'));
    expect(received[1]?.body).toBe(received[0]?.body);
  });
});
