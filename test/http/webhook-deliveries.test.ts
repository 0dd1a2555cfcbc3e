import { describe, expect, it, onTestFinished } from 'vitest';
import { Webhook } from 'standardwebhooks';
import type { WebhookOutcome } from '../../src/engine/index.ts';
import { createWorker } from '../../src/worker/index.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import { errorOf, refusal } from '../helpers/http-app.ts';
import type { TestApp } from '../helpers/http-app.ts';
import { createdBatch } from './batch-calls.ts';
import { createdMessageBatch } from './messages/calls.ts';
import { aboveMaximum, belowMinimum } from './refusals.ts';
import { createdEndpoint, createFakeSender, createWebhookApp, ENDPOINTS, post } from './webhook-calls.ts';
import type { EndpointObject } from './webhook-calls.ts';

interface DeliveryObject {
  readonly id: string;
  readonly event_id: string;
  readonly status: string;
  readonly [key: string]: unknown;
}

/** Starts a worker: it makes the attempts. */
async function startWorker({ engine }: TestApp): Promise<void> {
  const worker = createWorker({ engine });
  onTestFinished(() => worker.stop());
  await worker.start();
}

async function deliveriesOf(testApp: TestApp, { id }: EndpointObject, query = '') {
  const response = await testApp.call({ url: `${ENDPOINTS}/${id}/deliveries${query}` });
  expect(response.statusCode).toBe(200);
  return response.json<{ data: DeliveryObject[]; first_id: string; last_id: string; has_more: boolean }>();
}

const queued = { event_types: ['batch.queued'] };

describe('GET /v1/webhook_endpoints/{id}/deliveries', () => {
  it('tells how a delivery stands', async () => {
    const testApp = createWebhookApp();
    const endpoint = await createdEndpoint(testApp, queued);
    expect(await deliveriesOf(testApp, endpoint)).toEqual({
      object: 'list',
      data: [],
      first_id: null,
      last_id: null,
      has_more: false,
    });
    const batch = await createdBatch(testApp);
    const { data, ...envelope } = await deliveriesOf(testApp, endpoint);
    const pending = {
      id: expect.stringMatching(/^dlv_[0-9a-f]{32}$/),
      object: 'webhook_delivery',
      event_id: expect.stringMatching(/^evt_[0-9a-f]{32}$/),
      event_type: 'batch.queued',
      batch_id: batch.id,
      created_at: batch['created_at'],
      status: 'pending',
      attempts: 0,
      next_attempt_at: batch['created_at'],
      last_attempt_at: null,
      last_status_code: null,
      last_duration_ms: null,
      last_response: null,
      last_error: null,
    };
    expect(data).toEqual([pending]);
    expect(Object.keys(data[0] ?? {})).toEqual(Object.keys(pending));
    expect(envelope).toEqual({
      object: 'list',
      first_id: data[0]?.id,
      last_id: data[0]?.id,
      has_more: false,
    });
    await startWorker(testApp);
    await expect.poll(async () => (await deliveriesOf(testApp, endpoint)).data[0]?.status).toBe('delivered');
    expect((await deliveriesOf(testApp, endpoint)).data).toEqual([
      {
        ...data[0],
        status: 'delivered',
        attempts: 1,
        next_attempt_at: null,
        last_attempt_at: expect.any(Number),
        last_status_code: 200,
        last_duration_ms: expect.any(Number),
        last_response: 'thanks',
      },
    ]);
  });

  it('names a Message Batch by the id that its client knows', async () => {
    const testApp = createWebhookApp();
    const endpoint = await createdEndpoint(testApp, queued);
    const { id } = await createdMessageBatch(testApp);
    expect((await deliveriesOf(testApp, endpoint)).data[0]?.['batch_id']).toBe(id);
  });

  it('lists newest first, page by page, 20 unless asked otherwise', async () => {
    const testApp = createWebhookApp();
    const endpoint = await createdEndpoint(testApp, queued);
    const batches: string[] = [];
    for (let n = 0; n < 22; n++) batches.unshift((await createdBatch(testApp)).id);
    const batchesOf = (page: { data: DeliveryObject[] }) => page.data.map((one) => one['batch_id']);
    const page = await deliveriesOf(testApp, endpoint);
    expect(batchesOf(page)).toEqual(batches.slice(0, 20));
    expect(page.has_more).toBe(true);
    const rest = await deliveriesOf(testApp, endpoint, `?limit=100&after=${page.last_id}`);
    expect(batchesOf(rest)).toEqual(batches.slice(20));
    expect(rest.has_more).toBe(false);
  });

  it.each([
    ['101', aboveMaximum('limit', 100, 101)],
    ['0', belowMinimum('limit', 1, 0)],
  ])('refuses limit=%s', async (limit, error) => {
    const testApp = createWebhookApp();
    const { id } = await createdEndpoint(testApp);
    const response = await testApp.call({ url: `${ENDPOINTS}/${id}/deliveries?limit=${limit}` });
    expect(errorOf(response)).toEqual(refusal(400, error));
  });

  it('does not know another endpoint’s delivery, to go on from or to replay', async () => {
    const testApp = createWebhookApp();
    const endpoint = await createdEndpoint(testApp, queued);
    const { id } = await createdEndpoint(testApp);
    await createdBatch(testApp);
    const [other] = (await deliveriesOf(testApp, endpoint)).data;
    for (const delivery of ['dlv_unknown', other?.id ?? '']) {
      const error = refusal(404, { message: `No such WebhookDelivery object: ${delivery}`, param: 'id' });
      const url = `${ENDPOINTS}/${id}/deliveries`;
      expect(errorOf(await testApp.call({ url: `${url}?after=${delivery}` }))).toEqual(error);
      expect(errorOf(await post(testApp, `${url}/${delivery}/replay`))).toEqual(error);
    }
  });
});

