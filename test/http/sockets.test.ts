import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createFakeClock } from '../helpers/fake-clock.ts';
import {
  createTestApp,
  expectNothingLeft,
  fileParts,
  formBytes,
  refusal,
  uploadFile,
} from '../helpers/http-app.ts';
import {
  chunk,
  listen,
  openRawClient,
  rawErrorOf,
  requestHead,
  requestLines,
  startChunkedUpload,
} from './raw-client.ts';

const MIB = 1024 * 1024;
const FORM = formBytes(fileParts());
const NOT_HTTP = 'The request is not valid HTTP.';

describe('requests that are not HTTP', () => {
  it.each([
    ['a bad method', 'FOO /v1/files HTTP/1.1\r\nhost: x\r\n\r\n', 400, NOT_HTTP],
    ['noise', '\u0016\u0003\u0001\r\n\r\n', 400, NOT_HTTP],
    [
      'two lengths',
      requestHead('POST /v1/files', { 'content-length': '1\r\ncontent-length: 2' }),
      400,
      NOT_HTTP,
    ],
    ['a bad length', requestHead('POST /v1/files', { 'content-length': '-1' }), 400, NOT_HTTP],
    ['no host', 'GET /v1/files HTTP/1.1\r\n\r\n', 400, 'The request has no Host header.'],
    ['HTTP/0.9', 'GET /v1/files\r\n\r\n', 400, 'This service speaks HTTP/1.1 and HTTP/1.0.'],
    ['HTTP/2.0', 'GET /v1/files HTTP/2.0\r\n\r\n', 400, 'This service speaks HTTP/1.1 and HTTP/1.0.'],
    [
      'an unknown expectation',
      requestHead('GET /v1/files', { expect: 'a miracle' }),
      417,
      'The only expectation that is supported is 100-continue.',
    ],
    [
      'a request to a proxy',
      requestHead('CONNECT example.test:443'),
      405,
      'This service is no proxy: CONNECT is not supported.',
    ],
    [
      'a whole URL, of which only the path is looked at',
      requestHead('GET http://example.test/v1/foo', { connection: 'close' }),
      404,
      'Invalid URL (GET /v1/foo)',
    ],
    [
      'a whole URL without a path',
      requestHead('GET http://example.test?a', { connection: 'close' }),
      404,
      'Invalid URL (GET /)',
    ],
    [
      'a fragment, which is no part of the path',
      requestHead('GET /v1/foo#bar', { connection: 'close' }),
      404,
      'Invalid URL (GET /v1/foo)',
    ],
    [
      'huge headers',
      requestHead('GET /v1/files', { x: 'y'.repeat(100_000) }),
      431,
      'The headers of the request are too large.',
    ],
  ])('are answered in the envelope: %s', async (_case, bytes, status, message) => {
    const testApp = createTestApp();
    const client = await openRawClient(await listen(testApp.app));
    await client.send(bytes);
    await client.closed;
    expect(rawErrorOf(client)).toEqual(refusal(status, { message }));
  });

  it('end an upload whose chunks are malformed', async () => {
    const testApp = createTestApp();
    const client = await startChunkedUpload(testApp);
    await client.send(chunk(FORM.subarray(0, FORM.length - 20)));
    await expect.poll(() => testApp.open.writers).toBe(1);
    await client.send('not a chunk\r\n');
    await client.closed;
    expect(rawErrorOf(client)).toEqual(refusal(400, { message: NOT_HTTP }));
    await expectNothingLeft(testApp);
  });

  it('behind a request do not take the place of its answer', async () => {
    const testApp = createTestApp();
    const client = await openRawClient(await listen(testApp.app));
    await client.send(`${requestHead('GET /v1/files')}garbage\r\n\r\n`);
    await client.closed;
    expect(client.received().match(/^HTTP\/1\.1 \d+/gm)).toEqual(['HTTP/1.1 200']);
  });

  it('never mix with an answer that is under way', async () => {
    const testApp = createTestApp();
    const content = Buffer.alloc(16 * MIB, 'a');
    const id = await uploadFile(testApp, { content, purpose: 'user_data' });
    const client = await openRawClient(await listen(testApp.app));
    client.socket.pause();
    await client.send(requestHead(`GET /v1/files/${id}/content`));
    await expect.poll(() => testApp.open.reads).toBe(1);
    await client.send('garbage\r\n\r\n');
    await expect.poll(() => testApp.open.reads).toBe(0);
    client.socket.resume();
    await client.closed;
    expect(client.received()).not.toContain('not valid HTTP');
  });
});

