/** Webhook endpoints: how they are managed, and what is refused. */
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import {
  belowMinimum,
  errorOf,
  invalidValue,
  limitRefusals,
  missing,
  refusal,
  thrownBy,
  useService,
  wrongType,
} from './service.ts';
import type { Refusal } from './service.ts';
import { endpointObject, listOf, secretEndpointObject } from './shapes.ts';
import { BODY, createEndpoint, KEYS, PATH, TYPES } from './webhook-endpoint-calls.ts';

const service = useService();
const quoted = TYPES.map((type) => `'${type}'`);
const SUPPORTED = `${quoted.slice(0, -1).join(', ')}, and ${quoted.at(-1)}`;

const create = (fields?: Parameters<typeof createEndpoint>[1]) => createEndpoint(service, fields);

describe('a webhook endpoint', () => {
  it('is created with its keys in order, and its secret this once', async () => {
    const endpoint = await create();
    expect(Object.keys(endpoint)).toEqual([...KEYS, 'signing_secret']);
    expect(secretEndpointObject.parse(endpoint)).toMatchObject({
      ...BODY,
      updated_at: endpoint.created_at,
      status: 'enabled',
      disabled_reason: null,
    });
    const key = Buffer.from(endpoint.signing_secret.replace(/^whsec_/, ''), 'base64');
    expect(key.length).toBeGreaterThanOrEqual(24);
    expect(key.length).toBeLessThanOrEqual(64);
    expect(endpoint.signing_secret.endsWith(endpoint.signing_secret_hint?.slice(-4) ?? '?')).toBe(true);
  });

  it('is answered without its secret by every other call', async () => {
    const { id, signing_secret: secret, ...endpoint } = await create();
    const answers = [
      await service.call(`${PATH}/${id}`),
      await service.post(`${PATH}/${id}`, {}),
      await service.call(PATH),
    ];
    for (const { status, text } of answers) {
      expect(status).toBe(200);
      expect(text).toContain(endpoint.signing_secret_hint);
      expect(text).not.toContain(secret);
      expect(text).not.toContain('"signing_secret":');
    }
    const retrieved = await service.client.webhooks.retrieve(id);
    expect(retrieved).toEqual({ id, ...endpoint });
    expect(Object.keys(retrieved)).toEqual(KEYS);
  });

  it.each(TYPES)('can ask for %s', async (type) => {
    expect((await create({ event_types: [type] })).event_types).toEqual([type]);
  });

  it.each<[string, object]>([
    ['a name of 256 characters', { name: '値'.repeat(256) }],
    ['a URL of 2048 characters', { url: `https://example.com/${'x'.repeat(2048 - 20)}` }],
  ])('takes %s', async (_name, fields) => {
    expect(await create(fields)).toMatchObject(fields);
  });

  it('asks for a type once, however often it is named', async () => {
    const { event_types: types } = await create({ event_types: ['batch.failed', 'batch.failed'] });
    expect(types).toEqual(['batch.failed']);
  });

  it.each<[string, OpenAI.Webhooks.WebhookUpdateParams]>([
    ['its name', { name: 'yours' }],
    ['its URL', { url: 'https://hooks.example.com/b' }],
    ['its event types', { event_types: ['batch.failed', 'batch.expired'] }],
  ])('is changed in %s alone', async (_name, fields) => {
    const { signing_secret: _secret, ...endpoint } = await create();
    const changed = await service.client.webhooks.update(endpoint.id, fields);
    expect(endpointObject.parse(changed)).toEqual({
      ...endpoint,
      ...fields,
      updated_at: expect.any(Number),
    });
    expect(await service.client.webhooks.retrieve(endpoint.id)).toEqual(changed);
  });

  it('is not changed by an update without a body', async () => {
    const { signing_secret: _secret, ...endpoint } = await create();
    expect(await service.client.webhooks.update(endpoint.id)).toEqual(endpoint);
  });

  it('takes the nulls that the SDK may be given for what is left out', async () => {
    const { id, signing_secret: _secret, ...endpoint } = await create();
    expect(await service.client.webhooks.update(id, null)).toEqual({ id, ...endpoint });
    expect((await service.client.webhooks.list({ after: null })).data).toEqual([{ id, ...endpoint }]);
    const rotated = await service.client.webhooks.rotateSecret(id, null);
    expect(secretEndpointObject.parse(rotated).id).toBe(id);
  });

  it('is deleted, and then unknown', async () => {
    const { id } = await create();
    const deleted = await service.client.webhooks.delete(id);
    expect(deleted).toEqual({ id, object: 'webhook_endpoint.deleted', deleted: true });
    await expect(service.client.webhooks.retrieve(id)).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });

  it.each<[string, (id: string) => Promise<unknown>]>([
    ['retrieve', (id) => service.client.webhooks.retrieve(id)],
    ['update', (id) => service.client.webhooks.update(id, { name: 'x' })],
    ['delete', (id) => service.client.webhooks.delete(id)],
    ['rotateSecret', (id) => service.client.webhooks.rotateSecret(id)],
    ['test', (id) => service.client.webhooks.test(id, { event_type: 'batch.failed' })],
    ['its deliveries', (id) => service.client.get(`/webhook_endpoints/${id}/deliveries`)],
    ['replay', (id) => service.client.post(`/webhook_endpoints/${id}/replay`, { body: { since: 0 } })],
    ['replay of one', (id) => service.client.post(`/webhook_endpoints/${id}/deliveries/x/replay`)],
  ])('that is unknown is answered 404: %s', async (_name, call) => {
    const error = await thrownBy(call('whe_unknown'));
    expect(error).toBeInstanceOf(OpenAI.NotFoundError);
    expect(error).toMatchObject({
      error: {
        message: 'No such WebhookEndpoint object: whe_unknown',
        type: 'invalid_request_error',
        param: 'id',
        code: null,
      },
    });
  });
});

