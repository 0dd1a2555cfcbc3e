import type { InjectOptions } from 'fastify';
import { describe, expect, it } from 'vitest';
import { NO_LIMITS } from '../../src/engine/owners/owner.ts';
import { API_KEY, createTestApp, errorOf, refusal, uploadFile } from '../helpers/http-app.ts';
import type { TestApp } from '../helpers/http-app.ts';
import { createdBatch } from './batch-calls.ts';
import { createdKey, withKey } from './key-calls.ts';
import { aboveMaximum, belowMinimum, wrongType } from './refusals.ts';

const NONE = {
  requests_per_minute: null,
  max_stored_bytes: null,
  max_queued_lines: null,
  max_live_batches: null,
};

const badName = (param: string) =>
  refusal(400, {
    message: `Invalid '${param}': expected 1 to 64 characters of A-Z, a-z, 0-9, '_', '.' and '-'.`,
    param,
    code: 'invalid_value',
  });

async function change(testApp: TestApp, name: string, payload: object) {
  return await testApp.call({ method: 'POST', url: `/v1/admin/owners/${name}`, payload });
}

describe('GET /v1/admin/owners/{name}', () => {
  it('answers an owner of whom nothing is known, with the limits of the settings', async () => {
    const settings = { ownerLimits: { ...NO_LIMITS, maxStoredBytes: 1000 } };
    const { call } = createTestApp({ settings });
    const response = await call({ url: '/v1/admin/owners/team-a' });
    expect(response.statusCode).toBe(200);
    expect(Object.entries(response.json<object>())).toEqual([
      ['object', 'owner'],
      ['id', 'team-a'],
      ['weight', 1],
      ...Object.entries(NONE),
      ['limits', { ...NONE, max_stored_bytes: 1000 }],
      ['usage', { stored_bytes: 0, queued_lines: 0, live_batches: 0 }],
    ]);
  });

  it('tells what the owner uses; that of API_KEYS is default', async () => {
    const testApp = createTestApp();
    const team = withKey(testApp, (await createdKey(testApp)).key);
    await uploadFile(team, { content: '{"custom_id":"a"}\n' });
    await createdBatch(team);
    await createdBatch(testApp);
    const usage = async (name: string) =>
      (await testApp.call({ url: `/v1/admin/owners/${name}` })).json<{ usage: unknown }>().usage;
    expect(await usage('team-a')).toEqual({ stored_bytes: 18, queued_lines: 0, live_batches: 1 });
    expect(await usage('default')).toEqual({ stored_bytes: 0, queued_lines: 0, live_batches: 1 });
  });

  it('refuses what is no name', async () => {
    const { call } = createTestApp();
    for (const name of ['a%20b', 'a'.repeat(65), '%C3%A4']) {
      expect(errorOf(await call({ url: `/v1/admin/owners/${name}` }))).toEqual(badName('owner'));
    }
  });
});

