import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  startRawServer,
  startUpstreamServer,
  testCertificate,
  unusedPort,
} from '../helpers/upstream-server.ts';
import { closeAfterTest } from '../helpers/close-after-test.ts';
import type { ReceivedRequest } from '../helpers/upstream-server.ts';
import { openUpstream, send, textOf } from './upstream-calls.ts';

async function serveRaw(onRequest: (request: ReceivedRequest, socket: Socket) => unknown) {
  return closeAfterTest(await startRawServer(onRequest));
}

describe('an upstream that cannot be reached', () => {
  it('is one that refuses the connection', async () => {
    const origin = `http://127.0.0.1:${await unusedPort()}`;
    expect(await send(openUpstream(`${origin}/v1`)).outcome).toEqual({
      kind: 'unreachable',
      message: `cannot connect to ${origin}: ECONNREFUSED`,
    });
  });

  it('is reached again by the next call when it is back', async () => {
    const port = await unusedPort();
    const upstream = openUpstream(`http://127.0.0.1:${port}/v1`);
    expect(await send(upstream).outcome).toMatchObject({ kind: 'unreachable' });
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.on('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nup'));
    });
    closeAfterTest({ close: async () => void server.close() });
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    expect(await textOf(send(upstream))).toBe('up');
  });

  it('is one that does not speak TLS where it should', async () => {
    const server = await serveRaw(() => {});
    const upstream = openUpstream(`https://127.0.0.1:${server.port}/v1`);
    const call = send(upstream);
    await vi.waitFor(() => expect(server.connections).toHaveLength(1));
    server.connections[0]?.end('not TLS at all');
    expect(await call.outcome).toMatchObject({ kind: 'unreachable' });
  });

  it('is one whose certificate is not trusted, which then gets nothing of the request', async () => {
    const server = closeAfterTest(await startUpstreamServer(() => ({}), { tls: testCertificate }));
    expect(await send(openUpstream(server.baseUrl)).outcome).toEqual({
      kind: 'unreachable',
      message: `cannot connect to ${server.origin}: DEPTH_ZERO_SELF_SIGNED_CERT`,
    });
    expect(server.requests).toHaveLength(0);
  });

  it('is one that takes too long to connect', async () => {
    // It accepts, but never shakes hands.
    const server = await serveRaw(() => {});
    const upstream = openUpstream(`https://127.0.0.1:${server.port}/v1`, { connectTimeoutMs: 5000 });
    const call = send(upstream);
    await vi.waitFor(() => expect(server.openConnections).toBe(1));
    upstream.clock.advance(4999);
    expect(call.told).toHaveLength(0);
    upstream.clock.advance(1);
    expect(await call.outcome).toEqual({
      kind: 'unreachable',
      message: `cannot connect to https://127.0.0.1:${server.port}: no connection within 5000 ms`,
    });
    await vi.waitFor(() => expect(server.openConnections).toBe(0));
  });

  it('is one that is not connected when the time for the request is over', async () => {
    const server = await serveRaw(() => {});
    const upstream = openUpstream(`https://127.0.0.1:${server.port}/v1`, { requestTimeoutMs: 2000 });
    const call = send(upstream);
    await vi.waitFor(() => expect(server.openConnections).toBe(1));
    upstream.clock.advance(2000);
    expect(await call.outcome).toMatchObject({ kind: 'unreachable' });
    await vi.waitFor(() => expect(server.openConnections).toBe(0));
  });
});

describe('an upstream over TLS', () => {
  const defaultCertificates = getCACertificates('default');
  afterEach(() => setDefaultCACertificates(defaultCertificates));

  it('is reached, and its connection kept, where its certificate is trusted', async () => {
    setDefaultCACertificates([testCertificate.cert]);
    const server = closeAfterTest(
      await startUpstreamServer(() => ({ body: 'hi' }), { tls: testCertificate }),
    );
    const upstream = openUpstream(server.baseUrl);
    expect(await textOf(send(upstream))).toBe('hi');
    expect(await textOf(send(upstream))).toBe('hi');
    expect(server.connections).toHaveLength(1);
  });

  it('is told which of its names is meant', async () => {
    setDefaultCACertificates([testCertificate.cert]);
    const server = closeAfterTest(
      await startUpstreamServer(() => ({ body: 'hi' }), { tls: testCertificate }),
    );
    expect(await textOf(send(openUpstream(`https://localhost:${server.port}/v1`)))).toBe('hi');
    expect((server.connections[0] as TLSSocket).servername).toBe('localhost');
  });
});

