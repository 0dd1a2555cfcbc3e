import { describe, expect, it } from 'vitest';
import { NO_LIMITS } from '../../src/engine/owners/owner.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import { createTestApp, errorOf, refusal, uploadFile } from '../helpers/http-app.ts';
import type { TestApp, TestAppOptions } from '../helpers/http-app.ts';
import { createdKey, withKey } from './key-calls.ts';

/** Of each owner, as the setting has it. */
const ofOwners = (requestsPerMinute: number) => ({ ownerLimits: { ...NO_LIMITS, requestsPerMinute } });

function limitedApp(requestsPerMinute: number, options: TestAppOptions = {}) {
  const clock = createFakeClock();
  return { clock, testApp: createTestApp({ clock, settings: ofOwners(requestsPerMinute), ...options }) };
}

const list = (testApp: TestApp) => testApp.call({ url: '/v1/files' });
const statusOf = async (testApp: TestApp) => (await list(testApp)).statusCode;

const VERSION = { 'anthropic-version': '2023-06-01' };

/** The headers that tell the limit. */
function limitHeaders(headers: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => /ratelimit|retry-after|should-retry/.test(name)),
  );
}

function tooMany(whose: string, max: number, seconds: number): object {
  return refusal(429, {
    message: `Rate limit reached for ${whose}: ${max} requests a minute (requests_per_minute). Try again in ${seconds} s.`,
    type: 'rate_limit_error',
    code: 'rate_limit_exceeded',
  });
}

