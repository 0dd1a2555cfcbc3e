/**
 * Model servers for tests, on 127.0.0.1, which keep every byte they receive.
 *
 * `startUpstreamServer` answers properly, as a script says for each request:
 *
 *     const upstream = await startUpstreamServer((request) => ({ body: { echo: request.json() } }));
 *     … upstream.baseUrl …; expect(upstream.requests[0]?.headers['authorization']).toBe('Bearer k');
 *     await upstream.close();
 *
 * `startRawServer` leaves everything after the request to the test, which holds the socket: for half answers,
 * wrong lengths, silence, and bytes that nobody asked for.
 *
 * Both understand requests with a content-length only, on connections that they never close by themselves.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';

/** A request as it came over the wire. */
export interface ReceivedRequest {
  /** Head and body, every byte. */
  readonly raw: Buffer;
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** Names in lower case; values of a repeated header joined with a comma. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** The connection that it came on: 1 for the server's first one. */
  readonly connection: number;
  /** The body, parsed. */
  json(): unknown;
}

/** What a script answers. Everything may be left out: a 200 with an empty JSON object. */
export interface Reply {
  readonly status?: number;
  /** Added to a content type and a content length. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Text and bytes are sent as they are, anything else as JSON. */
  readonly body?: unknown;
  /** In place of `body`: sent as chunks of these, each on its own. */
  readonly chunks?: readonly (string | Uint8Array)[];
  /** True: says `connection: close` and closes. */
  readonly close?: boolean;
}

/** A reply, `hang` (never an answer) or `drop` (closes the connection without one). */
export type Script = (request: ReceivedRequest) => Answer | Promise<Answer>;
type Answer = Reply | 'hang' | 'drop';

export interface TestServer {
  readonly port: number;
  /** E.g. `http://127.0.0.1:4711`. */
  readonly origin: string;
  /** As an SDK takes it: `<origin>/v1`. */
  readonly baseUrl: string;
  /** All complete requests so far, in the order in which they ended. */
  readonly requests: readonly ReceivedRequest[];
  /** All connections so far; those that are closed too. */
  readonly connections: readonly Socket[];
  /** How many connections are open now. */
  readonly openConnections: number;
  /** Closes the server and every connection. */
  close(): Promise<void>;
}

export interface UpstreamServer extends TestServer {
  /** The most requests that waited for their answers at one time. */
  readonly peakInFlight: number;
}

export interface ServerOptions {
  /** Serves https with this certificate. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** Where to listen. Default: any free port. */
  readonly port?: number;
}

/** Serves HTTP as `script` says, one call for each request, also several at a time. */
export async function startUpstreamServer(script: Script, options?: ServerOptions): Promise<UpstreamServer> {
  let inFlight = 0;
  let peakInFlight = 0;
  const server = await startRawServer(async (request, socket) => {
    peakInFlight = Math.max(peakInFlight, ++inFlight);
    const answer = await script(request);
    if (answer === 'hang' && !socket.closed) await once(socket, 'close');
    inFlight--;
    if (answer === 'drop') socket.destroy();
    else if (answer !== 'hang') await writeReply(socket, answer);
  }, options);
  return extend(server, {
    get peakInFlight() {
      return peakInFlight;
    },
  });
}

/**
 * Calls `onRequest` for each complete request with the connection's socket, and `onConnection` for each new
 * connection. Nothing is ever written by itself.
 */
