/** Keys: their administration, what they allow, and how they end. */
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import {
  aboveMaximum,
  belowMinimum,
  errorOf,
  invalidValue,
  limitRefusals,
  line,
  missing,
  refusal,
  thrownBy,
  useService,
  wrongType,
} from './service.ts';
import type { Refusal } from './service.ts';
import { createKey, KEYS_PATH as PATH } from './key-calls.ts';
import { keyObject, listOf, secretKeyObject } from './shapes.ts';

const service = useService({ ENDPOINTS: '/v1/chat/completions,/v1/embeddings' });
const BODY = { name: 'laptop', owner: 'team-a' };
const UNKNOWN = `key_${'0'.repeat(32)}`;
const BATCH = {
  input_file_id: 'file-unknown',
  endpoint: '/v1/chat/completions',
  completion_window: '24h',
} as const;

const now = () => Math.floor(Date.now() / 1000);

const create = (fields: object = {}) => createKey(service, { ...BODY, ...fields });
const revoke = (id: string) => service.call(`${PATH}/${id}`, { method: 'DELETE' });

/** A call with the key is answered as one with a wrong key. */
async function expectDead(key: string): Promise<void> {
  const error = await thrownBy(service.connect(key).files.list());
  expect(error).toBeInstanceOf(OpenAI.AuthenticationError);
  expect(error).toMatchObject({ status: 401, code: 'invalid_api_key' });
}

describe('a key', () => {
  it('is created with its keys in order and its secret, which no cache keeps', async () => {
    const fields = { expires_at: now() + 60, models: ['m'], endpoints: ['/v1/embeddings'] };
    const { status, json, headers } = await service.post(PATH, { ...BODY, ...fields });
    expect([status, headers.get('cache-control')]).toEqual([200, 'no-store']);
    expect(Object.keys(json as object)).toEqual(Object.keys(secretKeyObject.shape));
    expect(secretKeyObject.parse(json)).toMatchObject({ ...BODY, ...fields, revoked_at: null });
  });

  it('is shown without its secret afterwards', async () => {
    const { key, ...created } = await create();
    const answers = [await service.call(`${PATH}/${created.id}`), await service.call(PATH)];
    expect(keyObject.parse(answers[0]?.json)).toEqual(created);
    for (const { text } of answers) {
      expect(text).toContain(created.hint);
      expect(text).not.toContain(key);
    }
  });

  it('allows everything where nothing else is said', async () => {
    const { models, endpoints, expires_at: expiresAt } = await create({ models: null });
    expect([models, endpoints, expiresAt]).toEqual([null, null, null]);
  });

  it('that is revoked ends at once, while its batches go on', async () => {
    const { id, key } = await create({ owner: 'team-revoked' });
    const colleague = service.connect((await create({ owner: 'team-revoked' })).key);
    const client = service.connect(key);
    const batch = await service.submit([line('a')], {}, client);
    expect((await revoke(id)).json).toEqual({ object: 'api_key', id, deleted: true });
    await expectDead(key);
    expect((await service.end(batch.id, colleague)).status).toBe('completed');
    const { json } = await service.call(`${PATH}/${id}`);
    expect(keyObject.parse(json).revoked_at).toEqual(expect.any(Number));
  });

  it('that was revoked may be revoked again, but not rotated', async () => {
    const { id } = await create();
    await revoke(id);
    expect((await revoke(id)).status).toBe(200);
    const rotated = await service.post(`${PATH}/${id}/rotate`);
    expect(errorOf(rotated)).toEqual(refusal(409, 'Cannot rotate a key that is revoked.'));
    expect(rotated.headers.get('x-should-retry')).toBe('false');
  });

  it('that is rotated has another secret, and the old one ends at once', async () => {
    const { id, key: old } = await create();
    const { json, headers } = await service.post(`${PATH}/${id}/rotate`);
    const { key } = secretKeyObject.parse(json);
    expect(headers.get('cache-control')).toBe('no-store');
    await service.connect(key).files.list();
    await expectDead(old);
  });

  it('that is rotated may keep the old secret for a while; a third one ends it', async () => {
    const { id, key: first } = await create();
    const rotate = async () =>
      secretKeyObject.parse((await service.post(`${PATH}/${id}/rotate`, { keep_old_key_seconds: 60 })).json)
        .key;
    const second = await rotate();
    for (const key of [first, second]) await service.connect(key).files.list();
    const third = await rotate();
    for (const key of [second, third]) await service.connect(key).files.list();
    await expectDead(first);
  });

  it('that expires is dead from then on', async () => {
    // The next second may have begun before the service looks at it.
    const { id, key } = await create({ expires_at: now() + 2 });
    await expect
      .poll(
        async () => (await service.call('/v1/files', { headers: { authorization: `Bearer ${key}` } })).status,
      )
      .toBe(401);
    await expectDead(key);
    expect(errorOf(await service.post(`${PATH}/${id}/rotate`))).toEqual(
      refusal(409, 'Cannot rotate a key that is expired.'),
    );
  });

  it('tells when it was used last', async () => {
    const { id, key } = await create();
    await service.connect(key).files.list();
    await expect
      .poll(async () => keyObject.parse((await service.call(`${PATH}/${id}`)).json).last_used_at)
      .toEqual(expect.any(Number));
  });
});

