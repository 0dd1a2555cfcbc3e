/** Requests as no HTTP client would send them, and what an answer must be. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import type { Socket } from 'node:net';

export interface Answer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

export interface Exchange {
  /** The whole answers that came. */
  readonly answers: readonly Answer[];
  /** True where the service closed the connection. */
  readonly isClosed: boolean;
}

const ANSWER_MS = 15_000;

/** Opens a connection to the service; the caller destroys it. A reset shows as its end. */
export function openSocket(url: string): Socket {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => {});
  return socket;
}

/**
 * Sends `bytes` over a connection of their own, and resolves when `count` answers have come or the service has closed
 * the connection. Where neither happens: rejects after a while, or resolves after `quietMs`.
 */
export async function exchange(
  url: string,
  bytes: string | Uint8Array,
  { count = 1, quietMs }: { readonly count?: number; readonly quietMs?: number } = {},
): Promise<Exchange> {
  const socket = openSocket(url);
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  let received = Buffer.alloc(0);
  socket.on('data', (data: Buffer) => {
    received = Buffer.concat([received, data]);
    if (readAnswers(received).length >= count) resolve(false);
  });
  socket.on('close', () => resolve(true));
  const timer = setTimeout(() => {
    if (quietMs === undefined) reject(new Error(`no answer in ${ANSWER_MS} ms`));
    else resolve(false);
  }, quietMs ?? ANSWER_MS);
  try {
    socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
    const isClosed = await promise;
    return { answers: readAnswers(received), isClosed };
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

/** One request and its one answer. */
export async function ask(url: string, bytes: string | Uint8Array): Promise<Answer> {
  const { answers } = await exchange(url, bytes);
  assert.equal(answers.length, 1, 'a request has one answer');
  return answers[0] as Answer;
}

export interface Request {
  readonly method?: string;
  /** As it goes over the wire. */
  readonly target: string;
  /** Values are sent as UTF-8. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** The bytes of a request on a connection that closes behind it. Nothing in it is checked or encoded. */
export function requestBytes({ method = 'GET', target, headers = {}, body }: Request): Buffer {
  const content = body === undefined ? null : Buffer.from(body);
  const all = {
    host: 'localhost',
    ...(content === null ? {} : { 'content-length': String(content.length) }),
    ...headers,
    connection: 'close',
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`);
  return content === null ? head : Buffer.concat([head, content]);
}

/** The whole answers at the start of what a connection received. */
function readAnswers(bytes: Buffer): Answer[] {
  const answers: Answer[] = [];
  for (let at = 0; at < bytes.length;) {
    const bodyStart = bytes.indexOf('\r\n\r\n', at) + 4;
    if (bodyStart === 3) break;
    const [start = '', ...lines] = bytes.toString('latin1', at, bodyStart - 4).split('\r\n');
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(start)?.[1]);
    const headers: Record<string, string> = {};
    for (const line of lines) {
      const colon = line.indexOf(':');
      headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
    }
    const body = readBody(bytes, bodyStart, headers);
    if (body === null) break;
    if (status >= 200) answers.push({ status, headers, text: body.bytes.toString() });
    at = body.end;
  }
  return answers;
}

/** Null where it has not come whole. An interim answer has neither length nor chunks, and no body. */
function readBody(
  bytes: Buffer,
  start: number,
  headers: Readonly<Record<string, string>>,
): { readonly bytes: Buffer; readonly end: number } | null {
  if (headers['transfer-encoding'] !== 'chunked') {
    const end = start + Number(headers['content-length'] ?? 0);
    return end > bytes.length ? null : { bytes: bytes.subarray(start, end), end };
  }
  const chunks: Buffer[] = [];
  for (let at = start; ;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd === -1) return null;
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
    const end = lineEnd + 2 + size + 2;
    if (end > bytes.length) return null;
    if (size === 0) return { bytes: Buffer.concat(chunks), end };
    chunks.push(bytes.subarray(lineEnd + 2, end - 2));
    at = end;
  }
}

export interface ErrorObject {
  readonly message: string;
  readonly type: string;
  readonly param: string | null;
  readonly code: string | null;
}

/** Checks that the answer is a clean refusal (4xx, one of `statuses` where told, in the envelope), and what it says. */
export function assertRefused(answer: Answer, statuses?: readonly number[]): ErrorObject {
  const said = `${answer.status} ${answer.text.slice(0, 200)}`;
  const isWanted = statuses?.includes(answer.status) ?? (answer.status >= 400 && answer.status < 500);
  assert.ok(isWanted, `expected ${statuses?.join(' or ') ?? 'a 4xx'}, but got ${said}`);
  assert.equal(answer.headers['content-type'], 'application/json', said);
  const { error } = JSON.parse(answer.text) as { error: ErrorObject };
  assert.deepEqual(Object.keys(error), ['message', 'type', 'param', 'code'], said);
  assert.equal(error.type, 'invalid_request_error', said);
  assert.ok(error.message.length > 0, said);
  return error;
}

/** Checks that the answer is a 2xx or a clean refusal. */
export function assertClean(answer: Answer): void {
  if (answer.status < 200 || answer.status >= 300) assertRefused(answer);
}

/** Checks that the answer is a 200, and parses it. */
export function assertOk(answer: Answer): unknown {
  assert.equal(answer.status, 200, answer.text.slice(0, 300));
  return JSON.parse(answer.text);
}