describe('replaying', () => {
  it('sends one event again, whatever the body', async () => {
    const webhooks = createFakeSender();
    const testApp = createWebhookApp({ webhooks });
    const endpoint = await createdEndpoint(testApp, queued);
    await createdBatch(testApp);
    await startWorker(testApp);
    await expect.poll(async () => (await deliveriesOf(testApp, endpoint)).data[0]?.status).toBe('delivered');
    const [first] = (await deliveriesOf(testApp, endpoint)).data;
    const url = `${ENDPOINTS}/${endpoint.id}/deliveries/${first?.id}/replay`;
    const again = (await post(testApp, url, '{ not json')).json<DeliveryObject>();
    expect(again).toMatchObject({ object: 'webhook_delivery', event_id: first?.event_id, attempts: 0 });
    expect(again.id).not.toBe(first?.id);
    await expect.poll(() => webhooks.sent.length).toBe(2);
    expect(webhooks.sent.map(({ headers }) => headers['webhook-id'])).toEqual([
      first?.event_id,
      first?.event_id,
    ]);
  });

  it('sends all events since then again', async () => {
    const clock = createFakeClock(1_800_000_000_000);
    const testApp = createWebhookApp({ clock });
    const endpoint = await createdEndpoint(testApp, queued);
    for (let n = 0; n < 3; n++) {
      await createdBatch(testApp);
      clock.advance(1000);
    }
    await startWorker(testApp);
    await expect
      .poll(async () => {
        clock.advance(10);
        return (await deliveriesOf(testApp, endpoint)).data.filter(({ status }) => status === 'delivered')
          .length;
      })
      .toBe(3);
    const replay = async (since: number) =>
      (await post(testApp, `${ENDPOINTS}/${endpoint.id}/replay`, { since })).json<unknown>();
    const answer = { object: 'webhook_endpoint.replay', webhook_endpoint_id: endpoint.id, next_since: null };
    expect(await replay(1_800_000_001)).toEqual({ ...answer, since: 1_800_000_001, deliveries: 2 });
    expect(await replay(1_900_000_000)).toEqual({ ...answer, since: 1_900_000_000, deliveries: 0 });
  });

  it('sends a thousand events at a time, and tells where to go on', async () => {
    const testApp = createWebhookApp({
      store: () => ({
        replayEvents: async ({ limit }) => ({
          kind: 'ok',
          deliveries: limit,
          nextCreatedAt: 1_800_000_000_999,
        }),
      }),
    });
    const { id } = await createdEndpoint(testApp);
    expect((await post(testApp, `${ENDPOINTS}/${id}/replay`, { since: 0 })).json()).toMatchObject({
      deliveries: 1000,
      next_since: 1_800_000_000,
    });
  });

  it.each([
    [-1, belowMinimum('since', 0, -1)],
    [8_640_000_000_001, aboveMaximum('since', 8_640_000_000_000, 8_640_000_000_001)],
  ])('refuses since %d', async (since, error) => {
    const testApp = createWebhookApp();
    const { id } = await createdEndpoint(testApp);
    expect(errorOf(await post(testApp, `${ENDPOINTS}/${id}/replay`, { since }))).toEqual(refusal(400, error));
  });

  it('is refused while the endpoint is disabled', async () => {
    const testApp = createWebhookApp();
    const endpoint = await createdEndpoint(testApp, queued);
    await createdBatch(testApp);
    const [first] = (await deliveriesOf(testApp, endpoint)).data;
    const url = `${ENDPOINTS}/${endpoint.id}`;
    await post(testApp, url, { status: 'disabled' });
    const error = refusal(409, {
      message: "Cannot replay to a webhook endpoint with status 'disabled'. Enable it first.",
    });
    for (const response of [
      await post(testApp, `${url}/replay`, { since: 0 }),
      await post(testApp, `${url}/deliveries/${first?.id}/replay`),
    ]) {
      expect(errorOf(response)).toEqual(error);
      expect(response.headers['x-should-retry']).toBe('false');
    }
  });
});

