import type { InjectOptions } from 'fastify';
import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../helpers/fake-clock.ts';
import { API_KEY, createTestApp, errorOf, refusal } from '../helpers/http-app.ts';
import { createdKey, postKey, withKey } from './key-calls.ts';
import type { KeyObject } from './key-calls.ts';
import { aboveMaximum, belowMinimum, invalidValue, missing, wrongType } from './refusals.ts';

const UNKNOWN = `key_${'0'.repeat(32)}`;
const notFound = refusal(404, { message: `No API key found with id '${UNKNOWN}'.` });
const malformed = (param: string) =>
  refusal(400, {
    message: `Invalid '${param}'. Expected an ID that begins with 'key_'.`,
    param,
    code: 'invalid_value',
  });

const ROUTES: readonly (InjectOptions & { readonly url: string })[] = [
  { method: 'POST', url: '/v1/admin/keys', payload: { name: 'x', owner: 'x' } },
  { method: 'GET', url: '/v1/admin/keys' },
  { method: 'HEAD', url: '/v1/admin/keys' },
  { method: 'GET', url: `/v1/admin/keys/${UNKNOWN}` },
  { method: 'DELETE', url: `/v1/admin/keys/${UNKNOWN}` },
  { method: 'POST', url: `/v1/admin/keys/${UNKNOWN}/rotate` },
  { method: 'GET', url: '/v1/%61dmin/keys' },
];

describe('POST /v1/admin/keys', () => {
  it('answers the key with its secret, once', async () => {
    const clock = createFakeClock();
    const testApp = createTestApp({ clock });
    const now = Math.floor(clock.now() / 1000);
    const response = await postKey(testApp, {
      name: 'laptop',
      owner: 'team-a',
      expires_at: now + 60,
      models: ['small'],
      endpoints: ['/v1/embeddings'],
      requests_per_minute: 60,
    });
    expect(response.statusCode).toBe(200);
    expect(response.headers['cache-control']).toBe('no-store');
    const created = response.json<KeyObject>();
    expect(Object.entries(created)).toEqual([
      ['object', 'api_key'],
      ['id', expect.stringMatching(/^key_[0-9a-f]{32}$/)],
      ['name', 'laptop'],
      ['owner', 'team-a'],
      ['hint', `${created.key.slice(0, 6)}...${created.key.slice(-4)}`],
      ['created_at', now],
      ['expires_at', now + 60],
      ['revoked_at', null],
      ['last_used_at', null],
      ['models', ['small']],
      ['endpoints', ['/v1/embeddings']],
      ['requests_per_minute', 60],
      ['key', expect.stringMatching(/^sk-[\w-]{43}$/)],
    ]);
    const { key: _secret, ...told } = created;
    expect((await testApp.call({ url: `/v1/admin/keys/${created.id}` })).json()).toEqual(told);
    expect((await testApp.call({ url: '/v1/admin/keys' })).json()).toMatchObject({ data: [told] });
  });

  it.each<[object, object]>([
    [{ name: undefined }, missing('name')],
    [{ owner: undefined }, missing('owner')],
    [{ name: 5 }, wrongType('name', 'a string', 'an integer')],
    [{ owner: null }, wrongType('owner', 'a string', 'null')],
    [{ expires_at: 'tomorrow' }, wrongType('expires_at', 'an integer', 'a string')],
    [{ expires_at: 1.5 }, wrongType('expires_at', 'an integer', 'a number')],
    [{ models: 'm' }, wrongType('models', 'an array', 'a string')],
    [{ models: { 0: 'm' } }, wrongType('models', 'an array', 'an object')],
    [{ models: ['m', 7] }, wrongType('models.1', 'a string', 'an integer')],
    [{ endpoints: [null] }, wrongType('endpoints.0', 'a string', 'null')],
    [{ endpoints: ['/v1/x'] }, invalidValue('endpoints.0', '/v1/x', "'/v1/embeddings' and '/v1/messages'")],
    [{ expires_at: 253_402_300_800 }, aboveMaximum('expires_at', 253_402_300_799, 253_402_300_800)],
    [{ requests_per_minute: '60' }, wrongType('requests_per_minute', 'an integer', 'a string')],
    [{ requests_per_minute: 0 }, belowMinimum('requests_per_minute', 1, 0)],
    [{ requests_per_minute: 1_000_001 }, aboveMaximum('requests_per_minute', 1_000_000, 1_000_001)],
    [{ expires_at: 0 }, belowMinimum('expires_at', 1_767_225_601, 0)],
    [
      { owner: 'a b' },
      {
        message: "Invalid 'owner': expected 1 to 64 characters of A-Z, a-z, 0-9, '_', '.' and '-'.",
        param: 'owner',
        code: 'invalid_value',
      },
    ],
    [
      { name: '' },
      {
        message:
          "Invalid 'name': empty string. Expected a string with minimum length 1, but got an empty string instead.",
        param: 'name',
        code: 'invalid_value',
      },
    ],
    [
      { models: [] },
      {
        message:
          "Invalid 'models': expected an array of 1 to 100 items, but got 0. Leave it out to allow all.",
        param: 'models',
        code: 'invalid_value',
      },
    ],
  ])('refuses %j', async (fields, error) => {
    const testApp = createTestApp({
      settings: { endpoints: ['/v1/embeddings'] },
      clock: createFakeClock(Date.UTC(2026, 0, 1)),
    });
    const response = await postKey(testApp, { name: 'laptop', owner: 'team-a', ...fields });
    expect(errorOf(response)).toEqual(refusal(400, error as { message: string }));
    expect(await testApp.engine.keys.exist()).toBe(false);
  });

  it('names what is missing where there is no body, and refuses what is no JSON', async () => {
    const { call } = createTestApp();
    expect(errorOf(await call({ method: 'POST', url: '/v1/admin/keys' }))).toEqual(
      refusal(400, missing('name')),
    );
    const headers = { 'content-type': 'application/json' };
    const response = await call({ method: 'POST', url: '/v1/admin/keys', headers, payload: '{' });
    expect(response.statusCode).toBe(400);
  });
});