describe('the list of webhook endpoints', () => {
  it('is a whole envelope, newest first', async () => {
    const ids = [(await create()).id, (await create()).id];
    const { json } = await service.call(PATH);
    const list = listOf(endpointObject).parse(json);
    expect(list.data.map((endpoint) => (endpoint as { id: string }).id)).toEqual(ids.toReversed());
    expect(list).toMatchObject({ first_id: ids[1], last_id: ids[0], has_more: false });
  });

  it('is empty with ids of null', async () => {
    const { json } = await service.call(PATH);
    expect(json).toEqual({ object: 'list', data: [], first_id: null, last_id: null, has_more: false });
  });

  it('is paged by the SDK', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.unshift((await create()).id);
    const all: string[] = [];
    for await (const { id } of service.client.webhooks.list({ limit: 2 })) all.push(id);
    expect(all).toEqual(ids);
  });

  it.each<[string, Refusal]>([
    ...limitRefusals(100),
    ['after=whe_unknown', refusal(404, 'No such WebhookEndpoint object: whe_unknown', 'id')],
  ])('refuses %s', async (query, expected) => {
    expect(errorOf(await service.call(`${PATH}?${query}`))).toEqual(expected);
  });

  it('ends at twenty endpoints of an owner, and says so', async () => {
    for (let i = 0; i < 20; i++) await create();
    expect(errorOf(await service.post(PATH, BODY))).toEqual(
      refusal(
        400,
        'There are 20 webhook endpoints already, which is the limit. Delete one before you create another.',
        null,
        'invalid_value',
      ),
    );
  });
});

describe('what a webhook endpoint cannot have', () => {
  const empty = (param: string, what: string) =>
    refusal(
      400,
      `Invalid '${param}': empty ${what}. Expected a${what === 'array' ? 'n' : ''} ${what} with minimum length 1, but got an empty ${what} instead.`,
      param,
      'invalid_value',
    );
  const FAULTS: [string, object, Refusal][] = [
    ['an empty name', { name: '' }, empty('name', 'string')],
    [
      'a name of 257 characters',
      { name: 'x'.repeat(257) },
      refusal(
        400,
        "Invalid 'name': string too long. Expected a string with maximum length 256, but got a string with length 257 instead.",
        'name',
        'string_above_max_length',
      ),
    ],
    ['a name that is a number', { name: 1 }, wrongType('name', 'a string', 'an integer')],
    // The others are in webhook-url.test.ts.
    [
      'a URL that is none',
      { url: 'hooks.example.com' },
      refusal(400, "Invalid 'url': it is not an http or https URL.", 'url', 'invalid_value'),
    ],
    ['a URL that is a list', { url: [BODY.url] }, wrongType('url', 'a string', 'an array')],
    ['no event type', { event_types: [] }, empty('event_types', 'array')],
    [
      'one type in place of a list',
      { event_types: 'batch.failed' },
      wrongType('event_types', 'an array', 'a string'),
    ],
    ['a type that is a number', { event_types: [1] }, wrongType('event_types.0', 'a string', 'an integer')],
    [
      'a type of another part of the official API',
      { event_types: ['batch.failed', 'response.completed'] },
      invalidValue('event_types.1', 'response.completed', SUPPORTED),
    ],
  ];

  it.each(['name', 'url', 'event_types'])('is missing at its create: %s', async (name) => {
    expect(errorOf(await service.post(PATH, { ...BODY, [name]: undefined }))).toEqual(missing(name));
  });

  it.each(FAULTS)('is refused at its create: %s', async (_fault, fields, expected) => {
    expect(errorOf(await service.post(PATH, { ...BODY, ...fields }))).toEqual(expected);
  });

  it.each<[string, object, Refusal]>([
    ...FAULTS,
    ['an unknown status', { status: 'off' }, invalidValue('status', 'off', "'enabled' and 'disabled'")],
  ])('is refused by an update, which changes nothing: %s', async (_fault, fields, expected) => {
    const { signing_secret: _secret, ...endpoint } = await create();
    expect(errorOf(await service.post(`${PATH}/${endpoint.id}`, { name: 'new', ...fields }))).toEqual(
      expected,
    );
    expect(await service.client.webhooks.retrieve(endpoint.id)).toEqual(endpoint);
  });

  it.each<[string, object | undefined, Refusal]>([
    [
      'rotate_secret',
      { keep_old_secret_active_for_24_hours: 'true' },
      wrongType('keep_old_secret_active_for_24_hours', 'a boolean', 'a string'),
    ],
    [
      'rotate_secret',
      { keep_old_secret_active_for_24_hours: 1 },
      wrongType('keep_old_secret_active_for_24_hours', 'a boolean', 'an integer'),
    ],
    ['test', undefined, missing('event_type')],
    ['test', { event_type: ['batch.failed'] }, wrongType('event_type', 'a string', 'an array')],
    [
      'test',
      { event_type: 'response.completed' },
      invalidValue('event_type', 'response.completed', SUPPORTED),
    ],
    ['replay', {}, missing('since')],
    ['replay', { since: '0' }, wrongType('since', 'an integer', 'a string')],
    ['replay', { since: -1 }, belowMinimum('since', 0, -1)],
  ])('is refused by %s: %j', async (verb, body, expected) => {
    const { id } = await create();
    expect(errorOf(await service.post(`${PATH}/${id}/${verb}`, body))).toEqual(expected);
  });
});

describe('the event types', () => {
  it('are those of batches, the official ones and two of ours', async () => {
    const list = await service.client.webhooks.eventTypes.list();
    expect(list).toEqual({ object: 'list', data: TYPES });
  });
});