describe('a call that takes too long', () => {
  const timeout = {
    kind: 'failed',
    code: 'request_timeout',
    message: 'The upstream gave no complete answer within 2000 ms.',
  };

  it.each([
    ['there is no answer', ''],
    ['there are only headers', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n'],
    ['the body stops half way', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345'],
  ])('fails and loses its connection where %s', async (_where, answer) => {
    const server = await serveRaw((_request, socket) => socket.write(answer));
    const upstream = openUpstream(server.baseUrl, { requestTimeoutMs: 2000 });
    const call = send(upstream);
    await vi.waitFor(() => expect(server.requests).toHaveLength(1));
    upstream.clock.advance(1999);
    await new Promise((resolve) => setImmediate(resolve));
    expect(call.told).toHaveLength(0);
    upstream.clock.advance(1);
    expect(await call.outcome).toEqual(timeout);
    await vi.waitFor(() => expect(server.openConnections).toBe(0));
  });

  it('fails alone: those sent later have their own time', async () => {
    const server = await serveRaw(() => {});
    const upstream = openUpstream(server.baseUrl, { requestTimeoutMs: 2000 });
    const first = send(upstream);
    await vi.waitFor(() => expect(server.requests).toHaveLength(1));
    upstream.clock.advance(1500);
    const second = send(upstream);
    await vi.waitFor(() => expect(server.requests).toHaveLength(2));
    upstream.clock.advance(500);
    expect(await first.outcome).toEqual(timeout);
    upstream.clock.advance(1499);
    await new Promise((resolve) => setImmediate(resolve));
    expect(second.told).toHaveLength(0);
    upstream.clock.advance(1);
    expect(await second.outcome).toEqual(timeout);
  });
});

describe('a call whose answer is not a whole one', () => {
  const lost = 'The connection to the upstream was lost before its answer was complete (UND_ERR_SOCKET).';
  const wrongLength = "The length of the upstream's answer is not what its content-length says.";
  const notHttp = "The upstream's answer is not valid HTTP.";
  const unasked = 'The upstream sent more than one answer, or more bytes than its content-length says.';

  it.each([
    ['ends before the answer', '', lost],
    ['ends within the headers', 'HTTP/1.1 200 OK\r\ncontent-le', lost],
    ['ends after the headers', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n', lost],
    ['ends within the body', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345', lost],
    [
      'ends within the body, as announced',
      'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 10\r\n\r\n12345',
      wrongLength,
    ],
    ['ends within a chunk', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n123', lost],
    [
      'ends before the last chunk, as announced',
      'HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n',
      notHttp,
    ],
    ['brings more than the content-length', 'HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n12345', unasked],
    ['brings no HTTP', '{"error":"not HTTP"}', notHttp],
    ['brings a wrong chunk size', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n', notHttp],
    [
      'brings two lengths',
      'HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 5\r\n\r\n12345',
      wrongLength,
    ],
    [
      'brings too many headers',
      `HTTP/1.1 200 OK\r\n${`x-filler: ${'x'.repeat(1000)}\r\n`.repeat(20)}\r\n`,
      "The headers of the upstream's answer are too large.",
    ],
  ])('fails where the connection %s', async (_how, answer, message) => {
    const server = await serveRaw((_request, socket) => socket.end(answer));
    const call = send(openUpstream(server.baseUrl));
    expect(await call.outcome).toEqual({ kind: 'failed', code: 'request_failed', message });
    await vi.waitFor(() => expect(server.openConnections).toBe(0));
    expect(call.told).toHaveLength(1);
  });

  it.each([
    ['before the answer', ''],
    ['within a body of known length', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345'],
    ['within a body that ends with the connection', 'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n12345'],
  ])('fails where the connection is reset %s', async (_when, answer) => {
    const server = await serveRaw((_request, socket) =>
      socket.write(answer, () => setImmediate(() => socket.resetAndDestroy())),
    );
    expect(await send(openUpstream(server.baseUrl)).outcome).toEqual({
      kind: 'failed',
      code: 'request_failed',
      message: 'The connection to the upstream was lost before its answer was complete (ECONNRESET).',
    });
  });

  it('fails without telling the key, the body or the address', async () => {
    const server = await serveRaw((_request, socket) => socket.end('sk-test HTTP private'));
    const outcome = await send(openUpstream(server.baseUrl), { body: Buffer.from('private') }).outcome;
    expect(JSON.stringify(outcome)).not.toMatch(/sk-test|private|127\.0\.0\.1/);
  });
});