describe('GET /v1/admin/keys', () => {
  it('lists keys page by page, the newest first, of all owners or of one', async () => {
    const testApp = createTestApp();
    const ids: string[] = [];
    for (const owner of ['a', 'b', 'a']) ids.unshift((await createdKey(testApp, { owner })).id);
    const list = async (query: string) => (await testApp.call({ url: `/v1/admin/keys${query}` })).json();
    const envelope = (expected: readonly (string | undefined)[], more: boolean) => ({
      object: 'list',
      data: expected.map((id) => expect.objectContaining({ id, object: 'api_key' })),
      first_id: expected[0] ?? null,
      last_id: expected.at(-1) ?? null,
      has_more: more,
    });
    expect(await list('')).toEqual(envelope(ids, false));
    expect(await list('?limit=2')).toEqual(envelope(ids.slice(0, 2), true));
    expect(await list(`?limit=2&after=${ids[1]}`)).toEqual(envelope(ids.slice(2), false));
    expect(await list('?owner=a')).toEqual(envelope([ids[0], ids[2]], false));
    expect(await list('?owner=a%20b&after=')).toEqual(envelope([], false));
  });

  it('has pages of 20 keys unless told', async () => {
    const testApp = createTestApp();
    for (let i = 0; i < 21; i++) await createdKey(testApp);
    const page = (await testApp.call({ url: '/v1/admin/keys' })).json<{ data: []; has_more: boolean }>();
    expect([page.data.length, page.has_more]).toEqual([20, true]);
  });

  it.each([
    ['limit=101', refusal(400, aboveMaximum('limit', 100, 101))],
    ['limit=0', refusal(400, belowMinimum('limit', 1, 0))],
    ['limit=x', refusal(400, wrongType('limit', 'an integer', 'a string'))],
    [`after=${UNKNOWN}`, notFound],
    ['after=file-x', malformed('after')],
  ])('refuses %s', async (query, expected) => {
    expect(errorOf(await createTestApp().call({ url: `/v1/admin/keys?${query}` }))).toEqual(expected);
  });
});

