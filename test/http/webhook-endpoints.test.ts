import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../helpers/fake-clock.ts';
import { errorOf, refusal } from '../helpers/http-app.ts';
import { aboveMaximum, belowMinimum, wrongType } from './refusals.ts';
import {
  BODY,
  createdEndpoint,
  createFakeSender,
  createWebhookApp,
  ENDPOINT_KEYS,
  ENDPOINTS,
  foreignEndpoint,
  post,
  unknownEndpoint,
} from './webhook-calls.ts';
import type { EndpointObject } from './webhook-calls.ts';

describe('POST /v1/webhook_endpoints', () => {
  it('answers the endpoint, and its secret this once', async () => {
    const testApp = createWebhookApp({ clock: createFakeClock(1_800_000_000_999) });
    const endpoint = await createdEndpoint(testApp, {
      event_types: ['batch.failed', 'batch.queued', 'batch.failed'],
    });
    expect(Object.keys(endpoint)).toEqual([...ENDPOINT_KEYS, 'signing_secret']);
    const { signing_secret: secret, ...shown } = endpoint;
    expect(shown).toEqual({
      id: expect.stringMatching(/^whe_[0-9a-f]{32}$/),
      object: 'webhook_endpoint',
      name: 'mine',
      url: BODY.url,
      event_types: ['batch.failed', 'batch.queued'],
      created_at: 1_800_000_000,
      updated_at: 1_800_000_000,
      signing_secret_hint: `whsec_***${secret.slice(-5)}`,
      status: 'enabled',
      disabled_reason: null,
    });
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    const url = `${ENDPOINTS}/${endpoint.id}`;
    for (const response of [await testApp.call({ url }), await post(testApp, url, { name: 'mine' })]) {
      expect(response.json<unknown>()).toEqual(shown);
    }
    expect((await testApp.call({ url: ENDPOINTS })).body).not.toContain(secret);
    expect(testApp.logLines.join('')).not.toContain(secret);
  });

  it('takes names of 1 to 256 characters, whatever they are', async () => {
    for (const name of [' ', '\u{1F600}'.repeat(256), 'a\0b', '__proto__']) {
      expect(await createdEndpoint(createWebhookApp(), { name })).toMatchObject({ name });
    }
    expect(await createdEndpoint(createWebhookApp(), { name: 'half \ud83d' })).toMatchObject({
      name: 'half \ufffd',
    });
  });

  it('creates twenty, and no more until one is deleted', async () => {
    const testApp = createWebhookApp();
    await foreignEndpoint(testApp);
    const endpoints: EndpointObject[] = [];
    for (let n = 0; n < 20; n++) endpoints.push(await createdEndpoint(testApp));
    expect(errorOf(await post(testApp, ENDPOINTS, BODY))).toEqual(
      refusal(400, {
        message:
          'There are 20 webhook endpoints already, which is the limit. Delete one before you create another.',
        code: 'invalid_value',
      }),
    );
    await testApp.call({ method: 'DELETE', url: `${ENDPOINTS}/${endpoints[3]?.id}` });
    await createdEndpoint(testApp);
  });
});

describe('GET /v1/webhook_endpoints', () => {
  it('lists newest first, page by page, in the whole envelope', async () => {
    const testApp = createWebhookApp();
    const list = async (query = '') => (await testApp.call({ url: `${ENDPOINTS}${query}` })).json<unknown>();
    expect(await list()).toEqual({
      object: 'list',
      data: [],
      first_id: null,
      last_id: null,
      has_more: false,
    });
    const shown: object[] = [];
    for (let n = 0; n < 3; n++) {
      const { signing_secret: _secret, ...endpoint } = await createdEndpoint(testApp, { name: `${n}` });
      shown.unshift(endpoint);
    }
    await foreignEndpoint(testApp);
    const [first, second, third] = shown as EndpointObject[];
    expect(await list('?limit=2')).toEqual({
      object: 'list',
      data: [first, second],
      first_id: first?.id,
      last_id: second?.id,
      has_more: true,
    });
    expect(await list(`?limit=2&after=${second?.id}`)).toMatchObject({ data: [third], has_more: false });
  });

  it.each([
    ['101', aboveMaximum('limit', 100, 101)],
    ['0', belowMinimum('limit', 1, 0)],
    ['abc', wrongType('limit', 'an integer', 'a string')],
  ])('refuses limit=%s', async (limit, error) => {
    const response = await createWebhookApp().call({ url: `${ENDPOINTS}?limit=${limit}` });
    expect(errorOf(response)).toEqual(refusal(400, error));
  });

  it('does not know another owner’s endpoint to go on from', async () => {
    const testApp = createWebhookApp();
    for (const after of ['whe_unknown', await foreignEndpoint(testApp)]) {
      const response = await testApp.call({ url: `${ENDPOINTS}?after=${after}` });
      expect(errorOf(response)).toEqual(refusal(404, unknownEndpoint(after)));
    }
  });
});