export async function startRawServer(
  onRequest: (request: ReceivedRequest, socket: Socket) => unknown,
  options: ServerOptions & { readonly onConnection?: (socket: Socket) => void } = {},
): Promise<TestServer> {
  const requests: ReceivedRequest[] = [];
  const connections: Socket[] = [];
  const open = new Set<Socket>();

  function serve(socket: Socket): void {
    const number = connections.push(socket);
    open.add(socket);
    socket.setNoDelay(true);
    // Clients that reset a connection are part of many tests.
    socket.on('error', () => socket.destroy());
    socket.once('close', () => open.delete(socket));
    socket.on(
      'data',
      createRequestReader(number, (request) => {
        requests.push(request);
        void onRequest(request, socket);
      }),
    );
    options.onConnection?.(socket);
  }

  const server: Server =
    options.tls === undefined
      ? createServer(serve)
      : createTlsServer(options.tls, serve).on('tlsClientError', () => {});
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const origin = `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`;
  return {
    port,
    origin,
    baseUrl: `${origin}/v1`,
    requests,
    connections,
    get openConnections() {
      return open.size;
    },
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

/**
 * A certificate for 127.0.0.1 and localhost, signed by itself, with its key: good for a hundred years, and for
 * tests only. Who is to trust it must be told so (`tls.setDefaultCACertificates`).
 */
export const testCertificate = {
  key: pem(
    'PRIVATE KEY',
    'MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg/L2/3CIRSQLJhqmC' +
      '7ybrBrBCHr4wc/HHuohm1owJmh6hRANCAAR/6/GRS4WatoQEWjq6hDyWjjVBhiqk' +
      'Bb2735xPMeC1WFvDfh0KC6hbujqh9bpd14NUcAnyPsxxAJvlYqiXDaDk',
  ),
  cert: pem(
    'CERTIFICATE',
    'MIIBmzCCAUGgAwIBAgIUbfHUcghySI2Ny1kNFLXmO+pNXpwwCgYIKoZIzj0EAwIw' +
      'FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMzEwNDYwMFoYDzIxMjYxMDMw' +
      'MTA0NjAwWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO' +
      'PQMBBwNCAAR/6/GRS4WatoQEWjq6hDyWjjVBhiqkBb2735xPMeC1WFvDfh0KC6hb' +
      'ujqh9bpd14NUcAnyPsxxAJvlYqiXDaDko28wbTAdBgNVHQ4EFgQUYBfx6nRS/M+4' +
      'J5GIdG0eqsdP51wwHwYDVR0jBBgwFoAUYBfx6nRS/M+4J5GIdG0eqsdP51wwDwYD' +
      'VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI' +
      'zj0EAwIDSAAwRQIhAPkgGROdhdAEneKcF21CuZj++W3Rfrl3BNOLiGFNn/qfAiAO' +
      'N72VrJhEyC9KIZ4Lzg7qxUtXaKts4l+OQNwWhSpu0g==',
  ),
};

function pem(label: string, base64: string): string {
  return `-----BEGIN ${label}-----\n${base64.replace(/.{64}/g, '$&\n')}\n-----END ${label}-----\n`;
}

/** A port of 127.0.0.1 on which nothing listens. */
export async function unusedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Cuts what a connection receives into requests. */
function createRequestReader(connection: number, onRequest: (request: ReceivedRequest) => void) {
  let parts: Buffer[] = [];
  let bytes = 0;
  let needed = 0;
  return (data: Buffer): void => {
    parts.push(data);
    bytes += data.length;
    while (bytes > 0 && bytes >= needed) {
      const received = Buffer.concat(parts, bytes);
      parts = [received];
      const bodyStart = received.indexOf('\r\n\r\n') + 4;
      if (bodyStart === 3) return;
      const head = parseHead(received.toString('latin1', 0, bodyStart - 4));
      needed = bodyStart + Number(head.headers['content-length'] ?? 0);
      if (bytes < needed) return;
      const raw = received.subarray(0, needed);
      const body = raw.subarray(bodyStart);
      parts = [received.subarray(needed)];
      bytes -= needed;
      needed = 0;
      onRequest({ ...head, raw, body, connection, json: () => JSON.parse(body.toString()) as unknown });
    }
  };
}

function parseHead(text: string): Pick<ReceivedRequest, 'method' | 'path' | 'headers'> {
  const [start = '', ...lines] = text.split('\r\n');
  const [method = '', path = ''] = start.split(' ');
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
  }
  return { method, path, headers };
}

async function writeReply(socket: Socket, reply: Reply): Promise<void> {
  const { status = 200, headers = {}, chunks, close = false } = reply;
  const body = bytesOf(reply.body ?? {});
  const lines = [
    `HTTP/1.1 ${status} Test`,
    'content-type: application/json',
    chunks === undefined ? `content-length: ${body.length}` : 'transfer-encoding: chunked',
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ...(close ? ['connection: close'] : []),
  ];
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  if (chunks === undefined) socket.write(Buffer.concat([head, body]));
  else {
    socket.write(head);
    for (const chunk of chunks.map(bytesOf)) {
      const size = Buffer.from(`${chunk.length.toString(16)}\r\n`);
      await new Promise((resolve) =>
        socket.write(Buffer.concat([size, chunk, Buffer.from('\r\n')]), resolve),
      );
    }
    socket.write('0\r\n\r\n');
  }
  if (close) socket.end();
}

function bytesOf(body: unknown): Uint8Array {
  if (typeof body === 'string') return Buffer.from(body);
  return body instanceof Uint8Array ? body : Buffer.from(JSON.stringify(body));
}

/** Both, with getters kept as getters. */
function extend<A extends object, B extends object>(base: A, more: B): A & B {
  return Object.defineProperties(more, Object.getOwnPropertyDescriptors(base)) as A & B;
}
