import { getDefaultAutoSelectFamily, setDefaultAutoSelectFamily } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createWebhookSender } from '../../src/adapters/webhook/index.ts';
import { closeAfterTest } from '../helpers/close-after-test.ts';
import { startRawServer, startUpstreamServer, testCertificate } from '../helpers/upstream-server.ts';
import { openSender, send, serve, watchedSender } from './webhook-calls.ts';

describe('a webhook', () => {
  it('is posted as it is given', async () => {
    const server = await serve(() => ({}));
    await send(openSender(), `${server.origin}/hook/path?a=1&b=%20#fragment`, {
      headers: { 'content-type': 'application/json', 'webhook-id': 'evt_1', 'X-Signature-256': 'sha256=abc' },
      body: '{"text":"Grüezi 🎉"}',
    });
    expect(server.requests[0]?.raw.toString()).toBe(
      [
        'POST /hook/path?a=1&b=%20 HTTP/1.1',
        `host: 127.0.0.1:${server.port}`,
        'connection: close',
        'content-type: application/json',
        'webhook-id: evt_1',
        'X-Signature-256: sha256=abc',
        'content-length: 23',
        '',
        '{"text":"Grüezi 🎉"}',
      ].join('\r\n'),
    );
  });

  it('has a connection of its own, which is closed behind it', async () => {
    const server = await serve(() => ({}));
    const { sender, closed } = watchedSender();
    await send(sender, server.origin);
    expect(closed).toHaveLength(1);
    await send(sender, server.origin);
    expect(closed).toHaveLength(2);
  });

  it.each([
    [200, undefined],
    [204, undefined],
    [302, undefined],
    [410, undefined],
    [429, '120'],
    [503, 'Wed, 21 Oct 2026 07:28:00 GMT'],
  ])('is answered with %i and Retry-After %s', async (status, retryAfter) => {
    const headers = retryAfter === undefined ? {} : { 'Retry-After': retryAfter };
    const server = await serve(() => ({ status, headers, body: status === 204 ? '' : 'thank you' }));
    expect(await send(openSender(), server.origin)).toEqual({
      kind: 'answered',
      status,
      retryAfter: retryAfter ?? null,
      body: status === 204 ? '' : 'thank you',
    });
  });

  it('is not sent on where the answer is a redirect', async () => {
    const elsewhere = await serve(() => ({}));
    const server = await serve(() => ({ status: 307, headers: { location: elsewhere.origin } }));
    expect(await send(openSender(), server.origin, { trusted: true })).toMatchObject({ status: 307 });
    expect(elsewhere.connections).toHaveLength(0);
  });

  it('is answered by the status: the body is not read to an end that never comes', async () => {
    let isClosed = false;
    const server = closeAfterTest(
      await startRawServer((_request, socket) => {
        socket.once('close', () => (isClosed = true));
        socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
        const filler = `4000\r\n${'x'.repeat(0x4000)}\r\n`;
        const fill = (): void => {
          if (!isClosed) socket.write(filler, () => setImmediate(fill));
        };
        fill();
      }),
    );
    expect(await send(openSender(), server.origin)).toMatchObject({ kind: 'answered', status: 200 });
    await vi.waitFor(() => expect(isClosed).toBe(true));
  });

  it.each([
    ['announces a large body', 'HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n', false],
    ['falls silent within the body', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n123', false],
    ['closes within the body', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n123', true],
  ])('is answered by the status where the receiver %s', async (_what, answer, end) => {
    const server = closeAfterTest(
      await startRawServer((_request, socket) => (end ? socket.end(answer) : socket.write(answer))),
    );
    expect(await send(openSender({ timeoutMs: 300 }), server.origin)).toMatchObject({
      kind: 'answered',
      status: 200,
    });
    await vi.waitFor(() => expect(server.openConnections).toBe(0));
  });
});

describe('a webhook over TLS', () => {
  const defaultCertificates = getCACertificates('default');
  afterEach(() => setDefaultCACertificates(defaultCertificates));

  it('goes to the receiver whose certificate has its name', async () => {
    setDefaultCACertificates([testCertificate.cert]);
    const server = closeAfterTest(await startUpstreamServer(() => ({}), { tls: testCertificate }));
    expect(await send(openSender(), `https://localhost:${server.port}/`)).toMatchObject({ kind: 'answered' });
    expect((server.connections[0] as TLSSocket).servername).toBe('localhost');
    expect(await send(openSender(), server.origin)).toMatchObject({ kind: 'answered' });
  });

  it('fails, and shows nothing, where the certificate is another’s or not trusted', async () => {
    const server = closeAfterTest(await startUpstreamServer(() => ({}), { tls: testCertificate }));
    expect(await send(openSender(), server.origin)).toEqual({
      kind: 'failed',
      message: 'no answer: DEPTH_ZERO_SELF_SIGNED_CERT',
    });
    setDefaultCACertificates([testCertificate.cert]);
    expect(await send(openSender(), `https://hooks.example.com:${server.port}/`)).toEqual({
      kind: 'failed',
      message: 'no answer: ERR_TLS_CERT_ALTNAME_INVALID',
    });
    expect(server.requests).toHaveLength(0);
  });
});

describe('the address of a webhook', () => {
  afterEach(() => setDefaultAutoSelectFamily(true));

  it.each([true, false])(
    'is one that the resolver named (automatic choice of family: %s)',
    async (automatic) => {
      setDefaultAutoSelectFamily(automatic);
      expect(getDefaultAutoSelectFamily()).toBe(automatic);
      const server = await serve(() => ({}));
      const names: string[] = [];
      const sender = openSender({
        lookup: async (name) => {
          names.push(name);
          return [{ address: '127.0.0.1', family: 4 }];
        },
      });
      expect(await send(sender, `http://hooks.example.com:${server.port}/`)).toMatchObject({
        kind: 'answered',
      });
      expect(names).toEqual(['hooks.example.com']);
      expect(server.requests[0]?.headers['host']).toBe(`hooks.example.com:${server.port}`);
    },
  );

  it('comes from the system where no resolver is given', async () => {
    const server = await serve(() => ({}));
    const sender = closeAfterTest(createWebhookSender({ allowPrivate: true }));
    expect(await send(sender, `http://localhost:${server.port}/`)).toMatchObject({ kind: 'answered' });
  });
});
