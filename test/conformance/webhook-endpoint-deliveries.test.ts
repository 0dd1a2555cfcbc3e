/** Webhook endpoints: their secrets, what is sent to them, and what can be sent again. */
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { errorOf, limitRefusals, line, refusal, startReceiver, useService } from './service.ts';
import type { ReceivedWebhook, Refusal } from './service.ts';
import { listOf, secretEndpointObject, webhookDeliveryObject } from './shapes.ts';
import { createEndpoint, KEYS, PATH, TYPES } from './webhook-endpoint-calls.ts';

const service = useService({ WEBHOOK_ALLOW_PRIVATE: 'true' });

const create = (fields?: Parameters<typeof createEndpoint>[1]) => createEndpoint(service, fields);

async function runBatch(): Promise<OpenAI.Batch> {
  return await service.end((await service.submit([line('a')])).id);
}

const unwrap = ({ body, headers }: ReceivedWebhook, secret: string) =>
  service.client.webhooks.unwrap(body, headers, secret);

/** How many of them tell of the batch. */
function countOf(received: readonly ReceivedWebhook[], { id }: OpenAI.Batch): number {
  return received.filter(({ body }) => body.includes(id)).length;
}

async function deliveriesOf(id: string) {
  const { json } = await service.call(`${PATH}/${id}/deliveries`);
  const { data } = listOf(webhookDeliveryObject).parse(json);
  return data as ReturnType<typeof webhookDeliveryObject.parse>[];
}

/** The newest delivery to the endpoint, once it has this status. */
async function settled(id: string, status: 'delivered' | 'failed') {
  await expect.poll(async () => (await deliveriesOf(id))[0]?.status).toBe(status);
  return (await deliveriesOf(id))[0] as ReturnType<typeof webhookDeliveryObject.parse>;
}

describe('the secret of a webhook endpoint', () => {
  it('signs what is sent there, and that of another one does not', async () => {
    const [one, two] = [await startReceiver(), await startReceiver()];
    const secrets = [
      (await create({ url: one.url })).signing_secret,
      (await create({ url: two.url })).signing_secret,
    ];
    const { id } = await runBatch();
    for (const [i, { received }] of [one, two].entries()) {
      await expect.poll(() => received.length).toBe(1);
      const [webhook] = received as [ReceivedWebhook];
      expect(await unwrap(webhook, secrets[i] ?? '')).toMatchObject({
        type: 'batch.completed',
        data: { id },
      });
      await expect(unwrap(webhook, secrets[1 - i] ?? '')).rejects.toBeInstanceOf(
        OpenAI.InvalidWebhookSignatureError,
      );
    }
  });

  it('is replaced at once unless told otherwise', async () => {
    const { url, received } = await startReceiver();
    const { id, signing_secret: old, signing_secret_hint: hint } = await create({ url });
    const rotated = await service.client.webhooks.rotateSecret(id);
    expect(Object.keys(rotated)).toEqual([...KEYS, 'signing_secret']);
    expect(secretEndpointObject.parse(rotated).signing_secret).not.toBe(old);
    expect(rotated.signing_secret_hint).not.toBe(hint);
    await runBatch();
    await expect.poll(() => received.length).toBe(1);
    const [webhook] = received as [ReceivedWebhook];
    expect(webhook.headers.get('webhook-signature')).toMatch(/^v1,\S+$/);
    await unwrap(webhook, rotated.signing_secret);
    await expect(unwrap(webhook, old)).rejects.toBeInstanceOf(OpenAI.InvalidWebhookSignatureError);
  });

  it('signs beside the new one where it is kept for 24 hours; a third one ends it', async () => {
    const { url, received } = await startReceiver();
    const { id, signing_secret: first } = await create({ url });
    const keep = { keep_old_secret_active_for_24_hours: true };
    const { signing_secret: second } = await service.client.webhooks.rotateSecret(id, keep);
    await runBatch();
    await expect.poll(() => received.length).toBe(1);
    const [webhook] = received as [ReceivedWebhook];
    expect(webhook.headers.get('webhook-signature')).toMatch(/^v1,\S+ v1,\S+$/);
    for (const secret of [first, second]) await unwrap(webhook, secret);

    const { signing_secret: third } = await service.client.webhooks.rotateSecret(id, keep);
    await runBatch();
    await expect.poll(() => received.length).toBe(2);
    const last = received[1] as ReceivedWebhook;
    for (const secret of [second, third]) await unwrap(last, secret);
    await expect(unwrap(last, first)).rejects.toBeInstanceOf(OpenAI.InvalidWebhookSignatureError);
  });
});