describe('a refusal of what is not HTTP', () => {
  it('reaches a client that first sends everything', async () => {
    const testApp = createTestApp();
    const client = await openRawClient(await listen(testApp.app));
    client.socket.pause();
    await client.send('GET /v1/files HTTP/1.1\r\nhost: x\r\nx: ');
    for (let i = 0; i < 256; i++) expect(await client.send(Buffer.alloc(64 * 1024, 'x'))).toBe(true);
    client.socket.resume();
    await client.closed;
    const message = 'The headers of the request are too large.';
    expect(rawErrorOf(client)).toEqual(refusal(431, { message }));
  });

  it('is not waited for without end', async () => {
    const clock = createFakeClock();
    const { app } = createTestApp({ clock });
    const { server } = app;
    const client = await openRawClient(await listen(app), { allowHalfOpen: true });
    await client.send('garbage\r\n\r\n');
    await expect.poll(() => client.received()).toContain('}}');
    const connections = (): Promise<number> => promisify(server.getConnections.bind(server))();
    expect(await connections()).toBe(1);
    clock.advance(10_000);
    await expect.poll(connections).toBe(0);
  });
});

describe('slow clients', () => {
  const limits = { headMs: 100, requestMs: 1000, idleMs: 200, checkMs: 20 };
  const CUT_HEAD = 'GET /v1/files HTTP/1.1\r\nhost: x\r\nx-sl';
  const BODY_HEADERS = { 'content-type': 'application/json', 'content-length': '1000' };

  it('have the usual limits', () => {
    const { server } = createTestApp().app;
    const { headersTimeout, requestTimeout, timeout } = server;
    expect([headersTimeout, requestTimeout, timeout]).toEqual([30_000, 3_600_000, 120_000]);
  });

  it.each([
    ['says nothing', '', true],
    ['sends half a head', CUT_HEAD, true],
    ['sends half a head after a request', requestHead('GET /v1/files') + CUT_HEAD, true],
    ['sends half a body', requestHead('POST /v1/batches', BODY_HEADERS) + '{', false],
  ])('are given up: one that %s', async (_case, bytes, isTold) => {
    const testApp = createTestApp({ limits });
    const client = await openRawClient(await listen(testApp.app));
    await client.send(bytes);
    await client.closed;
    expect(client.received().includes('HTTP/1.1 408 ')).toBe(isTold);
  });

  it('are given up though they send something now and then', async () => {
    const testApp = createTestApp({ limits });
    const client = await openRawClient(await listen(testApp.app));
    await client.send(requestHead('POST /v1/batches', BODY_HEADERS));
    while (client.socket.readyState === 'open' && (await client.send(' '))) {
      await Promise.race([client.closed, sleep(50)]);
    }
    await client.closed;
    expect(client.received()).toContain('HTTP/1.1 408 ');
  });

  it('are given up where they read nothing of a download', async () => {
    const testApp = createTestApp({ limits });
    const id = await uploadFile(testApp, { content: Buffer.alloc(16 * MIB), purpose: 'user_data' });
    const client = await openRawClient(await listen(testApp.app));
    client.socket.pause();
    await client.send(requestHead(`GET /v1/files/${id}/content`));
    await expect.poll(() => testApp.open.reads).toBe(1);
    await expect.poll(() => testApp.open.reads).toBe(0);
    client.socket.resume();
    await client.closed;
    expect(client.received().length).toBeLessThan(16 * MIB);
  });

  it('are served as long as something moves', async () => {
    const testApp = createTestApp({ limits: { ...limits, requestMs: 60_000 } });
    const client = await startChunkedUpload(testApp);
    for (let at = 0; at < FORM.length; at += 20) {
      await client.send(chunk(FORM.subarray(at, at + 20)));
      await sleep(50);
    }
    await client.send('0\r\n\r\n');
    await expect.poll(() => client.received()).toContain('"object":"file"');
  });
});

