import { describe, expect, it } from 'vitest';
import { createTestApp, errorOf, refusal } from '../helpers/http-app.ts';
import { invalidValue, missing, wrongType } from './refusals.ts';
import { BODY, createdEndpoint, createWebhookApp, ENDPOINTS, post } from './webhook-calls.ts';

const TYPES =
  "'batch.queued', 'batch.in_progress', 'batch.completed', 'batch.failed', 'batch.expired', and 'batch.cancelled'";

const emptyName = {
  message:
    "Invalid 'name': empty string. Expected a string with minimum length 1, but got an empty string instead.",
  param: 'name',
  code: 'invalid_value',
};
const longName = {
  message:
    "Invalid 'name': string too long. Expected a string with maximum length 256, but got a string with length 257 instead.",
  param: 'name',
  code: 'string_above_max_length',
};
const privateUrl = {
  message: "Invalid 'url': its host is not on the public internet.",
  param: 'url',
  code: 'invalid_value',
};
const noTypes = {
  message:
    "Invalid 'event_types': empty array. Expected an array with minimum length 1, but got an empty array instead.",
  param: 'event_types',
  code: 'invalid_value',
};

type Refused = [fields: object, error: { message: string; param: string; code: string }];

/** What a create and an update refuse alike. */
const FIELDS: Refused[] = [
  [{ name: '' }, emptyName],
  [{ name: 'x'.repeat(257) }, longName],
  [{ name: 5 }, wrongType('name', 'a string', 'an integer')],
  [{ name: null }, wrongType('name', 'a string', 'null')],
  [{ url: 'https://private.example/' }, privateUrl],
  [{ url: ['x'] }, wrongType('url', 'a string', 'an array')],
  [{ event_types: [] }, noTypes],
  [{ event_types: 'batch.completed' }, wrongType('event_types', 'an array', 'a string')],
  [{ event_types: {} }, wrongType('event_types', 'an array', 'an object')],
  [{ event_types: ['batch.failed', 7] }, wrongType('event_types.1', 'a string', 'an integer')],
  [{ event_types: ['batch.failed', 'x'] }, invalidValue('event_types.1', 'x', TYPES)],
  [{ event_types: ['response.completed'] }, invalidValue('event_types.0', 'response.completed', TYPES)],
];

describe('POST /v1/webhook_endpoints refuses', () => {
  it.each(['name', 'url', 'event_types'])('a body without %s', async (param) => {
    const response = await post(createWebhookApp(), ENDPOINTS, { ...BODY, [param]: undefined });
    expect(errorOf(response)).toEqual(refusal(400, missing(param)));
  });

  it('no body at all', async () =>
    expect(errorOf(await post(createWebhookApp(), ENDPOINTS))).toEqual(refusal(400, missing('name'))));

  it.each(FIELDS)('%j', async (fields, error) => {
    const testApp = createWebhookApp();
    expect(errorOf(await post(testApp, ENDPOINTS, { ...BODY, ...fields }))).toEqual(refusal(400, error));
    expect((await testApp.call({ url: ENDPOINTS })).json()).toMatchObject({ data: [] });
  });

  it.each(['[]', 'null', '"x"'])('the body %s', async (body) =>
    expect(errorOf(await post(createWebhookApp(), ENDPOINTS, body))).toMatchObject({ status: 400 }),
  );

  it('everything where the engine has no sender', async () =>
    expect(errorOf(await post(createTestApp(), ENDPOINTS, BODY))).toEqual(
      refusal(400, {
        message: "Invalid 'url': webhooks are not set up.",
        param: 'url',
        code: 'invalid_value',
      }),
    ));
});

describe('POST /v1/webhook_endpoints/{id} refuses', () => {
  it.each<Refused>([
    ...FIELDS,
    [{ status: 'off' }, invalidValue('status', 'off', "'enabled' and 'disabled'")],
    [{ status: true }, wrongType('status', 'a string', 'a boolean')],
  ])('%j, and changes nothing', async (fields, error) => {
    const testApp = createWebhookApp();
    const { signing_secret: _secret, ...endpoint } = await createdEndpoint(testApp);
    const url = `${ENDPOINTS}/${endpoint.id}`;
    expect(errorOf(await post(testApp, url, { ...fields, unknown: 1 }))).toEqual(refusal(400, error));
    expect((await testApp.call({ url })).json<unknown>()).toEqual(endpoint);
  });
});

describe('the other verbs refuse', () => {
  it.each([
    [
      'rotate_secret',
      { keep_old_secret_active_for_24_hours: 'yes' },
      wrongType('keep_old_secret_active_for_24_hours', 'a boolean', 'a string'),
    ],
    ['test', undefined, missing('event_type')],
    ['test', { event_type: 'batch.done' }, invalidValue('event_type', 'batch.done', TYPES)],
    ['test', { event_type: 1 }, wrongType('event_type', 'a string', 'an integer')],
    ['replay', {}, missing('since')],
    ['replay', { since: '5' }, wrongType('since', 'an integer', 'a string')],
    ['replay', { since: 1.5 }, wrongType('since', 'an integer', 'a number')],
  ])('%s of %j', async (verb, body, error) => {
    const testApp = createWebhookApp();
    const { id } = await createdEndpoint(testApp);
    expect(errorOf(await post(testApp, `${ENDPOINTS}/${id}/${verb}`, body))).toEqual(refusal(400, error));
  });
});