describe('a test delivery', () => {
  it.each(['batch.completed', 'batch.failed', 'batch.expired', 'batch.cancelled'] as const)(
    'of %s is a signed sample event, whether or not it is asked for',
    async (type) => {
      const { url, received } = await startReceiver();
      const { id, signing_secret: secret } = await create({ url });
      const result = await service.client.webhooks.test(id, { event_type: type });
      expect(result).toEqual({
        object: 'webhook_endpoint.test',
        webhook_endpoint_id: id,
        event_type: type,
        status_code: 204,
        success: true,
      });
      expect(await unwrap(received[0] as ReceivedWebhook, secret)).toMatchObject({
        type,
        data: { id: expect.stringMatching(/^batch_/) },
      });
    },
  );

  it.each([301, 410, 500])('tells of the answer %i, and does not judge by it', async (status) => {
    const { url, received } = await startReceiver(() => ({
      status,
      headers: { location: 'http://127.0.0.1:9/' },
    }));
    const { id } = await create({ url });
    const result = await service.client.webhooks.test(id, { event_type: 'batch.failed' });
    expect(result).toMatchObject({ status_code: status, success: true });
    expect(received).toHaveLength(1);
    expect(await service.client.webhooks.retrieve(id)).toMatchObject({ status: 'enabled' });
    expect(await deliveriesOf(id)).toEqual([]);
  });

  it('tells that no answer came', async () => {
    const { id } = await create({ url: 'http://127.0.0.1:1/' });
    const result = await service.client.webhooks.test(id, { event_type: 'batch.failed' });
    expect(result).toMatchObject({ status_code: null, success: false });
  });
});

describe('the deliveries of a webhook endpoint', () => {
  it('tell what was sent and what was answered', async () => {
    const { url } = await startReceiver(() => ({ status: 200, body: 'thank you' }));
    const { id } = await create({ url });
    const batch = await runBatch();
    const delivery = await settled(id, 'delivered');
    expect(Object.keys(delivery)).toEqual(Object.keys(webhookDeliveryObject.shape));
    expect(delivery).toMatchObject({
      event_type: 'batch.completed',
      batch_id: batch.id,
      attempts: 1,
      next_attempt_at: null,
      last_status_code: 200,
      last_response: 'thank you',
      last_error: null,
    });
  });

  it('are of the types that it asked for alone', async () => {
    const { url, received } = await startReceiver();
    const all = await startReceiver();
    const { id } = await create({ url, event_types: ['batch.failed'] });
    await create({ url: all.url, event_types: TYPES });
    await runBatch();
    await expect.poll(() => all.received.length).toBe(3);
    expect(all.received.map(({ body }) => (JSON.parse(body) as { type: string }).type).toSorted()).toEqual([
      'batch.completed',
      'batch.in_progress',
      'batch.queued',
    ]);
    expect(received).toEqual([]);
    expect(await deliveriesOf(id)).toEqual([]);
  });

  it('wait for their next attempt after a failure', async () => {
    const { url } = await startReceiver(() => ({ status: 503, body: 'later' }));
    const { id } = await create({ url });
    await runBatch();
    await expect.poll(async () => (await deliveriesOf(id))[0]?.attempts).toBe(1);
    const [delivery] = await deliveriesOf(id);
    expect(delivery).toMatchObject({ status: 'pending', last_status_code: 503, last_response: 'later' });
    expect(delivery?.next_attempt_at).toBeGreaterThan(delivery?.last_attempt_at ?? Infinity);
  });

  it('are listed newest first, in pages', async () => {
    const { url } = await startReceiver();
    const { id } = await create({ url });
    const batches = [(await runBatch()).id, (await runBatch()).id];
    await settled(id, 'delivered');
    const page = async (query: string) => {
      const { json } = await service.call(`${PATH}/${id}/deliveries${query}`);
      return json as { data: { batch_id: string }[]; last_id: string; has_more: boolean };
    };
    const first = await page('?limit=1');
    expect(first).toMatchObject({ data: [{ batch_id: batches[1] }], has_more: true });
    expect(await page(`?limit=1&after=${first.last_id}`)).toMatchObject({
      data: [{ batch_id: batches[0] }],
      has_more: false,
    });
  });

  it.each<[string, Refusal]>([
    ...limitRefusals(100),
    ['after=x', refusal(404, 'No such WebhookDelivery object: x', 'id')],
  ])('refuse %s', async (query, expected) => {
    const { id } = await create();
    expect(errorOf(await service.call(`${PATH}/${id}/deliveries?${query}`))).toEqual(expected);
  });
});

