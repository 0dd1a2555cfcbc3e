import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../helpers/fake-clock.ts';
import {
  createTestApp,
  expectNothingLeft,
  fileParts,
  FORM_TYPE,
  formBytes,
  refusal,
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
/** More than the kernel takes for a server that does not read. */
const BODY = formBytes(fileParts({ content: randomBytes(16 * MIB) }));

describe('uploads over a socket', () => {
  it('may come byte by byte', async () => {
    const testApp = createTestApp();
    const client = await startChunkedUpload(testApp);
    for (const byte of FORM) await client.send(chunk(Buffer.from([byte])));
    await client.send('0\r\n\r\n');
    await expect.poll(() => client.received()).toContain('"object":"file"');
    expect(client.received()).toMatch(/^HTTP\/1\.1 200 /);
    expect(testApp.open.writers).toBe(0);
  });

  it('leave nothing behind where the client goes away in the middle', async () => {
    const testApp = createTestApp();
    const client = await startChunkedUpload(testApp);
    await client.send(chunk(FORM.subarray(0, FORM.length - 20)));
    await expect.poll(() => testApp.open.writers).toBe(1);
    client.socket.destroy();
    await expectNothingLeft(testApp);
    await expect.poll(() => requestLines(testApp)).toMatchObject([{ method: 'POST', aborted: true }]);
    expect(testApp.logLines.filter((line) => line.includes('"level":50'))).toEqual([]);
  });

  it('leave nothing behind where the declared length does not come', async () => {
    const testApp = createTestApp();
    const client = await openRawClient(await listen(testApp.app));
    const headers = { 'content-type': FORM_TYPE, 'content-length': String(FORM.length) };
    await client.send(requestHead('POST /v1/files', headers));
    await client.send(FORM.subarray(0, FORM.length - 20));
    await expect.poll(() => testApp.open.writers).toBe(1);
    client.socket.end();
    await client.closed;
    await expectNothingLeft(testApp);
  });

  it('are refused where the last boundary is missing', async () => {
    const testApp = createTestApp();
    const client = await startChunkedUpload(testApp);
    await client.send(chunk(FORM.subarray(0, FORM.length - 20)));
    await client.send('0\r\n\r\n');
    await expect.poll(() => client.received()).toContain('}}');
    const malformed = { message: 'The form is malformed or ended too early.' };
    expect(rawErrorOf(client)).toEqual(refusal(400, malformed));
    await expectNothingLeft(testApp);
  });

  it('are given up where nothing more comes', async () => {
    const testApp = createTestApp();
    const sockets: Socket[] = [];
    testApp.app.server.on('connection', (socket: Socket) => sockets.push(socket));
    const client = await startChunkedUpload(testApp);
    await client.send(chunk(FORM.subarray(0, FORM.length - 20)));
    await expect.poll(() => testApp.open.writers).toBe(1);
    expect(testApp.app.server.timeout).toBe(120_000);
    expect(testApp.app.server.requestTimeout).toBe(3_600_000);
    for (const socket of sockets) socket.setTimeout(1);
    await client.closed;
    await expectNothingLeft(testApp);
  });
});

describe('an answer before the end of the body', () => {
  it.each<[string, Readonly<Record<string, string>>, (bytes: Buffer) => Buffer, string]>([
    ['chunked', { 'transfer-encoding': 'chunked' }, chunk, '0\r\n\r\n'],
    ['of a declared length', { 'content-length': String(BODY.length) }, (bytes) => bytes, ''],
  ])('reaches a client that first sends everything, %s', async (_kind, framing, frame, end) => {
    const testApp = createTestApp({ settings: { maxFileBytes: 64 * 1024 } });
    const client = await openRawClient(await listen(testApp.app));
    client.socket.pause();
    await client.send(requestHead('POST /v1/files', { 'content-type': FORM_TYPE, ...framing }));
    for (let at = 0; at < BODY.length; at += 64 * 1024) {
      expect(await client.send(frame(BODY.subarray(at, at + 64 * 1024)))).toBe(true);
    }
    expect(await client.send(end)).toBe(true);
    client.socket.resume();
    await client.closed;
    const tooLarge = { message: expect.stringContaining('limit of 65536 bytes') as string, param: 'file' };
    expect(rawErrorOf(client)).toEqual(refusal(413, tooLarge));
    expect(client.received()).toMatch(/^connection: close\r?$/im);
    await expectNothingLeft(testApp);
  });

  it('comes at once, and the connection closes when the client has had its time', async () => {
    const clock = createFakeClock();
    const testApp = createTestApp({ clock, settings: { maxFileBytes: 1000 } });
    const client = await openRawClient(await listen(testApp.app));
    const headers = { 'content-type': FORM_TYPE, 'content-length': String(100 * MIB) };
    await client.send(requestHead('POST /v1/files', headers));
    await expect.poll(() => client.received()).toContain('}}');
    expect(rawErrorOf(client)).toMatchObject({ status: 413 });
    expect(await client.send(Buffer.alloc(MIB))).toBe(true);
    await expect.poll(() => clock.timers).toBe(1);
    expect(client.socket.readyState).toBe('open');
    clock.advance(10_000);
    await client.closed;
  });

  it('leaves no timer behind where the client goes away', async () => {
    const clock = createFakeClock();
    const testApp = createTestApp({ clock, settings: { maxFileBytes: 1000 } });
    const client = await openRawClient(await listen(testApp.app));
    const headers = { 'content-type': FORM_TYPE, 'content-length': String(100 * MIB) };
    await client.send(requestHead('POST /v1/files', headers));
    await expect.poll(() => clock.timers).toBe(1);
    client.socket.destroy();
    await expect.poll(() => clock.timers).toBe(0);
  });

  it.each([
    ['POST /v1/files', 401],
    ['POST /v1/batches', 401],
    ['POST /v1/foo', 401],
    ['POST /v1/%zz', 404],
  ])('to %s is given without a key too', async (line, status) => {
    const testApp = createTestApp();
    const client = await openRawClient(await listen(testApp.app));
    const headers = { authorization: '', 'content-type': FORM_TYPE, 'content-length': String(MIB) };
    await client.send(requestHead(line, headers));
    await expect.poll(() => client.received()).toContain('}}');
    expect(client.received()).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    await client.send(Buffer.alloc(MIB));
    expect(testApp.open.writers).toBe(0);
  });

  it('keeps the connection where the body was read', async () => {
    const testApp = createTestApp();
    const client = await openRawClient(await listen(testApp.app));
    const headers = { 'content-type': 'application/json', 'content-length': '2' };
    await client.send(requestHead('POST /v1/batches', headers) + '{}');
    await expect.poll(() => client.received()).toContain('input_file_id');
    await client.send(requestHead('GET /v1/files'));
    await expect.poll(() => client.received()).toContain('"has_more":false');
    expect(client.received().match(/HTTP\/1\.1 (400|200)/g)).toHaveLength(2);
  });
});