describe('requests a minute', () => {
  it('are not limited, nor told of, unless that is set', async () => {
    const testApp = createTestApp();
    const response = await list(testApp);
    expect(response.statusCode).toBe(200);
    expect(limitHeaders(response.headers)).toEqual({});
  });

  it('are told on each answer, and refused beyond the limit until the minute is over', async () => {
    const { clock, testApp } = limitedApp(2);
    const first = await list(testApp);
    expect(limitHeaders(first.headers)).toEqual({
      'x-ratelimit-limit-requests': '2',
      'x-ratelimit-remaining-requests': '1',
      'x-ratelimit-reset-requests': '1m0s',
    });
    clock.advance(30_500);
    const unknown = await testApp.call({ url: '/v1/nothing' });
    expect(unknown.statusCode).toBe(404);
    expect(limitHeaders(unknown.headers)).toEqual({
      'x-ratelimit-limit-requests': '2',
      'x-ratelimit-remaining-requests': '0',
      'x-ratelimit-reset-requests': '30s',
    });
    const refused = await list(testApp);
    expect(errorOf(refused)).toEqual(tooMany("the owner 'default'", 2, 30));
    expect(limitHeaders(refused.headers)).toEqual({
      'x-ratelimit-limit-requests': '2',
      'x-ratelimit-remaining-requests': '0',
      'x-ratelimit-reset-requests': '30s',
      'retry-after': '30',
    });
    clock.advance(29_499);
    expect((await list(testApp)).headers['retry-after']).toBe('1');
    clock.advance(1);
    expect(await statusOf(testApp)).toBe(200);
  });

  it('are refused before a body is read', async () => {
    const { testApp } = limitedApp(1);
    await list(testApp);
    const headers = { 'content-type': 'application/json' };
    const response = await testApp.call({ method: 'POST', url: '/v1/batches', headers, payload: '{' });
    expect(response.statusCode).toBe(429);
  });

  it('are each owner’s own', async () => {
    const { testApp } = limitedApp(1);
    const teams = [
      withKey(testApp, (await createdKey(testApp, { owner: 'a' })).key),
      withKey(testApp, (await createdKey(testApp, { owner: 'b' })).key),
    ];
    const another = withKey(testApp, (await createdKey(testApp, { owner: 'a' })).key);
    for (const team of teams) expect(await statusOf(team)).toBe(200);
    for (const team of [...teams, another]) expect(await statusOf(team)).toBe(429);
  });

  it('are not counted of a wrong key, of /v1/admin and of what needs no key', async () => {
    const { testApp } = limitedApp(1);
    const urls = ['/v1/admin/keys', '/v1/%61dmin/owners', '/health/live', '/openapi.json', '/docs/'];
    for (const url of [...urls, ...urls]) {
      const response = await testApp.call({ url });
      expect(response.statusCode).toBe(200);
      expect(limitHeaders(response.headers)).toEqual({});
    }
    const wrong = await testApp.call({ url: '/v1/files', headers: { authorization: 'Bearer wrong' } });
    expect(wrong.statusCode).toBe(401);
    expect(limitHeaders(wrong.headers)).toEqual({});
    expect(await statusOf(testApp)).toBe(200);
    expect(await statusOf(testApp)).toBe(429);
    expect((await testApp.call({ url: '/v1/admin/keys' })).statusCode).toBe(200);
  });

  it('are those that an administrator sets, from the next request on', async () => {
    const { testApp } = limitedApp(1);
    const change = async (requests_per_minute: number | null) => {
      await testApp.call({
        method: 'POST',
        url: '/v1/admin/owners/default',
        payload: { requests_per_minute },
      });
    };
    const results = async (times: number) => {
      const statuses: number[] = [];
      for (let i = 0; i < times; i++) statuses.push(await statusOf(testApp));
      return statuses;
    };
    expect(await results(4)).toEqual([200, 429, 429, 429]);
    await change(3);
    expect(await results(3)).toEqual([200, 200, 429]);
    await change(2);
    expect(await results(1)).toEqual([429]);
    await change(null);
    expect(await results(1)).toEqual([429]);
  });

  it('of a key must be kept as well, and the nearer limit is told', async () => {
    const { testApp } = limitedApp(3);
    const keys = [await createdKey(testApp, { requests_per_minute: 1 }), await createdKey(testApp)] as const;
    const [slow, fast] = [withKey(testApp, keys[0].key), withKey(testApp, keys[1].key)];
    const remaining = async (app: TestApp) => {
      const { statusCode, headers } = await list(app);
      return [statusCode, headers['x-ratelimit-limit-requests'], headers['x-ratelimit-remaining-requests']];
    };
    expect(await remaining(slow)).toEqual([200, '1', '0']);
    // Refused for the key, hence not counted for the owner.
    for (let i = 0; i < 3; i++) expect(await remaining(slow)).toEqual([429, '1', '0']);
    expect(errorOf(await list(slow))).toEqual(tooMany('this API key', 1, 60));
    expect(await remaining(fast)).toEqual([200, '3', '1']);
    expect(await remaining(fast)).toEqual([200, '3', '0']);
    expect(await remaining(fast)).toEqual([429, '3', '0']);
    expect(errorOf(await list(fast))).toEqual(tooMany("the owner 'team-a'", 3, 60));
  });

  it('of the owner hold where a key sends the last one that its own limit allows', async () => {
    const { testApp } = limitedApp(1);
    const keys = [await createdKey(testApp, { requests_per_minute: 1 }), await createdKey(testApp)] as const;
    expect(await statusOf(withKey(testApp, keys[1].key))).toBe(200);
    const refused = await list(withKey(testApp, keys[0].key));
    expect(errorOf(refused)).toEqual(tooMany("the owner 'team-a'", 1, 60));
  });

  it('ask the database for an owner once in some seconds', async () => {
    let reads = 0;
    const { testApp } = limitedApp(100, {
      store: (store) => ({
        async getOwner(name) {
          reads++;
          return await store.getOwner(name);
        },
      }),
    });
    for (let i = 0; i < 20; i++) await list(testApp);
    expect(reads).toBe(1);
  });

  it('are told on streams of bytes as on other answers', async () => {
    const { testApp } = limitedApp(10);
    const id = await uploadFile(testApp);
    const { headers } = await testApp.call({ url: `/v1/files/${id}/content` });
    expect(headers['content-type']).toBe('application/octet-stream');
    expect(headers['x-ratelimit-remaining-requests']).toBe('8');
  });

  it('fail as storage does where the limit cannot be read', async () => {
    const broken = () => Promise.reject(Object.assign(new Error('x'), { code: 'EIO' }));
    const testApp = createTestApp({ store: () => ({ getOwner: broken }) });
    expect(await statusOf(testApp)).toBe(503);
  });
});

describe('requests a minute of the Messages API', () => {
  it('are told in its own headers and its own envelope', async () => {
    const clock = createFakeClock(Date.UTC(2026, 0, 1));
    const testApp = createTestApp({ clock, settings: ofOwners(1) });
    const call = () => testApp.call({ url: '/v1/messages/batches', headers: VERSION });
    clock.advance(400);
    const expected = {
      'anthropic-ratelimit-requests-limit': '1',
      'anthropic-ratelimit-requests-remaining': '0',
      'anthropic-ratelimit-requests-reset': '2026-01-01T00:01:01Z',
    };
    const first = await call();
    expect(first.statusCode).toBe(200);
    expect(limitHeaders(first.headers)).toEqual(expected);
    const refused = await call();
    expect(refused.statusCode).toBe(429);
    expect(limitHeaders(refused.headers)).toEqual({ ...expected, 'retry-after': '60' });
    expect(refused.json()).toEqual({
      type: 'error',
      error: {
        type: 'rate_limit_error',
        message:
          "Rate limit reached for the owner 'default': 1 requests a minute (requests_per_minute). Try again in 60 s.",
      },
      request_id: refused.headers['request-id'],
    });
    // One minute for both APIs.
    expect(await statusOf(testApp)).toBe(429);
  });
});
