import { describe, expect, it, vi } from 'vitest';
import { closeAfterTest } from '../helpers/close-after-test.ts';
import { startRawServer, startUpstreamServer } from '../helpers/upstream-server.ts';
import { openUpstream, rawAnswer, send, textOf } from './upstream-calls.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('the connections of an HTTP upstream', () => {
  it('are never more than calls at a time, and are kept for the next calls', async () => {
    const server = closeAfterTest(await startUpstreamServer((request) => ({ body: request.body })));
    const upstream = openUpstream(server.baseUrl);
    let started = 0;
    await new Promise<void>((resolve) => {
      let ended = 0;
      const next = (): void => {
        if (started === 500) return;
        const body = Buffer.from(`line ${started++}`);
        upstream.send({ model: 'm', url: '/v1/x', body, idempotencyKey: 'k' }, (outcome) => {
          expect(outcome).toMatchObject({ kind: 'answer', body });
          if (++ended === 500) resolve();
          next();
        });
      };
      for (let slot = 0; slot < 8; slot++) next();
    });
    expect(server.requests).toHaveLength(500);
    expect(server.connections).toHaveLength(8);
  });

  it('are not used again where the server says so', async () => {
    const server = closeAfterTest(await startUpstreamServer(() => ({ close: true, body: 'bye' })));
    const upstream = openUpstream(server.baseUrl);
    expect(await textOf(send(upstream))).toBe('bye');
    expect(await textOf(send(upstream))).toBe('bye');
    expect(server.connections).toHaveLength(2);
  });

  it('are replaced where the server closed them between two calls', async () => {
    const server = closeAfterTest(await startUpstreamServer(() => ({ body: 'here' })));
    const upstream = openUpstream(server.baseUrl);
    expect(await textOf(send(upstream))).toBe('here');
    server.connections[0]?.end();
    await vi.waitFor(() => expect(server.openConnections).toBe(0));
    expect(await textOf(send(upstream))).toBe('here');
  });

  it('are replaced where the server closes them at the moment of the next call', async () => {
    const server = closeAfterTest(await startUpstreamServer(() => ({ body: 'here' })));
    const upstream = openUpstream(server.baseUrl);
    expect(await textOf(send(upstream))).toBe('here');
    server.connections[0]?.end();
    expect(await textOf(send(upstream))).toBe('here');
    expect(server.connections).toHaveLength(2);
  });

  it('are not used again where the answer came before the request had left', async () => {
    const server = closeAfterTest(
      await startRawServer((_request, socket) => socket.write(rawAnswer('second')), {
        onConnection(socket) {
          if (server.connections.length > 1) return;
          socket.pause();
          socket.write(rawAnswer('too early'));
        },
      }),
    );
    const upstream = openUpstream(server.baseUrl);
    expect(await textOf(send(upstream, { body: Buffer.alloc(64 * 1024 * 1024) }))).toBe('too early');
    expect(await textOf(send(upstream))).toBe('second');
    expect(server.connections).toHaveLength(2);
  });
});