describe('a replay', () => {
  it('sends one event again, under its id', async () => {
    const { url, received } = await startReceiver();
    const { id, signing_secret: secret } = await create({ url });
    await runBatch();
    const delivery = await settled(id, 'delivered');
    const { status, json } = await service.post(`${PATH}/${id}/deliveries/${delivery.id}/replay`);
    const again = webhookDeliveryObject.parse(json);
    expect([status, again.event_id]).toEqual([200, delivery.event_id]);
    await expect.poll(() => received.length).toBe(2);
    const [first, second] = received as [ReceivedWebhook, ReceivedWebhook];
    expect(second.body).toBe(first.body);
    expect((await unwrap(second, secret)).id).toBe(delivery.event_id);
  });

  it('sends all events since then again', async () => {
    const { url, received } = await startReceiver();
    const { id } = await create({ url });
    const batch = await runBatch();
    await settled(id, 'delivered');
    const { json } = await service.post(`${PATH}/${id}/replay`, { since: batch.created_at });
    expect(json).toEqual({
      object: 'webhook_endpoint.replay',
      webhook_endpoint_id: id,
      since: batch.created_at,
      // Those of other batches that ended in the same second as well.
      deliveries: expect.any(Number),
      next_since: null,
    });
    await expect.poll(() => received.length).toBe(1 + (json as { deliveries: number }).deliveries);
    expect(countOf(received, batch)).toBe(2);
  });

  it('of a delivery that is unknown is answered 404', async () => {
    const { id } = await create();
    expect(errorOf(await service.post(`${PATH}/${id}/deliveries/x/replay`))).toEqual(
      refusal(404, 'No such WebhookDelivery object: x', 'id'),
    );
  });
});

describe('a disabled webhook endpoint', () => {
  it('is one that answered 410; it is sent nothing until it is enabled, and can then have it all', async () => {
    let status = 410;
    const { url, received } = await startReceiver(() => ({ status }));
    const { id } = await create({ url });
    const batch = await runBatch();
    expect(await settled(id, 'failed')).toMatchObject({ attempts: 1, last_status_code: 410 });
    expect(await service.client.webhooks.retrieve(id)).toMatchObject({
      status: 'disabled',
      disabled_reason: 'gone',
    });
    const missed = await runBatch();
    expect(await deliveriesOf(id)).toHaveLength(1);

    const replay = { since: batch.created_at };
    const refused = await service.post(`${PATH}/${id}/replay`, replay);
    expect(errorOf(refused)).toEqual(
      refusal(409, "Cannot replay to a webhook endpoint with status 'disabled'. Enable it first."),
    );
    expect(refused.headers.get('x-should-retry')).toBe('false');
    status = 204;
    const { json } = await service.post(`${PATH}/${id}`, { status: 'enabled' });
    expect(json).toMatchObject({ status: 'enabled', disabled_reason: null });
    await service.post(`${PATH}/${id}/replay`, replay);
    await expect.poll(() => [countOf(received, batch), countOf(received, missed)]).toEqual([2, 1]);
  });

  it('may be one that its owner disabled', async () => {
    const { url, received } = await startReceiver();
    const { id } = await create({ url });
    expect((await service.post(`${PATH}/${id}`, { status: 'disabled' })).json).toMatchObject({
      status: 'disabled',
      disabled_reason: null,
    });
    await runBatch();
    expect(await deliveriesOf(id)).toEqual([]);
    expect(received).toEqual([]);
  });
});
