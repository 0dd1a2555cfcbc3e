import { afterEach, describe, expect, it, vi } from 'vitest';
import { closeAfterTest } from '../helpers/close-after-test.ts';
import { startRawServer, unusedPort } from '../helpers/upstream-server.ts';
import { openSender, send, serve, watchedSender } from './webhook-calls.ts';

describe('a webhook that gets no answer', () => {
  it('fails where the connection is refused', async () => {
    expect(await send(openSender(), `http://127.0.0.1:${await unusedPort()}/`)).toEqual({
      kind: 'failed',
      message: 'no answer: ECONNREFUSED',
    });
  });

  it('fails where the name cannot be resolved, or leads nowhere', async () => {
    const unknown = openSender({
      lookup: () => Promise.reject(Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND' })),
    });
    const empty = openSender({ lookup: async () => [] });
    const url = 'http://hooks.example.com/';
    expect(await send(unknown, url)).toEqual({ kind: 'failed', message: 'no answer: ENOTFOUND' });
    expect(await send(empty, url)).toEqual({ kind: 'failed', message: 'its host has no address' });
  });

  it('fails where a configured URL is none', async () => {
    expect(await send(openSender(), 'not a URL', { trusted: true })).toEqual({
      kind: 'failed',
      message: 'no answer: ERR_INVALID_URL',
    });
  });

  it('fails where the receiver closes the connection, or speaks no HTTP', async () => {
    const dropping = await serve(() => 'drop');
    const babbling = closeAfterTest(await startRawServer((_request, socket) => socket.end('hello')));
    expect(await send(openSender(), dropping.origin)).toEqual({
      kind: 'failed',
      message: 'no answer: UND_ERR_SOCKET',
    });
    expect(await send(openSender(), babbling.origin)).toEqual({
      kind: 'failed',
      message: 'no answer: HTTPParserError',
    });
  });

  const late = { kind: 'failed', message: 'no answer within 50 ms' };

  it('fails in time where the receiver never answers', async () => {
    const server = await serve(() => 'hang');
    expect(await send(openSender({ timeoutMs: 50 }), server.origin)).toEqual(late);
    await vi.waitFor(() => expect(server.openConnections).toBe(0));
  });

  it('fails in time where the receiver never shakes hands', async () => {
    const server = closeAfterTest(await startRawServer(() => {}));
    expect(await send(openSender({ timeoutMs: 50 }), `https://127.0.0.1:${server.port}/`)).toEqual(late);
    await vi.waitFor(() => expect(server.openConnections).toBe(0));
  });

  it('fails in time where the resolver never answers', async () => {
    const sender = openSender({ timeoutMs: 50, lookup: () => new Promise(() => {}) });
    expect(await send(sender, 'http://hooks.example.com/')).toEqual(late);
  });
});

describe('a webhook that is aborted', () => {
  const aborted = { kind: 'aborted' };

  it('is not sent where that happened before', async () => {
    const server = await serve(() => ({}));
    expect(await send(openSender(), server.origin, {}, AbortSignal.abort())).toEqual(aborted);
    expect(server.connections).toHaveLength(0);
  });

  it('ends at once while its name is looked up', async () => {
    const stop = new AbortController();
    const lookup = vi.fn<() => Promise<[]>>(() => new Promise(() => {}));
    const outcome = send(openSender({ lookup }), 'http://hooks.example.com/', {}, stop.signal);
    await vi.waitFor(() => expect(lookup).toHaveBeenCalled());
    stop.abort();
    expect(await outcome).toEqual(aborted);
  });

  it('ends at once while the receiver is connected to', async () => {
    const server = closeAfterTest(await startRawServer(() => {}));
    const stop = new AbortController();
    const outcome = send(openSender(), `https://127.0.0.1:${server.port}/`, {}, stop.signal);
    await vi.waitFor(() => expect(server.openConnections).toBe(1));
    stop.abort();
    expect(await outcome).toEqual(aborted);
    await vi.waitFor(() => expect(server.openConnections).toBe(0));
  });

  it('ends at once while the receiver thinks', async () => {
    const server = await serve(() => 'hang');
    const stop = new AbortController();
    const outcome = send(openSender(), server.origin, {}, stop.signal);
    await vi.waitFor(() => expect(server.requests).toHaveLength(1));
    stop.abort();
    expect(await outcome).toEqual(aborted);
    await vi.waitFor(() => expect(server.openConnections).toBe(0));
  });

  it('is answered all the same where the status had come', async () => {
    const server = closeAfterTest(
      await startRawServer((_request, socket) =>
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n'),
      ),
    );
    const { sender, sockets } = watchedSender();
    const stop = new AbortController();
    const outcome = send(sender, server.origin, {}, stop.signal);
    await vi.waitFor(() => expect(sockets[0]?.bytesRead).toBeGreaterThan(0));
    stop.abort();
    expect(await outcome).toMatchObject({ kind: 'answered', status: 200 });
  });
});

describe('closing a webhook sender', () => {
  it('aborts what is under way and what comes later, and leaves no connection', async () => {
    const server = await serve(() => 'hang');
    const { sender, sockets, closed } = watchedSender();
    const outcomes = [send(sender, server.origin), send(sender, server.origin)];
    await vi.waitFor(() => expect(server.requests).toHaveLength(2));
    await sender.close();
    expect(closed).toHaveLength(2);
    expect(await Promise.all(outcomes)).toEqual([{ kind: 'aborted' }, { kind: 'aborted' }]);
    expect(await send(sender, server.origin)).toEqual({ kind: 'aborted' });
    expect(sockets).toHaveLength(2);
  });
});

describe('the timer of an attempt', () => {
  afterEach(() => void vi.useRealTimers());

  it('ends with it', async () => {
    const server = await serve(() => ({}));
    const sender = openSender();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const outcomes = [send(sender, server.origin), send(sender, 'http://127.0.0.1:1/')];
    expect(vi.getTimerCount()).toBe(2);
    await Promise.all(outcomes);
    expect(vi.getTimerCount()).toBe(0);
  });
});
