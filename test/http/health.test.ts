import { describe, expect, it } from 'vitest';
import { createTestApp } from '../helpers/http-app.ts';

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
});
