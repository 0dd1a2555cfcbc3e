import { describe, expect, it } from 'vitest';
import { pino } from 'pino';
import { buildHealthApp } from '../../src/http/app.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import { createTestApp, refusal, errorOf } from '../helpers/http-app.ts';
import { createTestEngine } from '../helpers/test-engine.ts';

describe('health', () => {
  it('is alive and ready without a key', async () => {
    const { app } = createTestApp();
    const live = await app.inject('/health/live');
    expect([live.statusCode, live.json<unknown>()]).toEqual([200, { status: 'ok' }]);
    const ready = await app.inject('/health/ready');
    expect([ready.statusCode, ready.json<unknown>()]).toEqual([200, { status: 'ready' }]);
  });

  it('is alive but not ready before the start and while stopping', async () => {
    const { app } = createTestApp({ isReady: async () => false });
    expect((await app.inject('/health/live')).statusCode).toBe(200);
    const ready = await app.inject('/health/ready');
    expect([ready.statusCode, ready.json<unknown>()]).toEqual([
      503,
      { status: 'unavailable', reason: 'the service is starting or stopping' },
    ]);
  });

  it('is not ready where the store cannot be read, and does not say why', async () => {
    const { app, logLines } = createTestApp({
      store: () => ({ ping: () => Promise.reject(new Error('disk I/O error at /var/lib/x')) }),
    });
    const ready = await app.inject('/health/ready');
    expect([ready.statusCode, ready.json<unknown>()]).toEqual([
      503,
      { status: 'unavailable', reason: 'the store cannot be read' },
    ]);
    expect(logLines.join('')).toContain('disk I/O error');
  });

  it('is not ready where the store does not answer, which is told in time, and asks it once', async () => {
    const clock = createFakeClock();
    let asked = 0;
    const ended = Promise.withResolvers<void>();
    const { app } = createTestApp({
      clock,
      store: () => ({
        ping: async () => {
          asked++;
          await ended.promise;
        },
      }),
    });
    const probes = [app.inject('/health/ready'), app.inject('/health/ready')].map(
      async (probe) => (await probe).statusCode,
    );
    await expect.poll(() => clock.timers).toBe(2);
    clock.advance(1500);
    expect(await Promise.all(probes)).toEqual([503, 503]);
    expect((await app.inject('/health/live')).statusCode).toBe(200);
    expect(asked).toBe(1);
    ended.resolve();
    await expect.poll(async () => (await app.inject('/health/ready')).statusCode).toBe(200);
  });
});

describe('a process without the API', () => {
  it('tells how it is, and knows nothing else, whoever asks', async () => {
    const engine = createTestEngine();
    const app = buildHealthApp({ engine, log: pino({ level: 'silent' }), isReady: () => true });
    expect((await app.inject('/health/live')).statusCode).toBe(200);
    expect((await app.inject('/health/ready')).json<unknown>()).toEqual({ status: 'ready' });
    for (const url of ['/v1/batches', '/v1/files', '/v1/admin/keys', '/docs', '/openapi.json', '/']) {
      const answer = await app.inject(url);
      expect(errorOf(answer)).toEqual(refusal(404, { message: `Invalid URL (GET ${url})` }));
    }
    await app.close();
  });
});
