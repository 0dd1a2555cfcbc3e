import { describe, expect, it } from 'vitest';
import { pino } from 'pino';
import { buildApp } from '../../src/http/app.ts';
import {
  API_KEY,
  createTestApp,
  errorOf,
  refusal,
  uploadFile,
  uploadOf,
  fileParts,
} from '../helpers/http-app.ts';
import type { TestApp } from '../helpers/http-app.ts';
import { createTestEngine } from '../helpers/test-engine.ts';
import { requestLines } from './raw-client.ts';

const COMMON = {
  'x-request-id': expect.stringMatching(/^req_[0-9a-f]{32}$/),
  'openai-processing-ms': expect.stringMatching(/^\d+$/),
  'openai-version': '2020-10-01',
  'x-content-type-options': 'nosniff',
};

describe('every answer', () => {
  it.each([
    ['GET', '/v1/files', 200],
    ['HEAD', '/v1/files', 200],
    ['GET', '/v1/files/file-x', 404],
    ['POST', '/v1/batches', 400],
    ['GET', '/v1/foo', 404],
    ['GET', '/v1/%zz', 404],
    ['GET', '/health/live', 200],
  ] as const)('to %s %s carries the common headers', async (method, url, status) => {
    const { call } = createTestApp();
    const response = await call({ method, url });
    expect(response.statusCode).toBe(status);
    expect(response.headers).toMatchObject({ ...COMMON, 'content-type': 'application/json' });
  });

  it('carries them without a key and of a download too', async () => {
    const testApp = createTestApp();
    expect((await testApp.app.inject('/v1/files')).headers).toMatchObject(COMMON);
    const url = `/v1/files/${await uploadFile(testApp)}/content`;
    expect((await testApp.call({ url })).headers).toMatchObject(COMMON);
  });

  it('has a request id of its own', async () => {
    const { call } = createTestApp();
    const ids = new Set<unknown>();
    for (let i = 0; i < 3; i++) {
      const response = await call({ url: '/v1/files', headers: { 'x-request-id': 'req_mine' } });
      ids.add(response.headers['x-request-id']);
    }
    expect(ids.size).toBe(3);
    expect(ids).not.toContain('req_mine');
  });
});

describe('unknown routes', () => {
  it.each([
    ['GET', '/v1/foo'],
    ['GET', '/'],
    ['GET', '/v1/batches/batch_1/nothing'],
    ['POST', '/v1/files/file-1'],
    ['PUT', '/v1/batches'],
    ['PUT', '/v1/batches/batch_1'],
    ['OPTIONS', '/v1/files'],
    ['GET', '/v1/%zz'],
    ['GET', '/v1/files/%ff'],
    ['GET', '/V1/files'],
  ] as const)('answer %s %s as an invalid URL', async (method, path) => {
    const { call } = createTestApp();
    expect(errorOf(await call({ method, url: `${path}?secret=1` }))).toEqual(
      refusal(404, {
        message: `Invalid URL (${method} ${path})`,
      }),
    );
  });

  it('may be long', async () => {
    const path = `/${'x'.repeat(5000)}`;
    expect(errorOf(await createTestApp().call({ url: path }))).toEqual(
      refusal(404, { message: `Invalid URL (GET ${path})` }),
    );
  });

  it('are refused before their body is parsed', async () => {
    const { call } = createTestApp();
    const headers = { 'content-type': 'application/json' };
    const response = await call({ method: 'POST', url: '/v1/foo', headers, payload: '{ not json' });
    expect(errorOf(response)).toEqual(refusal(404, { message: 'Invalid URL (POST /v1/foo)' }));
  });
});