describe('an endpoint that is unknown or another owner’s', () => {
  it.each([
    ['GET', '', undefined],
    ['POST', '', {}],
    ['DELETE', '', undefined],
    ['POST', '/rotate_secret', {}],
    ['POST', '/test', { event_type: 'batch.completed' }],
    ['POST', '/replay', { since: 0 }],
    ['GET', '/deliveries', undefined],
    ['POST', '/deliveries/dlv_x/replay', undefined],
  ] as const)('is not found by %s …%s', async (method, suffix, body) => {
    const webhooks = createFakeSender();
    const testApp = createWebhookApp({ webhooks });
    const foreign = await foreignEndpoint(testApp);
    for (const id of ['whe_unknown', 'x', `whe_${'x'.repeat(5000)}`, foreign]) {
      const url = `${ENDPOINTS}/${id}${suffix}`;
      const response =
        body === undefined ? await testApp.call({ method, url }) : await post(testApp, url, body);
      expect(errorOf(response)).toEqual(refusal(404, unknownEndpoint(id)));
    }
    expect(await testApp.engine.webhookEndpoints.get('other', foreign)).toMatchObject({ status: 'enabled' });
    expect(webhooks.sent).toEqual([]);
  });
});

describe('POST /v1/webhook_endpoints/{id}', () => {
  it('changes what is given, and when it was changed', async () => {
    const clock = createFakeClock(1_800_000_000_000);
    const testApp = createWebhookApp({ clock });
    const { signing_secret: _secret, ...endpoint } = await createdEndpoint(testApp);
    const url = `${ENDPOINTS}/${endpoint.id}`;
    const update = async (body?: unknown) => (await post(testApp, url, body)).json<unknown>();
    clock.advance(5000);
    // Unchanged updates do not advance it.
    for (const body of [undefined, {}, '', { name: 'mine', unknown: 1 }])
      expect(await update(body)).toEqual(endpoint);
    const changes = { name: 'yours', url: 'https://b.example/', event_types: ['batch.expired'] };
    const changed = { ...endpoint, ...changes, updated_at: 1_800_000_005 };
    expect(await update(changes)).toEqual(changed);
    expect((await testApp.call({ url })).json<unknown>()).toEqual(changed);
    expect(await update({ status: 'disabled' })).toEqual({ ...changed, status: 'disabled' });
    expect(await update({ status: 'enabled' })).toEqual(changed);
  });
});

describe('DELETE /v1/webhook_endpoints/{id}', () => {
  it('deletes, whatever the body', async () => {
    const testApp = createWebhookApp();
    const { id } = await createdEndpoint(testApp);
    const url = `${ENDPOINTS}/${id}`;
    const headers = { 'content-type': 'application/json' };
    const response = await testApp.call({ method: 'DELETE', url, headers, payload: '{ not json' });
    expect(response.json<unknown>()).toEqual({ id, object: 'webhook_endpoint.deleted', deleted: true });
    for (const method of ['DELETE', 'GET'] as const) {
      expect(errorOf(await testApp.call({ method, url }))).toEqual(refusal(404, unknownEndpoint(id)));
    }
  });
});

describe('POST /v1/webhook_endpoints/{id}/rotate_secret', () => {
  it.each([
    undefined,
    {},
    { keep_old_secret_active_for_24_hours: false },
    { keep_old_secret_active_for_24_hours: null },
  ])('replaces the secret at once: %j', async (body) => {
    const clock = createFakeClock(1_800_000_000_000);
    const testApp = createWebhookApp({ clock });
    const { signing_secret: old, ...endpoint } = await createdEndpoint(testApp);
    clock.advance(7000);
    const response = await post(testApp, `${ENDPOINTS}/${endpoint.id}/rotate_secret`, body);
    const { signing_secret: secret, ...rotated } = response.json<EndpointObject>();
    expect(secret).not.toBe(old);
    expect(rotated).toEqual({
      ...endpoint,
      updated_at: 1_800_000_007,
      signing_secret_hint: `whsec_***${secret.slice(-5)}`,
    });
    const secrets = await testApp.engine.context.store.getWebhookSecrets(endpoint.id, clock.now());
    expect(secrets).toEqual([secret]);
  });

  it('keeps the old one for 24 hours where it is asked to', async () => {
    const clock = createFakeClock();
    const testApp = createWebhookApp({ clock });
    const { id, signing_secret: old } = await createdEndpoint(testApp);
    const body = { keep_old_secret_active_for_24_hours: true };
    const response = await post(testApp, `${ENDPOINTS}/${id}/rotate_secret`, body);
    const { signing_secret: secret } = response.json<EndpointObject>();
    const { store } = testApp.engine.context;
    const end = clock.now() + 24 * 3_600_000;
    expect(await store.getWebhookSecrets(id, end - 1)).toEqual([secret, old]);
    expect(await store.getWebhookSecrets(id, end)).toEqual([secret]);
  });
});

describe('GET /v1/webhook_event_types', () => {
  it('lists them as the official API does', async () => {
    const response = await createWebhookApp().call({ url: '/v1/webhook_event_types' });
    expect(response.json<unknown>()).toEqual({
      object: 'list',
      data: [
        'batch.queued',
        'batch.in_progress',
        'batch.completed',
        'batch.failed',
        'batch.expired',
        'batch.cancelled',
      ],
    });
  });
});
