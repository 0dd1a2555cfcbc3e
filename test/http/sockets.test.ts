import { describe, expect, it, onTestFinished } from 'vitest';
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