describe('the list of keys', () => {
  it('is a whole envelope in pages, newest first, of one owner where asked', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 3; i++) ids.unshift((await create({ owner: 'team-listed' })).id);
    await create({ owner: 'team-other' });
    const page = async (query: string) => {
      const { json } = await service.call(`${PATH}?owner=team-listed&${query}`);
      const { data, ...rest } = listOf(keyObject).parse(json);
      return { ids: data.map((key) => (key as { id: string }).id), ...rest };
    };
    expect(await page('limit=2')).toMatchObject({ ids: ids.slice(0, 2), last_id: ids[1], has_more: true });
    expect(await page(`limit=2&after=${ids[1]}`)).toMatchObject({ ids: ids.slice(2), has_more: false });
  });

  it.each<[string, Refusal]>([
    ...limitRefusals(100),
    [`after=${UNKNOWN}`, refusal(404, `No API key found with id '${UNKNOWN}'.`)],
  ])('refuses %s', async (query, expected) => {
    expect(errorOf(await service.call(`${PATH}?${query}`))).toEqual(expected);
  });
});

describe('a call of the administration', () => {
  const CALLS = [
    ['POST', PATH],
    ['GET', PATH],
    ['GET', `${PATH}/${UNKNOWN}`],
    ['DELETE', `${PATH}/${UNKNOWN}`],
    ['POST', `${PATH}/${UNKNOWN}/rotate`],
  ] as const;
  const ofOne = CALLS.filter(([, path]) => path !== PATH);

  it.each(CALLS)('is refused to whoever is no administrator: %s %s', async (method, path) => {
    const client = service.connect((await create()).key);
    const lower = { POST: 'post', GET: 'get', DELETE: 'delete' } as const;
    const error = await thrownBy(client.request({ method: lower[method], path: path.slice('/v1'.length) }));
    expect(error).toBeInstanceOf(OpenAI.PermissionDeniedError);
    expect(error).toMatchObject({ status: 403, type: 'invalid_request_error', param: null, code: null });
  });

  it.each(ofOne)('on an unknown key is answered 404: %s %s', async (method, path) => {
    expect(errorOf(await service.call(path, { method }))).toEqual(
      refusal(404, `No API key found with id '${UNKNOWN}'.`),
    );
  });

  it.each(ofOne)('with the secret in place of the id does not repeat it: %s %s', async (method, path) => {
    const { key } = await create();
    const answer = await service.call(path.replace(UNKNOWN, key), { method });
    expect(errorOf(answer)).toEqual(
      refusal(400, "Invalid 'key_id'. Expected an ID that begins with 'key_'.", 'key_id', 'invalid_value'),
    );
    expect(answer.text).not.toContain(key);
  });

  const list = (param: string, got: number) =>
    refusal(
      400,
      `Invalid '${param}': expected an array of 1 to 100 items, but got ${got}. Leave it out to allow all.`,
      param,
      'invalid_value',
    );
  const badOwner = refusal(
    400,
    "Invalid 'owner': expected 1 to 64 characters of A-Z, a-z, 0-9, '_', '.' and '-'.",
    'owner',
    'invalid_value',
  );
  it.each<[string, object, Refusal]>([
    ['no name', { name: undefined }, missing('name')],
    ['no owner', { owner: undefined }, missing('owner')],
    ['a name that is a number', { name: 1 }, wrongType('name', 'a string', 'an integer')],
    [
      'an empty name',
      { name: '' },
      refusal(
        400,
        "Invalid 'name': empty string. Expected a string with minimum length 1, but got an empty string instead.",
        'name',
        'invalid_value',
      ),
    ],
    ['an owner with a blank', { owner: 'team a' }, badOwner],
    ['an owner of 65 characters', { owner: 'x'.repeat(65) }, badOwner],
    [
      'an expiry as a string',
      { expires_at: '2000000000' },
      wrongType('expires_at', 'an integer', 'a string'),
    ],
    ['an expiry in milliseconds', { expires_at: 2e12 }, aboveMaximum('expires_at', 253_402_300_799, 2e12)],
    ['one model in place of a list', { models: 'm' }, wrongType('models', 'an array', 'a string')],
    ['no model', { models: [] }, list('models', 0)],
    ['101 models', { models: Array.from({ length: 101 }, () => 'm') }, list('models', 101)],
    ['a model that is a number', { models: [1] }, wrongType('models.0', 'a string', 'an integer')],
    [
      'an unknown endpoint',
      { endpoints: ['/v1/responses'] },
      invalidValue(
        'endpoints.0',
        '/v1/responses',
        "'/v1/chat/completions', '/v1/embeddings', and '/v1/messages'",
      ),
    ],
  ])('with a fault is refused: %s', async (_fault, fields, expected) => {
    expect(errorOf(await service.post(PATH, { ...BODY, ...fields }))).toEqual(expected);
  });

  it('with an expiry in the past is refused', async () => {
    expect(errorOf(await service.post(PATH, { ...BODY, expires_at: 1 }))).toMatchObject({
      status: 400,
      param: 'expires_at',
      code: 'integer_below_min_value',
    });
  });

  it.each<[unknown, Refusal]>([
    ['60', wrongType('keep_old_key_seconds', 'an integer', 'a string')],
    [-1, belowMinimum('keep_old_key_seconds', 0, -1)],
    [86_401, aboveMaximum('keep_old_key_seconds', 86_400, 86_401)],
  ])('that keeps the old secret for %j seconds is refused', async (seconds, expected) => {
    const { id } = await create();
    const body = { keep_old_key_seconds: seconds };
    expect(errorOf(await service.post(`${PATH}/${id}/rotate`, body))).toEqual(expected);
  });
});

describe('a key that allows little', () => {
  it('is refused batches for other endpoints, by the class of the SDK', async () => {
    const client = service.connect((await create({ endpoints: ['/v1/embeddings'] })).key);
    const error = await thrownBy(client.batches.create(BATCH));
    expect(error).toBeInstanceOf(OpenAI.PermissionDeniedError);
    expect(error).toMatchObject({
      status: 403,
      type: 'invalid_request_error',
      param: 'endpoint',
      message: expect.stringContaining("'/v1/embeddings'"),
    });
    expect((await client.batches.create({ ...BATCH, endpoint: '/v1/embeddings' })).status).toBe('validating');
  });

  it('has batches with other models fail, with each of their lines', async () => {
    const client = service.connect((await create({ owner: 'team-models', models: ['small'] })).key);
    const lines = ['m', 'small'].map((model) => line(model, { body: { model } }));
    const { id } = await service.submit(lines, {}, client);
    const { errors } = await service.end(id, client);
    expect(errors?.data).toMatchObject([{ code: 'model_not_found', line: 1, param: 'body.model' }]);
  });
});
