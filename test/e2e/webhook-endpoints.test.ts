import OpenAI, { BadRequestError, ConflictError, NotFoundError } from 'openai';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startUpstreamServer } from '../helpers/upstream-server.ts';
import type { ReceivedRequest, Reply } from '../helpers/upstream-server.ts';
import { chatLines, endOf, startTestService, submitBatch, temporaryFolder } from './test-service.ts';

const PRIVATE = { WEBHOOK_ALLOW_PRIVATE: 'true' };

async function startReceiver(script: (request: ReceivedRequest) => Reply = () => ({})) {
  const receiver = await startUpstreamServer(script);
  onTestFinished(() => receiver.close());
  return receiver;
}

/** Creates an endpoint for `batch.completed`. */
async function create(client: OpenAI, url: string) {
  return await client.webhooks.create({ name: 'mine', url, event_types: ['batch.completed'] });
}

/** Runs a batch of one line to its end. */
async function runBatch(client: OpenAI): Promise<OpenAI.Batch> {
  return await endOf(client, (await submitBatch(client, chatLines(1, 'echo'))).id);
}

/** What the SDK makes of a delivery, with this secret. */
async function unwrap(client: OpenAI, { headers, body }: ReceivedRequest, secret: string) {
  return await client.webhooks.unwrap(body.toString(), headers as Record<string, string>, secret);
}

interface DeliveryObject {
  readonly id: string;
  readonly event_id: string;
  readonly [key: string]: unknown;
}

async function deliveriesOf(client: OpenAI, endpointId: string): Promise<readonly DeliveryObject[]> {
  const path = `/webhook_endpoints/${endpointId}/deliveries`;
  const page = (await client.get(path)) as { readonly data: readonly DeliveryObject[] };
  return page.data;
}