describe('one key', () => {
  it.each(ROUTES.filter(({ url }) => url.includes(UNKNOWN)))(
    'that is unknown is answered so: %j',
    async (route) => {
      const { call } = createTestApp();
      expect(errorOf(await call(route))).toEqual(notFound);
      const url = route.url.replace(UNKNOWN, 'batch_1');
      expect(errorOf(await call({ ...route, url }))).toEqual(malformed('key_id'));
    },
  );

  it('is revoked at once, once, and stays for the record', async () => {
    const clock = createFakeClock();
    const testApp = createTestApp({ clock });
    const { id, key } = await createdKey(testApp);
    const url = `/v1/admin/keys/${id}`;
    const now = Math.floor(clock.now() / 1000);
    for (let times = 0; times < 2; times++) {
      const response = await testApp.call({ method: 'DELETE', url });
      expect(response.json()).toEqual({ object: 'api_key', id, deleted: true });
      expect((await withKey(testApp, key).call({ url: '/v1/files' })).statusCode).toBe(401);
      clock.advance(5000);
    }
    expect((await testApp.call({ url })).json()).toMatchObject({ id, revoked_at: now });
    expect((await testApp.call({ url: '/v1/admin/keys' })).json()).toMatchObject({ data: [{ id }] });
    expect(errorOf(await testApp.call({ method: 'POST', url: `${url}/rotate` }))).toEqual(
      refusal(409, { message: 'Cannot rotate a key that is revoked.' }),
    );
  });

  it('that is expired cannot be rotated', async () => {
    const clock = createFakeClock();
    const testApp = createTestApp({ clock });
    const { id } = await createdKey(testApp, { expires_at: Math.floor(clock.now() / 1000) + 1 });
    clock.advance(1000);
    const response = await testApp.call({ method: 'POST', url: `/v1/admin/keys/${id}/rotate` });
    expect(errorOf(response)).toEqual(refusal(409, { message: 'Cannot rotate a key that is expired.' }));
    expect(response.headers['x-should-retry']).toBe('false');
  });

  it('gets a new secret, and the old one ends at once or as told', async () => {
    const clock = createFakeClock();
    const testApp = createTestApp({ clock });
    const first = await createdKey(testApp);
    const rotate = async (payload?: object) => {
      const url = `/v1/admin/keys/${first.id}/rotate`;
      const response = await testApp.call({ method: 'POST', url, ...(payload && { payload }) });
      expect(response.statusCode).toBe(200);
      expect(response.headers['cache-control']).toBe('no-store');
      return response.json<KeyObject>();
    };
    const status = async (secret: string) =>
      (await withKey(testApp, secret).call({ url: '/v1/files' })).statusCode;

    const second = await rotate();
    expect(second).toEqual({ ...first, key: second.key, hint: second.hint });
    expect(second.hint).not.toBe(first.hint);
    expect([await status(first.key), await status(second.key)]).toEqual([401, 200]);
    const third = await rotate({ keep_old_key_seconds: 60 });
    expect([await status(second.key), await status(third.key)]).toEqual([200, 200]);
    clock.advance(60_000);
    expect([await status(second.key), await status(third.key)]).toEqual([401, 200]);
  });

  it.each([
    [{ keep_old_key_seconds: 86_401 }, aboveMaximum('keep_old_key_seconds', 86_400, 86_401)],
    [{ keep_old_key_seconds: -1 }, belowMinimum('keep_old_key_seconds', 0, -1)],
    [{ keep_old_key_seconds: '60' }, wrongType('keep_old_key_seconds', 'an integer', 'a string')],
  ])('is not rotated with %j', async (payload, error) => {
    const testApp = createTestApp();
    const { id, key } = await createdKey(testApp);
    const response = await testApp.call({ method: 'POST', url: `/v1/admin/keys/${id}/rotate`, payload });
    expect(errorOf(response)).toEqual(refusal(400, error));
    expect((await withKey(testApp, key).call({ url: '/v1/files' })).statusCode).toBe(200);
  });

  it('taken for its id is neither repeated nor logged', async () => {
    const testApp = createTestApp();
    const { key } = await createdKey(testApp);
    for (const url of [`/v1/admin/keys/${key}`, `/v1/files/${key}`, `/v1/%zz/${key}`, `/v1/${key}`]) {
      await testApp.call({ url });
    }
    const response = await testApp.call({ method: 'DELETE', url: `/v1/admin/keys/${key}` });
    expect(errorOf(response)).toEqual(malformed('key_id'));
    expect(testApp.logLines.join('')).not.toContain(key);
  });
});

describe('the administration', () => {
  it.each(ROUTES)('is for keys of API_KEYS only: %j', async (route) => {
    const testApp = createTestApp();
    const { key } = await createdKey(testApp, { owner: 'default' });
    const response = await withKey(testApp, key).call(route);
    expect(response.statusCode).toBe(403);
    if (route.method !== 'HEAD') {
      const message = 'Your API key may not use /v1/admin: only those of the setting API_KEYS may.';
      expect(errorOf(response)).toEqual(refusal(403, { message }));
    }
    expect((await testApp.app.inject(route)).statusCode).toBe(401);
  });

  it.each(ROUTES)('needs API_KEYS to be set: %j', async (route) => {
    const { app, engine } = createTestApp({ apiKeys: [] });
    const response = await app.inject({ ...route, headers: { authorization: `Bearer ${API_KEY}` } });
    expect(response.statusCode).toBe(403);
    if (route.method !== 'HEAD') {
      const message = 'API_KEYS must be set on this server to use /v1/admin: only its keys may.';
      expect(errorOf(response)).toEqual(refusal(403, { message }));
    }
    expect(await engine.keys.exist()).toBe(false);
  });

  it('refuses before a body is looked at', async () => {
    const { app } = createTestApp({ apiKeys: [] });
    const headers = { 'content-type': 'application/json' };
    const response = await app.inject({ method: 'POST', url: '/v1/admin/keys', headers, payload: '{' });
    expect(response.statusCode).toBe(403);
  });
});