describe('while the service stops', () => {
  it('refuses new requests but tells that it is alive', async () => {
    const { app } = createTestApp();
    const [begun, mayEnd] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    onTestFinished(() => mayEnd.resolve());
    app.addHook('preClose', async () => {
      begun.resolve();
      await mayEnd.promise;
    });
    const port = await listen(app);
    const [first, second] = [await openRawClient(port), await openRawClient(port)];
    const closed = app.close();
    await begun.promise;
    await first.send(requestHead('GET /v1/files'));
    await first.closed;
    expect(first.received()).toMatch(/^HTTP\/1\.1 503 [^]*The service is stopping[^]*"server_error"/);
    expect(first.received()).toMatch(/^retry-after: 5\r?$/m);
    await second.send(requestHead('GET /health/live'));
    await expect.poll(() => second.received()).toMatch(/^HTTP\/1\.1 200 /);
    mayEnd.resolve();
    second.socket.end();
    await closed;
  });
});

describe('the close of the service', () => {
  /** An app whose lists wait until they are let go. */
  async function slowApp() {
    const [asked, mayEnd] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    onTestFinished(() => mayEnd.resolve());
    const { app } = createTestApp({
      store: (store) => ({
        async listFiles(query) {
          asked.resolve();
          await mayEnd.promise;
          return await store.listFiles(query);
        },
      }),
    });
    const client = await openRawClient(await listen(app));
    await client.send(requestHead('GET /v1/files'));
    await asked.promise;
    return { app, client, letGo: () => mayEnd.resolve() };
  }

  it('ends kept-alive connections when their responses have gone out', async () => {
    const { app, client, letGo } = await slowApp();
    const closed = app.close();
    await expect.poll(() => app.server.listening).toBe(false);
    letGo();
    await client.closed;
    expect(client.received()).toMatch(/^HTTP\/1\.1 200 /);
    await closed;
  });

  it('waits for what still runs after its client left', async () => {
    const { app, client, letGo } = await slowApp();
    client.socket.destroy();
    await client.closed;
    let isClosed = false;
    const closed = app.close().then(() => (isClosed = true));
    await expect.poll(() => app.server.listening).toBe(false);
    await new Promise((resolve) => setImmediate(resolve));
    expect(isClosed).toBe(false);
    letGo();
    await closed;
  });
});

describe('downloads over a socket', () => {
  it('end their read where the client goes away', async () => {
    const testApp = createTestApp();
    const id = await uploadFile(testApp, { content: Buffer.alloc(16 * MIB), purpose: 'user_data' });
    const client = await openRawClient(await listen(testApp.app));
    client.socket.pause();
    await client.send(requestHead(`GET /v1/files/${id}/content`));
    await expect.poll(() => testApp.open.reads).toBe(1);
    client.socket.destroy();
    await expect.poll(() => testApp.open.reads).toBe(0);
    await expect
      .poll(() => requestLines(testApp).filter((line) => line['method'] === 'GET'))
      .toMatchObject([{ status: 200, aborted: true }]);
  });

  it('read no further ahead than a slow client takes', async () => {
    let read = 0;
    const testApp = createTestApp({
      blobs: () => ({
        async *read() {
          for (let i = 0; i < 64; i++) {
            read += MIB;
            yield Buffer.alloc(MIB);
          }
        },
      }),
    });
    const id = await uploadFile(testApp, { content: Buffer.alloc(64 * MIB), purpose: 'user_data' });
    const client = await openRawClient(await listen(testApp.app));
    client.socket.pause();
    await client.send(requestHead(`GET /v1/files/${id}/content`));
    await expect.poll(() => read).toBeGreaterThan(MIB);
    expect(read).toBeLessThan(32 * MIB);
    client.socket.resume();
    await expect.poll(() => client.received().length, { timeout: 10_000 }).toBeGreaterThan(64 * MIB);
    expect(testApp.open.reads).toBe(0);
  });

  it('break off, and are logged, where the bytes cannot be read to the end', async () => {
    const testApp = createTestApp({
      blobs: () => ({
        async *read() {
          yield Buffer.alloc(10);
          throw new Error('bad sector');
        },
      }),
    });
    const id = await uploadFile(testApp, { content: Buffer.alloc(100), purpose: 'user_data' });
    const client = await openRawClient(await listen(testApp.app));
    await client.send(requestHead(`GET /v1/files/${id}/content`));
    await client.closed;
    expect(client.received()).toMatch(/^HTTP\/1\.1 200 /);
    expect(client.received().split('\r\n\r\n')[1]).toHaveLength(10);
    expect(testApp.logLines.find((line) => line.includes('bad sector'))).toContain('the answer broke off');
  });
});
