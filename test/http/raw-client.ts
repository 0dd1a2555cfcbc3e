import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import type { FastifyInstance } from 'fastify';
import { API_KEY, FORM_TYPE } from '../helpers/http-app.ts';
import type { TestApp } from '../helpers/http-app.ts';

export interface RawClient {
  readonly socket: Socket;
  /** Everything received so far, as Latin-1. */
  received(): string;
  /** Resolves when the server has closed the connection. */
  readonly closed: Promise<void>;
  /** Resolves when the bytes are handed to the kernel; false where the connection is gone. */
  send(bytes: string | Buffer): Promise<boolean>;
}

/** Lets the app listen on a free port of the loopback. */
export async function listen(app: FastifyInstance): Promise<number> {
  await app.listen({ host: '127.0.0.1', port: 0 });
  return (app.server.address() as AddressInfo).port;
}

/** A TCP connection for requests that no HTTP client would send; closed when the test ends. */
export async function openRawClient(
  port: number,
  { allowHalfOpen = false }: { readonly allowHalfOpen?: boolean } = {},
): Promise<RawClient> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen });
  let text = '';
  socket.on('data', (bytes: Buffer) => (text += bytes.toString('latin1')));
  const closed = new Promise<void>((resolve) => {
    socket.on('close', () => resolve());
  });
  // A reset by the server shows in `closed`, and in `send`.
  socket.on('error', () => {});
  onTestFinished(() => void socket.destroy());
  await new Promise<void>((resolve) => {
    socket.once('connect', resolve);
  });
  return {
    socket,
    received: () => text,
    closed,
    send: (bytes) =>
      new Promise((resolve) => {
        if (!socket.writable) resolve(false);
        else socket.write(bytes, (error) => resolve(error === null || error === undefined));
      }),
  };
}

/** The head of an HTTP/1.1 request with the key. */
export function requestHead(line: string, headers: Readonly<Record<string, string>> = {}): string {
  const all = { host: 'localhost', authorization: `Bearer ${API_KEY}`, ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${line} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

/** One chunk of a chunked body. */
export function chunk(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
}

/** Starts an upload without a length, as a client that streams. */
export async function startChunkedUpload(testApp: TestApp): Promise<RawClient> {
  const client = await openRawClient(await listen(testApp.app));
  const headers = { 'content-type': FORM_TYPE, 'transfer-encoding': 'chunked' };
  await client.send(requestHead('POST /v1/files', headers));
  return client;
}

/** What an answer says went wrong, to compare with a `refusal`; its request id must be there. */
export function rawErrorOf(client: RawClient): object {
  const [head = '', body = ''] = client.received().split('\r\n\r\n');
  const status = /^HTTP\/1\.1 (\d+) [^]*^x-request-id: req_[0-9a-f]{32}\r?$/m.exec(head)?.[1];
  const type = /^content-type: (.*?)\r?$/m.exec(head)?.[1];
  return { status: Number(status), type, body: JSON.parse(body) as unknown };
}

/** The log's lines on requests. */
export function requestLines(testApp: TestApp): Record<string, unknown>[] {
  const lines = testApp.logLines.map((line) => JSON.parse(line) as Record<string, unknown>);
  return lines.filter((line) => line['msg'] === 'request');
}
