import { describe, expect, it } from 'vitest';
import { API_KEY, createTestApp } from '../../helpers/http-app.ts';
import { aRequest, BATCHES, callMessages, messageErrorOf, messageRefusal, VERSION } from './calls.ts';

describe('who may use the Messages API', () => {
  it.each([
    ['a key', { 'x-api-key': API_KEY }],
    ['a bearer', { authorization: `Bearer ${API_KEY}` }],
    ['a key beside another bearer', { 'x-api-key': API_KEY, authorization: 'Bearer other' }],
    ['a bearer beside an empty key', { 'x-api-key': '', authorization: `Bearer ${API_KEY}` }],
  ])('whoever sends %s', async (_what, headers) => {
    const response = await createTestApp().app.inject({ url: BATCHES, headers: { ...headers, ...VERSION } });
    expect(response.statusCode).toBe(200);
  });

  it.each([
    ['no key', {}, 'x-api-key header is required'],
    ['an empty one', { 'x-api-key': '' }, 'x-api-key header is required'],
    ['a wrong one', { 'x-api-key': 'sk-wrong' }, 'invalid x-api-key'],
    ['a wrong bearer', { authorization: 'Bearer sk-wrong' }, 'invalid x-api-key'],
  ])('not who sends %s', async (_what, headers, message) => {
    const testApp = createTestApp();
    for (const url of [BATCHES, `${BATCHES}/x`, '/v1/messages', '/v1/messages/nonsense']) {
      const response = await testApp.app.inject({ url, headers: { ...headers, ...VERSION } });
      expect(messageErrorOf(response)).toEqual(messageRefusal(401, 'authentication_error', message));
    }
    expect(testApp.logLines.join('')).not.toContain('sk-wrong');
  });

  it('x-api-key opens nothing of the other API', async () => {
    for (const url of ['/v1/batches', '/v1/messagesx', '/v1/files']) {
      const response = await createTestApp().app.inject({ url, headers: { 'x-api-key': API_KEY } });
      expect(response.statusCode).toBe(401);
      expect(response.json()).toMatchObject({ error: { param: null } });
    }
  });

  it('anybody, where no key is set', async () => {
    const response = await createTestApp({ apiKeys: [] }).app.inject({ url: BATCHES, headers: VERSION });
    expect(response.statusCode).toBe(200);
  });

  it('but not pages of other sites then', async () => {
    const headers = { ...VERSION, origin: 'https://evil.example.com' };
    const response = await createTestApp({ apiKeys: [] }).app.inject({ url: BATCHES, headers });
    expect(messageErrorOf(response)).toMatchObject({
      status: 403,
      body: { error: { type: 'permission_error' } },
    });
  });
});

describe('anthropic-version', () => {
  it.each(['2023-06-01', '2026-10-21'])('%s is spoken', async (version) => {
    const response = await callMessages(createTestApp(), {
      url: BATCHES,
      headers: { 'anthropic-version': version },
    });
    expect(response.statusCode).toBe(200);
  });

  it.each(['2023-01-01', '2026-10-22', 'latest'])('%s is refused', async (version) => {
    const response = await callMessages(createTestApp(), {
      method: 'POST',
      url: BATCHES,
      headers: { 'anthropic-version': version },
      payload: { requests: [aRequest('a')] },
    });
    expect(messageErrorOf(response)).toEqual(
      messageRefusal(
        400,
        'invalid_request_error',
        'anthropic-version: Input should be one of 2023-06-01, 2026-10-21',
      ),
    );
  });

  it('is needed', async () => {
    for (const method of ['GET', 'POST'] as const) {
      const headers = { 'x-api-key': API_KEY };
      const response = await createTestApp().app.inject({ method, url: BATCHES, headers });
      expect(messageErrorOf(response)).toEqual(
        messageRefusal(400, 'invalid_request_error', 'anthropic-version: header is required'),
      );
    }
  });
});

describe('what the Messages API does not have', () => {
  it.each([
    ['POST', '/v1/messages'],
    ['GET', '/v1/messages/nonsense'],
    ['PUT', BATCHES],
    ['POST', `${BATCHES}/x/nonsense`],
  ] as const)('%s %s is told in its envelope', async (method, url) => {
    const response = await callMessages(createTestApp(), { method, url });
    expect(messageErrorOf(response)).toEqual(
      messageRefusal(404, 'not_found_error', `Invalid URL (${method} ${url})`),
    );
  });

  it('a failure of ours tells nothing of itself', async () => {
    const testApp = createTestApp({ store: () => ({ getBatch: () => Promise.reject(new Error('secret')) }) });
    const response = await callMessages(testApp, { url: `${BATCHES}/msgbatch_${'0'.repeat(32)}` });
    expect(messageErrorOf(response)).toMatchObject({ status: 500, body: { error: { type: 'api_error' } } });
    expect(response.body).not.toContain('secret');
  });
});
