import { describe, expect, it } from 'vitest';
import { API_KEY, createTestApp, errorOf, refusal } from '../helpers/http-app.ts';

const WRONG_KEY = 'sk-wrong-99887766554433';

function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

async function get(apiKeys: readonly string[], authorization?: string, url = '/v1/files') {
  const { app } = createTestApp({ apiKeys });
  return await app.inject({ url, headers: authorization === undefined ? {} : { authorization } });
}

describe('authentication', () => {
  it.each([undefined, '', 'Bearer', 'Bearer   ', 'Basic', 'Basic Og==', 'Token abc', API_KEY])(
    'asks for a key where the header is %j',
    async (authorization) => {
      const response = await get([API_KEY], authorization);
      expect(errorOf(response)).toEqual(
        refusal(401, { message: 'Missing bearer or basic authentication in header' }),
      );
      expect(response.headers['www-authenticate']).toBe('Bearer');
    },
  );

  it('refuses a wrong key and shows it masked', async () => {
    const response = await get([API_KEY], `Bearer ${WRONG_KEY}`);
    expect(errorOf(response)).toEqual(
      refusal(401, {
        message: 'Incorrect API key provided: sk-****************4433.',
        code: 'invalid_api_key',
      }),
    );
    expect(response.headers['www-authenticate']).toBe('Bearer');
    expect(response.body).not.toContain(WRONG_KEY);
  });

  it.each([
    ['x', '*'],
    ['fifteen-letters', '*'.repeat(15)],
    ['sixteen--letters', 'six*********ters'],
  ])('masks %s as %s', async (key, masked) => {
    const response = await get([API_KEY], `Bearer ${key}`);
    expect(errorOf(response)).toEqual(
      refusal(401, {
        message: `Incorrect API key provided: ${masked}.`,
        code: 'invalid_api_key',
      }),
    );
  });

  it('answers a very long key with a short message', async () => {
    const response = await get([API_KEY], `Bearer ${'k'.repeat(8000)}`);
    expect(errorOf(response)).toEqual(
      refusal(401, {
        message: `Incorrect API key provided: kkk${'*'.repeat(24)}kkkk.`,
        code: 'invalid_api_key',
      }),
    );
  });

  it.each([
    `Bearer ${API_KEY}`,
    `bearer ${API_KEY}`,
    `BEARER   ${API_KEY}`,
    basic(API_KEY, ''),
    basic('anyone', API_KEY),
    `Basic ${Buffer.from(API_KEY).toString('base64')}`,
  ])('accepts %s', async (authorization) => {
    expect((await get([API_KEY], authorization)).statusCode).toBe(200);
  });

  it.each([
    `Bearer ${API_KEY}x`,
    `Bearer ${API_KEY.slice(0, -1)}`,
    `Bearer ${API_KEY.toUpperCase()}`,
    basic('a', 'b'),
  ])('refuses %s', async (authorization) => {
    expect((await get([API_KEY], authorization)).statusCode).toBe(401);
  });

  it('accepts each of several keys, also ones beyond ASCII', async () => {
    const keys = ['first-key', 'schlüssel-🎉', 'third-key'];
    for (const key of keys) {
      // Header bytes travel as Latin-1 characters.
      const sent = Buffer.from(key).toString('latin1');
      expect((await get(keys, `Bearer ${sent}`)).statusCode).toBe(200);
    }
  });

  it('accepts everybody where no keys are set', async () => {
    expect((await get([])).statusCode).toBe(200);
    expect((await get([], `Bearer ${WRONG_KEY}`)).statusCode).toBe(200);
  });

  it('tells nobody without a key which routes exist', async () => {
    for (const url of ['/v1/foo', '/', '/health/foo', '/v1/batches/batch_1']) {
      expect((await get([API_KEY], undefined, url)).statusCode).toBe(401);
    }
  });

  it('comes before the body is looked at', async () => {
    const { app } = createTestApp();
    const headers = { 'content-type': 'application/json' };
    const response = await app.inject({ method: 'POST', url: '/v1/batches', headers, payload: '{ not json' });
    expect(response.statusCode).toBe(401);
  });
});
