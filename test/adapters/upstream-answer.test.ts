import { gzipSync } from 'node:zlib';
import { describe, expect, it, vi } from 'vitest';
import { closeAfterTest } from '../helpers/close-after-test.ts';
import { startRawServer, startUpstreamServer } from '../helpers/upstream-server.ts';
import type { Script } from '../helpers/upstream-server.ts';
import { openUpstream, rawAnswer, send, textOf } from './upstream-calls.ts';

async function serve(script: Script) {
  return closeAfterTest(await startUpstreamServer(script));
}

async function serveRaw(text: string, end = false) {
  return closeAfterTest(
    await startRawServer((_request, socket) =>
      end ? socket.end(text, 'latin1') : socket.write(text, 'latin1'),
    ),
  );
}

describe('an answer of an HTTP upstream', () => {
  it('is told with its status, its bytes and the headers that matter', async () => {
    const server = await serve(() => ({
      status: 429,
      body: ' {"slow":\n"down"} ',
      headers: {
        'X-Request-Id': 'req_upstream',
        'Retry-After-Ms': '1500',
        'Retry-After': '2',
        'X-Should-Retry': 'true',
      },
    }));
    expect(await send(openUpstream(server.baseUrl)).outcome).toEqual({
      kind: 'answer',
      status: 429,
      body: Buffer.from(' {"slow":\n"down"} '),
      requestId: 'req_upstream',
      retryAfterMs: '1500',
      retryAfter: '2',
      shouldRetry: 'true',
      contentEncoding: null,
    });
  });

  it('has its request id in either header', async () => {
    const server = await serve(() => ({ headers: { 'request-id': 'req_other' } }));
    expect(await send(openUpstream(server.baseUrl)).outcome).toMatchObject({ requestId: 'req_other' });
  });

  it('has nulls for headers that it does not have', async () => {
    const server = await serve(() => ({ body: 'x' }));
    expect(await send(openUpstream(server.baseUrl)).outcome).toEqual({
      kind: 'answer',
      status: 200,
      body: Buffer.from('x'),
      requestId: null,
      retryAfterMs: null,
      retryAfter: null,
      shouldRetry: null,
      contentEncoding: null,
    });
  });

  it('has the first value of a repeated header', async () => {
    const server = await serveRaw(rawAnswer('x', 'retry-after: 3\r\nretry-after: 9\r\n'));
    expect(await send(openUpstream(server.baseUrl)).outcome).toMatchObject({ retryAfter: '3' });
  });

  it('may have any bytes', async () => {
    const everyByte = Uint8Array.from({ length: 512 }, (_, at) => at % 256);
    const server = await serve(() => ({ body: everyByte }));
    expect(await send(openUpstream(server.baseUrl)).outcome).toMatchObject({ body: Buffer.from(everyByte) });
  });

  it('is whole where it comes in a thousand chunks', async () => {
    const chunks = Array.from({ length: 1000 }, (_, at) => `<${at}>`);
    const server = await serve(() => ({ chunks }));
    expect(await textOf(send(openUpstream(server.baseUrl)))).toBe(chunks.join(''));
  });

  it('is whole where it has 10 MB', async () => {
    const large = Buffer.alloc(10 * 1024 * 1024, 'the quick brown fox ');
    const server = await serve(() => ({ body: large }));
    const outcome = await send(openUpstream(server.baseUrl)).outcome;
    expect(outcome.kind === 'answer' && outcome.body.equals(large)).toBe(true);
  });

  it('is whole where the end of the connection is its end', async () => {
    const server = await serveRaw('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nuntil the end', true);
    expect(await textOf(send(openUpstream(server.baseUrl)))).toBe('until the end');
  });

  it('may have no body', async () => {
    const server = await serveRaw('HTTP/1.1 204 No Content\r\n\r\n');
    expect(await send(openUpstream(server.baseUrl)).outcome).toMatchObject({
      status: 204,
      body: Buffer.alloc(0),
    });
  });

  it('keeps its bytes while later ones come', async () => {
    const server = await serve((request) => ({ body: `answer to ${request.body.toString()}`.repeat(20) }));
    const upstream = openUpstream(server.baseUrl);
    const bodies: string[] = [];
    for (let round = 0; round < 20; round++) {
      const calls = Array.from({ length: 20 }, (_, at) =>
        send(upstream, { body: Buffer.from(`${round}/${at}`) }),
      );
      const outcomes = await Promise.all(calls.map((call) => call.outcome));
      outcomes.forEach((outcome, at) => {
        if (outcome.kind === 'answer' && outcome.body.toString() === `answer to ${round}/${at}`.repeat(20)) {
          bodies.push(outcome.body.toString());
        }
      });
    }
    expect(bodies).toHaveLength(400);
  });

  it('is an answer too where it is a redirect, which is not followed', async () => {
    const elsewhere = await serve(() => ({ body: 'elsewhere' }));
    const server = await serve(() => ({
      status: 307,
      headers: { location: `${elsewhere.baseUrl}/chat/completions` },
      body: 'go there',
    }));
    const outcome = await send(openUpstream(server.baseUrl)).outcome;
    expect(outcome).toMatchObject({ kind: 'answer', status: 307, body: Buffer.from('go there') });
    expect(elsewhere.connections).toHaveLength(0);
  });

  it('is not decoded where it is compressed, only reported so', async () => {
    const body = gzipSync('{"compressed":true}');
    const server = await serve(() => ({ body, headers: { 'content-encoding': 'gzip' } }));
    expect(await send(openUpstream(server.baseUrl)).outcome).toMatchObject({ contentEncoding: 'gzip', body });
  });

  it('comes after early hints, which are not it', async () => {
    const server = await serveRaw(
      `HTTP/1.1 103 Early Hints\r\nx-request-id: hint\r\ncontent-length: 999999999\r\n\r\n${rawAnswer('the answer')}`,
    );
    const call = send(openUpstream(server.baseUrl));
    expect(await textOf(call)).toBe('the answer');
    expect(await call.outcome).toMatchObject({ status: 200, requestId: null });
  });
});

describe('the limit of an answer’s size', () => {
  const tooLarge = {
    kind: 'failed',
    code: 'response_too_large',
    message: "The upstream's answer is larger than 1000 bytes.",
  };

  it('lets an answer of just this size pass', async () => {
    const server = await serve(() => ({ body: 'x'.repeat(1000) }));
    expect(await textOf(send(openUpstream(server.baseUrl, { maxResponseBytes: 1000 })))).toHaveLength(1000);
  });

  it('ends a call whose answer says that it is larger, without waiting for it', async () => {
    const server = await serveRaw('HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n');
    const upstream = openUpstream(server.baseUrl, { maxResponseBytes: 1000 });
    expect(await send(upstream).outcome).toEqual(tooLarge);
    await vi.waitFor(() => expect(server.openConnections).toBe(0));
  });

  it('ends a call whose answer turns out to be larger', async () => {
    const server = await serveRaw(
      `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${`1f4\r\n${'x'.repeat(500)}\r\n`.repeat(3)}`,
    );
    const upstream = openUpstream(server.baseUrl, { maxResponseBytes: 1000 });
    expect(await send(upstream).outcome).toEqual(tooLarge);
    await vi.waitFor(() => expect(server.openConnections).toBe(0));
  });
});