describe('answers never cross', () => {
  it('where a second answer comes right behind the first one', async () => {
    const server = closeAfterTest(
      await startRawServer((request, socket) => {
        const stray = request.connection === 1 ? rawAnswer('stray') : '';
        socket.write(rawAnswer(request.body.toString()) + stray);
      }),
    );
    const upstream = openUpstream(server.baseUrl);
    const first = send(upstream, { body: Buffer.from('first') });
    // Which of the two is the answer cannot be known.
    expect(await first.outcome).toMatchObject({ kind: 'failed', code: 'request_failed' });
    expect(await textOf(send(upstream, { body: Buffer.from('second') }))).toBe('second');
    expect(server.requests.map((request) => request.connection)).toEqual([1, 2]);
  });

  it('where a second answer, or only its beginning, arrives just as the next request is sent', async () => {
    for (const stray of [rawAnswer('stray'), 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n', 'H']) {
      const server = closeAfterTest(
        await startRawServer((request, socket) => socket.write(rawAnswer(request.body.toString()))),
      );
      const upstream = openUpstream(server.baseUrl);
      const texts = await new Promise<string[]>((resolve) => {
        const request = { model: 'm', url: '/v1/x', idempotencyKey: 'k' };
        upstream.send({ ...request, body: Buffer.from('first') }, (first) => {
          // In the kernel's hands before the next request is, but not yet read by this process.
          server.connections[0]?.write(stray);
          upstream.send({ ...request, body: Buffer.from('second') }, (second) =>
            resolve(
              [first, second].map((outcome) =>
                outcome.kind === 'answer' ? outcome.body.toString() : outcome.kind,
              ),
            ),
          );
        });
      });
      expect(texts).toEqual(['first', 'second']);
      expect(server.requests.map((request) => request.connection)).toEqual([1, 2]);
    }
  });

  it('where a second answer arrives on the idle connection', async () => {
    const server = closeAfterTest(
      await startRawServer((request, socket) => socket.write(rawAnswer(request.body.toString()))),
    );
    const upstream = openUpstream(server.baseUrl);
    expect(await textOf(send(upstream, { body: Buffer.from('first') }))).toBe('first');
    server.connections[0]?.write(rawAnswer('stray'));
    await vi.waitFor(() => expect(server.openConnections).toBe(0));
    expect(await textOf(send(upstream, { body: Buffer.from('second') }))).toBe('second');
    expect(server.connections).toHaveLength(2);
  });

  it.each(['408 Request Timeout', '503 Service Unavailable', '504 Gateway Timeout'])(
    'where the real answer follows a %s once the next request is on its way',
    async (status) => {
      let late = (): void => {};
      const server = closeAfterTest(
        await startRawServer((request, socket) => {
          const text = request.body.toString();
          if (text === 'first') {
            socket.write(`HTTP/1.1 ${status}\r\ncontent-length: 0\r\n\r\n`);
            late = () => socket.write(rawAnswer('first, late'));
          } else {
            late();
            socket.write(rawAnswer(text));
          }
        }),
      );
      const upstream = openUpstream(server.baseUrl);
      await send(upstream, { body: Buffer.from('first') }).outcome;
      expect(await textOf(send(upstream, { body: Buffer.from('second') }))).toBe('second');
    },
  );

  it('where every answer of many is followed by another one a little later', async () => {
    const server = closeAfterTest(
      await startRawServer((request, socket) => {
        socket.write(rawAnswer(request.body.toString()));
        const strayTurns = request.body.length % 3;
        const writeStray = (turns: number): unknown =>
          turns === 0 ? socket.write(rawAnswer('stray')) : setImmediate(writeStray, turns - 1);
        writeStray(strayTurns);
      }),
    );
    const upstream = openUpstream(server.baseUrl);
    for (let round = 0; round < 30; round++) {
      const bodies = Array.from({ length: 10 }, (_, at) => 'x'.repeat(1 + round * 10 + at));
      const calls = bodies.map((body) => send(upstream, { body: Buffer.from(body) }));
      const outcomes = await Promise.all(calls.map((call) => call.outcome));
      const answers = outcomes.map((outcome) => (outcome.kind === 'answer' ? outcome.body.toString() : null));
      expect(answers.filter((answer, at) => answer !== null && answer !== bodies[at])).toEqual([]);
    }
  });
});

describe('settling', () => {
  it('happens once and never before send has returned', async () => {
    const server = closeAfterTest(await startUpstreamServer(() => ({})));
    const upstream = openUpstream(server.baseUrl);
    const unusable = openUpstream(server.baseUrl);
    await unusable.close();
    const calls = [
      send(upstream),
      send(unusable),
      // Something that undici refuses at once.
      send(upstream, { idempotencyKey: 'a\nb' }),
    ];
    expect(calls.flatMap((call) => call.told)).toEqual([]);
    const kinds = (await Promise.all(calls.map((call) => call.outcome))).map((outcome) => outcome.kind);
    expect(kinds).toEqual(['answer', 'aborted', 'unreachable']);
    calls.forEach((call) => call.abort());
    await turn();
    expect(calls.map((call) => call.told.length)).toEqual([1, 1, 1]);
  });
});

describe('aborting a call', () => {
  const aborted = { kind: 'aborted' };

  it('ends it at once where it waits for a connection, and gives that up', async () => {
    const server = closeAfterTest(await startRawServer(() => {}));
    // It never shakes hands.
    const call = send(openUpstream(`https://127.0.0.1:${server.port}/v1`));
    await vi.waitFor(() => expect(server.openConnections).toBe(1));
    call.abort();
    expect(call.told).toEqual([]);
    expect(await call.outcome).toEqual(aborted);
    await vi.waitFor(() => expect(server.openConnections).toBe(0));
  });

  it('keeps the request from being sent where it has not been', async () => {
    const server = closeAfterTest(await startUpstreamServer(() => ({})));
    const upstream = openUpstream(server.baseUrl);
    await send(upstream).outcome;
    const onKeptConnection = send(upstream);
    const onNewConnection = send(upstream);
    onKeptConnection.abort();
    onNewConnection.abort();
    expect(await onKeptConnection.outcome).toEqual(aborted);
    expect(await onNewConnection.outcome).toEqual(aborted);
    await vi.waitFor(() => expect(server.openConnections).toBe(0));
    expect(server.requests).toHaveLength(1);
  });

  it.each([
    ['before the answer', ''],
    ['in the middle of the answer', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345'],
  ])('ends it %s and closes its connection', async (_when, answer) => {
    const server = closeAfterTest(await startRawServer((_request, socket) => socket.write(answer)));
    const call = send(openUpstream(server.baseUrl));
    await vi.waitFor(() => expect(server.requests).toHaveLength(1));
    await turn();
    call.abort();
    call.abort();
    expect(await call.outcome).toEqual(aborted);
    await vi.waitFor(() => expect(server.openConnections).toBe(0));
    expect(call.told).toEqual([aborted]);
  });

  it('does nothing after its end, not even to the next call on its connection', async () => {
    const server = closeAfterTest(await startUpstreamServer((request) => ({ body: request.body })));
    const upstream = openUpstream(server.baseUrl);
    const first = send(upstream, { body: Buffer.from('1') });
    expect(await textOf(first)).toBe('1');
    const second = send(upstream, { body: Buffer.from('2') });
    first.abort();
    expect(await textOf(second)).toBe('2');
    expect(first.told).toHaveLength(1);
    expect(server.connections).toHaveLength(1);
  });
});

describe('closing an HTTP upstream', () => {
  it('aborts the calls in flight, and leaves no connection and no timer', async () => {
    const server = closeAfterTest(
      await startUpstreamServer((request) => (request.json() === 0 ? {} : 'hang')),
    );
    const handshaking = closeAfterTest(await startRawServer(() => {}));
    const upstream = openUpstream(server.baseUrl);
    const tlsUpstream = openUpstream(`https://127.0.0.1:${handshaking.port}/v1`, { clock: upstream.clock });
    await Promise.all([0, 0, 0].map((n) => send(upstream, { body: Buffer.from(String(n)) }).outcome));
    const calls = [1, 1].map((n) => send(upstream, { body: Buffer.from(String(n)) }));
    calls.push(send(tlsUpstream));
    await vi.waitFor(() => expect(server.requests).toHaveLength(5));
    await vi.waitFor(() => expect(handshaking.openConnections).toBe(1));
    expect(server.openConnections).toBe(3);

    await Promise.all([upstream.close(), tlsUpstream.close()]);
    for (const call of calls) expect(call.told).toEqual([{ kind: 'aborted' }]);
    expect(upstream.clock.timers).toBe(0);
    await vi.waitFor(() => expect(server.openConnections + handshaking.openConnections).toBe(0));
    expect(process.getActiveResourcesInfo().filter((type) => type.startsWith('TCPSocket'))).toEqual([]);
    await upstream.close();
  });

  it('ends only when every call in flight has been told, and its connection closed', async () => {
    const server = closeAfterTest(await startUpstreamServer(() => 'hang'));
    const upstream = openUpstream(server.baseUrl);
    const call = send(upstream);
    await vi.waitFor(() => expect(server.requests).toHaveLength(1));
    await upstream.close();
    expect(call.told).toEqual([{ kind: 'aborted' }]);
    await vi.waitFor(() => expect(server.openConnections).toBe(0));
  });

  it('is followed by nothing: what is sent then is aborted', async () => {
    const server = closeAfterTest(await startUpstreamServer(() => ({})));
    const upstream = openUpstream(server.baseUrl);
    await upstream.close();
    expect(await send(upstream).outcome).toEqual({ kind: 'aborted' });
    expect(server.connections).toHaveLength(0);
  });
});

describe('the timer of an HTTP upstream', () => {
  it('is one for all calls in flight, and none while there are none', async () => {
    const server = closeAfterTest(await startUpstreamServer(() => 'hang'));
    const upstream = openUpstream(server.baseUrl);
    expect(upstream.clock.timers).toBe(0);
    const calls = Array.from({ length: 20 }, () => send(upstream));
    await vi.waitFor(() => expect(server.requests).toHaveLength(20));
    expect(upstream.clock.timers).toBe(1);
    calls.forEach((call) => call.abort());
    expect(upstream.clock.timers).toBe(0);
  });
});