describe('the log', () => {
  const KEY = 'sk-canary-key-5566778899';
  const PROMPT = 'canary-prompt-112233';

  async function everyKindOfRequest(testApp: TestApp): Promise<void> {
    const { app } = testApp;
    const basic = Buffer.from(`user:${KEY}`).toString('base64');
    for (const authorization of [`Bearer ${KEY}`, `Bearer ${KEY}-wrong`, `Basic ${basic}`]) {
      const headers = { authorization, cookie: `token=${KEY}`, 'x-api-key': KEY };
      const content = `{"custom_id":"a","body":{"messages":"${PROMPT}"}}\n`;
      const upload = uploadOf(fileParts({ content }));
      const uploaded = await app.inject({ ...upload, headers: { ...upload.headers, ...headers } });
      const id = uploaded.statusCode === 200 ? uploaded.json<{ id: string }>().id : 'file-x';
      await app.inject({ url: `/v1/files/${id}/content`, headers });
      await app.inject({ url: `/v1/foo?key=${KEY}`, headers });
      await app.inject({ url: `/v1/%zz?key=${KEY}`, headers });
      for (const payload of [`{"metadata":{"p":"${PROMPT}"}}`, `{"p":"${PROMPT}"`]) {
        const json = { ...headers, 'content-type': 'application/json' };
        await app.inject({ method: 'POST', url: '/v1/batches', headers: json, payload });
      }
    }
  }

  it('holds no keys, prompts, queries or headers, at any level', async () => {
    const testApp = createTestApp({ apiKeys: [KEY] });
    await everyKindOfRequest(testApp);
    const log = testApp.logLines.join('');
    expect(testApp.logLines.length).toBeGreaterThan(10);
    for (const secret of ['canary', PROMPT, Buffer.from(`user:${KEY}`).toString('base64')]) {
      expect(log).not.toContain(secret);
    }
  });

  it('strikes out headers that a library logs', async () => {
    const { app, logLines } = createTestApp();
    app.log.info(
      { headers: { authorization: KEY }, req: { headers: { cookie: KEY } }, x: { authorization: KEY } },
      'x',
    );
    expect(logLines).toHaveLength(1);
    expect(logLines.join('')).not.toContain(KEY);
  });

  it('has one line a request, with its id, method, path, status and duration', async () => {
    const testApp = createTestApp();
    const response = await testApp.call({ url: '/v1/files/file-x?a=b' });
    const lines = testApp.logLines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.filter((line) => line['msg'] === 'request')).toEqual([
      {
        level: 30,
        time: expect.any(Number),
        requestId: response.headers['x-request-id'],
        method: 'GET',
        path: '/v1/files/file-x',
        status: 404,
        durationMs: expect.any(Number),
        msg: 'request',
      },
    ]);
  });

  it.each([
    ['/v1/admin/keys/sk-0123456789abcdef_-/rotate', '/v1/admin/keys/sk-…/rotate'],
    ['/v1/webhook_endpoints/whsec_0123456789abcdef+/0=', '/v1/webhook_endpoints/whsec_…'],
    ['/v1/webhook_endpoints/whsec_0123456789abcdef%2F0%3D', '/v1/webhook_endpoints/whsec_…'],
  ])('has no secret that somebody took for an id: %s', async (url, path) => {
    const testApp = createTestApp();
    await testApp.call({ url });
    expect(requestLines(testApp).map((line) => line['path'])).toEqual([path]);
  });

  it('takes probes for details', async () => {
    const testApp = createTestApp();
    await testApp.app.inject('/health/live');
    expect(testApp.logLines.map((line) => (JSON.parse(line) as { level: number }).level)).toEqual([20]);
  });

  it('can be silent', async () => {
    const app = buildApp({ engine: createTestEngine(), log: false, apiKeys: [API_KEY], isReady: () => true });
    expect((await app.inject('/health/ready')).statusCode).toBe(200);
    await app.close();
  });

  it('accepts a logger of any level', async () => {
    const log = pino({ level: 'silent' });
    const app = buildApp({ engine: createTestEngine(), log, apiKeys: [], isReady: () => true });
    expect((await app.inject('/v1/files')).statusCode).toBe(200);
    await app.close();
  });
});

describe('a web page of another site', () => {
  it('is refused where no keys are set, whatever its name resolves to', async () => {
    const { call } = createTestApp({ apiKeys: [] });
    const from = async (origin: string) =>
      await call({ method: 'POST', url: '/v1/batches/batch_x/cancel', headers: { origin } });
    for (const origin of ['https://evil.example', 'http://127.0.0.1.evil.example', 'null', 'file://']) {
      expect((await from(origin)).statusCode).toBe(403);
    }
    for (const origin of ['http://localhost:3000', 'http://127.0.0.1:8080', 'http://[::1]:1']) {
      expect((await from(origin)).statusCode).toBe(404);
    }
    expect((await call({ url: '/health/live', headers: { origin: 'https://a.example' } })).statusCode).toBe(
      200,
    );
  });

  it('needs the key where keys are set', async () => {
    const { call } = createTestApp();
    const response = await call({ url: '/v1/files', headers: { origin: 'https://a.example' } });
    expect(response.statusCode).toBe(200);
  });
});

describe('storage that fails', () => {
  it.each([
    ['SQLITE_FULL', 507],
    ['ENOSPC', 507],
    ['SQLITE_IOERR_FSYNC', 503],
    ['EIO', 503],
  ])('with %s is a %d, never a false success', async (code, status) => {
    const fails = () => Promise.reject(Object.assign(new Error('at /some/path'), { code }));
    const { call } = createTestApp({
      store: () => ({ createBatch: fails, cancelBatch: fails, insertFile: fails }),
    });
    const payload = { input_file_id: 'file-x', endpoint: '/v1/embeddings', completion_window: '24h' };
    const answers = [
      await call({ method: 'POST', url: '/v1/batches', payload }),
      await call({ method: 'POST', url: '/v1/batches/batch_x/cancel' }),
      await call(uploadOf(fileParts())),
    ];
    for (const answer of answers) {
      expect(answer.statusCode).toBe(status);
      expect(answer.body).not.toContain('/some/path');
    }
  });
});