describe('POST /v1/admin/owners/{name}', () => {
  it('sets what is given, and leaves the rest', async () => {
    const settings = { ownerLimits: { ...NO_LIMITS, maxLiveBatches: 3 } };
    const testApp = createTestApp({ settings });
    const given = {
      weight: 5,
      requests_per_minute: 60,
      max_stored_bytes: 0,
      max_queued_lines: 9_007_199_254_740_991,
      max_live_batches: 7,
    };
    const response = await change(testApp, 'team-a', given);
    expect(response.statusCode).toBe(200);
    const { weight, ...limits } = given;
    const expected = { object: 'owner', id: 'team-a', ...given, limits };
    expect(response.json()).toMatchObject(expected);
    expect((await change(testApp, 'team-a', {})).json()).toMatchObject(expected);
    expect((await testApp.call({ method: 'POST', url: '/v1/admin/owners/team-a' })).json()).toMatchObject(
      expected,
    );
    const less = { requests_per_minute: null, max_live_batches: null };
    expect((await change(testApp, 'team-a', less)).json()).toMatchObject({
      ...given,
      ...less,
      weight,
      limits: { ...limits, requests_per_minute: null, max_live_batches: 3 },
    });
    expect((await testApp.call({ url: '/v1/admin/owners/team-a' })).json()).toMatchObject({
      ...given,
      ...less,
    });
  });

  it.each<[object, object]>([
    [{ weight: 0 }, belowMinimum('weight', 1, 0)],
    [{ weight: 1001 }, aboveMaximum('weight', 1000, 1001)],
    [{ weight: null }, wrongType('weight', 'an integer', 'null')],
    [{ weight: '5' }, wrongType('weight', 'an integer', 'a string')],
    [{ requests_per_minute: 0 }, belowMinimum('requests_per_minute', 1, 0)],
    [{ requests_per_minute: 1e7 }, aboveMaximum('requests_per_minute', 1_000_000, 1e7)],
    [{ max_stored_bytes: -1 }, belowMinimum('max_stored_bytes', 0, -1)],
    [{ max_stored_bytes: 0.5 }, wrongType('max_stored_bytes', 'an integer', 'a number')],
    [{ max_queued_lines: -5 }, belowMinimum('max_queued_lines', 0, -5)],
    [{ max_live_batches: -1 }, belowMinimum('max_live_batches', 0, -1)],
    [{ max_live_batches: [] }, wrongType('max_live_batches', 'an integer', 'an array')],
  ])('refuses %j, and sets nothing of it', async (fields, error) => {
    const testApp = createTestApp();
    const response = await change(testApp, 'team-a', { max_stored_bytes: 5, ...fields });
    expect(errorOf(response)).toEqual(refusal(400, error as { message: string }));
    expect((await testApp.call({ url: '/v1/admin/owners/team-a' })).json()).toMatchObject({
      weight: 1,
      ...NONE,
    });
  });

  it('refuses what is no name, and what is no JSON', async () => {
    const testApp = createTestApp();
    expect(errorOf(await change(testApp, 'a%20b', { weight: 2 }))).toEqual(badName('owner'));
    const headers = { 'content-type': 'application/json' };
    const url = '/v1/admin/owners/team-a';
    const response = await testApp.call({ method: 'POST', url, headers, payload: '{' });
    expect(response.statusCode).toBe(400);
  });
});

describe('GET /v1/admin/owners', () => {
  it('lists owners by name: those that were set, that have keys or something stored', async () => {
    const testApp = createTestApp();
    await uploadFile(testApp);
    await createdKey(testApp, { owner: 'c' });
    await change(testApp, 'a', { weight: 4 });
    const list = async (query: string) => (await testApp.call({ url: `/v1/admin/owners${query}` })).json();
    const envelope = (names: readonly string[], more: boolean) => ({
      object: 'list',
      data: names.map((id) => expect.objectContaining({ object: 'owner', id, limits: NONE })),
      first_id: names[0] ?? null,
      last_id: names.at(-1) ?? null,
      has_more: more,
    });
    expect(await list('')).toEqual(envelope(['a', 'c', 'default'], false));
    expect(await list('?limit=2')).toEqual(envelope(['a', 'c'], true));
    expect(await list('?limit=2&after=c')).toEqual(envelope(['default'], false));
    expect(await list('?after=default')).toEqual(envelope([], false));
  });

  it.each<[string, object]>([
    ['?limit=0', refusal(400, belowMinimum('limit', 1, 0))],
    ['?limit=101', refusal(400, aboveMaximum('limit', 100, 101))],
    ['?limit=x', refusal(400, wrongType('limit', 'an integer', 'a string'))],
    ['?after=a%20b', badName('after')],
  ])('refuses %s', async (query, error) => {
    const { call } = createTestApp();
    expect(errorOf(await call({ url: `/v1/admin/owners${query}` }))).toEqual(error);
  });
});

describe('/v1/admin/owners', () => {
  const ROUTES: readonly InjectOptions[] = [
    { method: 'GET', url: '/v1/admin/owners' },
    { method: 'GET', url: '/v1/admin/owners/team-a' },
    { method: 'POST', url: '/v1/admin/owners/team-a', payload: { weight: 1000 } },
  ];
  it.each(ROUTES)('is for the keys of API_KEYS: %j', async (route) => {
    const testApp = createTestApp();
    const { key } = await createdKey(testApp);
    const message = 'Your API key may not use /v1/admin: only those of the setting API_KEYS may.';
    expect(errorOf(await withKey(testApp, key).call(route))).toEqual(refusal(403, { message }));
    expect((await testApp.app.inject(route)).statusCode).toBe(401);
    const open = createTestApp({ apiKeys: [] });
    const headers = { authorization: `Bearer ${API_KEY}` };
    expect((await open.app.inject({ ...route, headers })).statusCode).toBe(403);
    expect(await testApp.engine.owners.get('team-a')).toMatchObject({ owner: { weight: 1 } });
  });
});