describe('POST /v1/webhook_endpoints/{id}/test', () => {
  const test = (testApp: TestApp, { id }: EndpointObject) =>
    post(testApp, `${ENDPOINTS}/${id}/test`, { event_type: 'batch.failed' });

  it('posts one signed sample event at once, to a disabled endpoint too', async () => {
    const webhooks = createFakeSender();
    const testApp = createWebhookApp({ webhooks });
    const endpoint = await createdEndpoint(testApp);
    await post(testApp, `${ENDPOINTS}/${endpoint.id}`, { status: 'disabled' });
    expect((await test(testApp, endpoint)).json<unknown>()).toEqual({
      object: 'webhook_endpoint.test',
      webhook_endpoint_id: endpoint.id,
      event_type: 'batch.failed',
      status_code: 200,
      success: true,
    });
    expect(webhooks.sent).toHaveLength(1);
    const [{ url, trusted, body, headers } = expect.unreachable()] = webhooks.sent;
    expect({ url, trusted }).toEqual({ url: endpoint['url'], trusted: false });
    expect(new Webhook(endpoint.signing_secret).verify(body, headers)).toEqual({
      id: headers['webhook-id'],
      object: 'event',
      created_at: expect.any(Number),
      type: 'batch.failed',
      data: { id: 'batch_00000000000000000000000000000000' },
    });
    expect((await deliveriesOf(testApp, endpoint)).data).toEqual([]);
  });

  it.each<[WebhookOutcome, number | null]>([
    [{ kind: 'answered', status: 410, retryAfter: null, body: '' }, 410],
    [{ kind: 'answered', status: 503, retryAfter: '1', body: '' }, 503],
    [{ kind: 'failed', message: 'no answer within 15000 ms' }, null],
    [{ kind: 'refused', message: 'private' }, null],
  ])('answers what came of %j, once, without a judgement', async (outcome, status) => {
    const webhooks = createFakeSender(() => outcome);
    const testApp = createWebhookApp({ webhooks });
    const endpoint = await createdEndpoint(testApp);
    const response = await test(testApp, endpoint);
    expect(response.json()).toMatchObject({ status_code: status, success: status !== null });
    expect(webhooks.sent).toHaveLength(1);
    expect((await testApp.call({ url: `${ENDPOINTS}/${endpoint.id}` })).json()).toMatchObject({
      status: 'enabled',
    });
  });

  it('is one at a time', async () => {
    const { promise, resolve } = Promise.withResolvers<WebhookOutcome>();
    const webhooks = createFakeSender(() => promise);
    const testApp = createWebhookApp({ webhooks });
    const endpoint = await createdEndpoint(testApp);
    const first = test(testApp, endpoint);
    await expect.poll(() => webhooks.sent.length).toBe(1);
    expect(errorOf(await test(testApp, endpoint))).toEqual(
      refusal(409, { message: `A test of the webhook endpoint '${endpoint.id}' is under way already.` }),
    );
    const other = test(testApp, await createdEndpoint(testApp));
    await expect.poll(() => webhooks.sent.length).toBe(2);
    resolve({ kind: 'failed', message: 'no answer' });
    for (const response of await Promise.all([first, other])) expect(response.statusCode).toBe(200);
    expect((await test(testApp, endpoint)).statusCode).toBe(200);
  });

  it('is answered 503 where the service stops meanwhile', async () => {
    const testApp = createWebhookApp({ webhooks: createFakeSender(() => ({ kind: 'aborted' })) });
    const endpoint = await createdEndpoint(testApp);
    expect(errorOf(await test(testApp, endpoint))).toEqual(
      refusal(503, { message: 'The service is stopping.', type: 'server_error' }),
    );
  });
});

describe('where storage fails', () => {
  it('webhook endpoints are answered 507 or 503', async () => {
    const failing = (code: string) => async () => Promise.reject(Object.assign(new Error('x'), { code }));
    const full = createWebhookApp({ store: () => ({ insertWebhookEndpoint: failing('SQLITE_FULL') }) });
    const ill = createWebhookApp({ store: () => ({ getWebhookEndpoint: failing('SQLITE_IOERR') }) });
    expect(
      (await post(full, ENDPOINTS, { name: 'a', url: 'https://a.example', event_types: ['batch.queued'] }))
        .statusCode,
    ).toBe(507);
    expect((await ill.call({ url: `${ENDPOINTS}/whe_x` })).statusCode).toBe(503);
  });
});
