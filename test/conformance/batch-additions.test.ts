/** What this service adds to the create of a batch: repeats, priorities, windows, webhooks. */
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { belowMinimum, errorOf, invalidValue, refusal, thrownBy, useService, wrongType } from './service.ts';
import type { Refusal } from './service.ts';
import { BATCH_KEYS, batchObject } from './shapes.ts';

const service = useService({ COMPLETION_WINDOWS: '1h,7d' });
const WINDOWS = "'24h', '1h', and '7d'";
const BODY = {
  input_file_id: 'file-unknown',
  endpoint: '/v1/chat/completions',
  completion_window: '24h',
} as const;

describe('a create with an Idempotency-Key', () => {
  const create = (key: string, body: object = BODY) =>
    service.post('/v1/batches', body, { 'idempotency-key': key });

  it('is answered the same again, also when the batch has ended', async () => {
    const first = await create('same');
    expect(first.headers.get('idempotent-replayed')).toBeNull();
    const batch = batchObject.parse(first.json);
    await service.end(batch.id);
    const again = await create('same');
    expect([again.status, again.text]).toEqual([200, first.text]);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect((await service.client.batches.list({ limit: 100 })).data).toHaveLength(1);
  });

  it('may be sent by the SDK, which gets the same batch', async () => {
    const headers = { 'Idempotency-Key': 'by-the-SDK' };
    const ids = [1, 2].map(async () => (await service.client.batches.create(BODY, { headers })).id);
    expect(new Set(await Promise.all(ids)).size).toBe(1);
  });

  it.each<[string, object]>([
    ['another file', { input_file_id: 'file-other' }],
    ['metadata', { metadata: { a: 'b' } }],
    ['a priority', { priority: 1 }],
  ])('that was used for another request is refused: %s', async (name, fields) => {
    const key = `other-${name.replaceAll(' ', '-')}`;
    await create(key);
    const headers = { 'Idempotency-Key': key };
    const call = service.client.post('/batches', { body: { ...BODY, ...fields }, headers });
    const error = await thrownBy(call);
    expect(error).toBeInstanceOf(OpenAI.ConflictError);
    expect(error.error).toEqual({
      message: `The Idempotency-Key '${key}' was used with another request within the last 24 hours.`,
      type: 'invalid_request_error',
      param: 'Idempotency-Key',
      code: null,
    });
    expect(error.headers?.get('x-should-retry')).toBe('false');
  });

  it('takes the same values in another order for the same request', async () => {
    const first = await create('order');
    const body = Object.fromEntries(Object.entries(BODY).toReversed());
    expect((await create('order', body)).text).toBe(first.text);
  });

  it('that was refused is not remembered', async () => {
    expect((await create('refused', { ...BODY, endpoint: '/v1/x' })).status).toBe(400);
    const { status, headers } = await create('refused');
    expect([status, headers.get('idempotent-replayed')]).toEqual([200, null]);
  });

  it.each([
    ['an empty key', ''],
    ['a blank in its key', 'a b'],
    ['a key of 256 characters', 'x'.repeat(256)],
  ])('with %s is refused', async (_fault, key) => {
    expect(errorOf(await create(key))).toEqual(
      refusal(
        400,
        "Invalid 'Idempotency-Key': expected 1 to 255 visible ASCII characters.",
        'Idempotency-Key',
        'invalid_value',
      ),
    );
  });
});

describe('a priority', () => {
  it.each([-100, 100])('of %i is taken, and shown', async (priority) => {
    const { json } = await service.post('/v1/batches', { ...BODY, priority });
    expect(batchObject.parse(json).priority).toBe(priority);
  });

  it.each([0, null])('of %j is the usual one, and not shown', async (priority) => {
    const { status, json } = await service.post('/v1/batches', { ...BODY, priority });
    expect([status, Object.keys(json as object)]).toEqual([200, BATCH_KEYS]);
  });

  it.each<[unknown, Refusal]>([
    [-101, belowMinimum('priority', -100, -101)],
    ['5', wrongType('priority', 'an integer', 'a string')],
    [1.5, wrongType('priority', 'an integer', 'a number')],
    [true, wrongType('priority', 'an integer', 'a boolean')],
    [[1], wrongType('priority', 'an integer', 'an array')],
    [{}, wrongType('priority', 'an integer', 'an object')],
  ])('of %j is refused', async (priority, expected) => {
    expect(errorOf(await service.post('/v1/batches', { ...BODY, priority }))).toEqual(expected);
  });
});

describe('a completion window', () => {
  it.each([
    ['24h', 86_400],
    ['1h', 3600],
    ['7d', 604_800],
  ])('of %s that the settings allow lasts as long', async (window, seconds) => {
    const { json } = await service.post('/v1/batches', { ...BODY, completion_window: window });
    const batch = batchObject.parse(json);
    expect(batch).toMatchObject({ completion_window: window, expires_at: batch.created_at + seconds });
  });

  it.each(['2h', '1H', '60m', ''])("of '%s' that they do not allow is refused", async (window) => {
    expect(errorOf(await service.post('/v1/batches', { ...BODY, completion_window: window }))).toEqual(
      invalidValue('completion_window', window, WINDOWS),
    );
  });

  it('of a number is refused', async () => {
    expect(errorOf(await service.post('/v1/batches', { ...BODY, completion_window: 24 }))).toEqual(
      wrongType('completion_window', 'a string', 'an integer'),
    );
  });
});

describe('a webhook_url', () => {
  it('is refused where the service has nothing to sign with', async () => {
    const body = { ...BODY, webhook_url: 'https://hooks.example.com/' };
    expect(errorOf(await service.post('/v1/batches', body))).toEqual(
      refusal(
        400,
        "Invalid 'webhook_url': this server has no WEBHOOK_SIGNING_SECRET to sign webhooks with.",
        'webhook_url',
        'invalid_value',
      ),
    );
  });
});