describe('webhook endpoints, by the official SDK', () => {
  it('are created, found, changed, listed and deleted', async () => {
    const { client } = await startTestService();
    expect((await client.webhooks.eventTypes.list()).data).toContain('batch.completed');
    const { signing_secret: secret, ...endpoint } = await create(client, 'https://hooks.example.com/a');
    expect(secret).toMatch(/^whsec_/);
    expect(await client.webhooks.retrieve(endpoint.id)).toEqual(endpoint);
    expect(await client.webhooks.update(endpoint.id)).toEqual(endpoint);
    const update = { name: 'yours', event_types: ['batch.failed' as const] };
    expect(await client.webhooks.update(endpoint.id, update)).toMatchObject({ ...update, url: endpoint.url });
    const ids = new Set([endpoint.id]);
    for (let n = 0; n < 4; n++) ids.add((await create(client, `https://hooks.example.com/${n}`)).id);
    const listed = new Set<string>();
    for await (const { id } of client.webhooks.list({ limit: 2 })) listed.add(id);
    expect(listed).toEqual(ids);
    expect(await client.webhooks.delete(endpoint.id)).toEqual({
      id: endpoint.id,
      object: 'webhook_endpoint.deleted',
      deleted: true,
    });
    await expect(client.webhooks.retrieve(endpoint.id)).rejects.toBeInstanceOf(NotFoundError);
  });

  it('may not lead to private addresses', async () => {
    const { client } = await startTestService();
    await expect(create(client, 'http://127.0.0.1:9/')).rejects.toBeInstanceOf(BadRequestError);
    const { id } = await create(client, 'https://hooks.example.com/');
    await expect(client.webhooks.update(id, { url: 'http://[::1]/' })).rejects.toMatchObject({
      status: 400,
      param: 'url',
      message: expect.stringContaining('not on the public internet'),
    });
  });

  it('verify each delivery, with the old secret and the new one while both sign', async () => {
    const receiver = await startReceiver();
    const { client } = await startTestService(PRIVATE);
    const { id, signing_secret: old } = await create(client, `${receiver.origin}/hook`);
    const batch = await runBatch(client);
    await expect.poll(() => receiver.requests.length).toBe(1);
    const first = receiver.requests[0] as ReceivedRequest;
    expect(first.path).toBe('/hook');
    expect(await unwrap(client, first, old)).toMatchObject({
      type: 'batch.completed',
      data: { id: batch.id },
    });

    const kept = await client.webhooks.rotateSecret(id, { keep_old_secret_active_for_24_hours: true });
    const both = await runBatch(client);
    await expect.poll(() => receiver.requests.length).toBe(2);
    const second = receiver.requests[1] as ReceivedRequest;
    for (const secret of [old, kept.signing_secret]) {
      expect(await unwrap(client, second, secret)).toMatchObject({ data: { id: both.id } });
    }

    const { signing_secret: newest } = await client.webhooks.rotateSecret(id);
    const result = await client.webhooks.test(id, { event_type: 'batch.expired' });
    expect(result).toEqual({
      object: 'webhook_endpoint.test',
      webhook_endpoint_id: id,
      event_type: 'batch.expired',
      status_code: 200,
      success: true,
    });
    const third = receiver.requests[2] as ReceivedRequest;
    expect(await unwrap(client, third, newest)).toMatchObject({ type: 'batch.expired' });
    for (const secret of [old, kept.signing_secret]) {
      await expect(unwrap(client, third, secret)).rejects.toThrow('signature');
    }
  });

  it('have a history, and events can be sent again', async () => {
    let status = 200;
    const receiver = await startReceiver(() => ({ status, body: 'thank you' }));
    const { client } = await startTestService(PRIVATE);
    const { id, signing_secret: secret } = await create(client, receiver.origin);
    const batch = await runBatch(client);
    await expect.poll(async () => (await deliveriesOf(client, id))[0]?.['status']).toBe('delivered');
    const [first] = await deliveriesOf(client, id);
    expect(first).toMatchObject({ batch_id: batch.id, last_status_code: 200, last_response: 'thank you' });
    const path = `/webhook_endpoints/${id}`;
    await client.post(`${path}/deliveries/${first?.id}/replay`);
    await expect.poll(async () => (await deliveriesOf(client, id))[0]?.['status']).toBe('delivered');
    expect(await client.post(`${path}/replay`, { body: { since: batch.created_at } })).toEqual({
      object: 'webhook_endpoint.replay',
      webhook_endpoint_id: id,
      since: batch.created_at,
      deliveries: 1,
      next_since: null,
    });
    await expect.poll(() => receiver.requests.length).toBe(3);
    for (const request of receiver.requests) {
      expect(request.headers['webhook-id']).toBe(first?.event_id);
      await unwrap(client, request, secret);
    }
    status = 410;
    await runBatch(client);
    await expect
      .poll(async () => await client.webhooks.retrieve(id))
      .toMatchObject({ status: 'disabled', disabled_reason: 'gone' });
    await expect(client.post(`${path}/replay`, { body: { since: 0 } })).rejects.toBeInstanceOf(ConflictError);
  });

  it('outlive a restart, and are refused where private addresses are no longer allowed', async () => {
    const DATA_DIR = await temporaryFolder();
    const receiver = await startReceiver(() => ({ status: 500 }));
    const before = await startTestService({ ...PRIVATE, DATA_DIR });
    const { id, signing_secret: secret } = await create(before.client, receiver.origin);
    await before.stop();
    const { client, logs } = await startTestService({ DATA_DIR });
    expect((await client.webhooks.list()).data).toMatchObject([{ id }]);
    await runBatch(client);
    await expect.poll(async () => (await deliveriesOf(client, id))[0]?.['attempts']).toBe(1);
    expect(await deliveriesOf(client, id)).toMatchObject([
      { status: 'pending', last_status_code: null, last_error: 'its host is not on the public internet' },
    ]);
    expect(receiver.requests).toEqual([]);
    for (const line of [...before.logs, ...logs]) expect(line).not.toContain(secret);
  });
});
