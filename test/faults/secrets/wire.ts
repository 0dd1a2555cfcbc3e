/** Requests byte by byte, and every answer written down. */
import { connect } from 'node:net';
import type { Place } from './canaries.ts';

export interface Answer {
  /** Which request it answers. */
  readonly what: string;
  readonly status: number;
  /** Head and body as they came. */
  readonly text: string;
  /** What it may hold: null for errors and everything that is about no file or batch. */
  readonly place: Place | null;
  json(): Readonly<Record<string, unknown>>;
}

export interface Request {
  readonly method?: string;
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  /** What its answer may hold, where that is not what answers of this route may. */
  readonly place?: Place | null;
}

export interface Visitor {
  readonly answers: readonly Answer[];
  /** Sends bytes as they are. */
  sendBytes(what: string, bytes: string | Buffer, place?: Place | null): Promise<Answer>;
  /** Sends a request, without any key but what its headers say. */
  send(what: string, request: Request): Promise<Answer>;
  /** Sends as many bytes of an unfinished request, and leaves when the service has taken them. */
  leaveAfter(bytes: string | Buffer): Promise<void>;
}

const ANSWER_MS = 30_000;

export function createVisitor(url: () => string): Visitor {
  const answers: Answer[] = [];
  const visitor: Visitor = {
    answers,
    async sendBytes(what, bytes, place) {
      const text = await exchange(url(), bytes);
      const status = Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 0);
      const answer: Answer = {
        what,
        status,
        text,
        place: place !== undefined ? place : status >= 200 && status < 300 ? placeOf(what) : null,
        json: () => JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4)) as Readonly<Record<string, unknown>>,
      };
      answers.push(answer);
      return answer;
    },
    async send(what, { method = 'GET', target, headers = {}, body = '', place }) {
      const all = {
        host: 'localhost',
        ...(body.length > 0 && { 'content-length': String(Buffer.byteLength(body)) }),
        ...headers,
        connection: 'close',
      };
      const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
      const head = `${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`;
      return await visitor.sendBytes(
        `${what}: ${method} ${target}`,
        Buffer.concat([Buffer.from(head), Buffer.from(body)]),
        place,
      );
    },
    async leaveAfter(bytes) {
      const socket = open(url());
      await new Promise<void>((resolve) => socket.write(bytes, () => resolve()));
      socket.destroy();
    },
  };
  return visitor;
}

function placeOf(what: string): Place | null {
  if (/ \/v1\/(files\/[^/]+\/content|(messages\/)?batches\/[^/]+\/results)/.test(what)) return 'content';
  if (/ \/v1\/webhook_endpoints\/[^/]+\/deliveries/.test(what)) return 'deliveries';
  return / \/v1\/(files|batches|uploads|messages|webhook_endpoints)/.test(what) ? 'objects' : null;
}

function open(url: string) {
  const { hostname, port } = new URL(url);
  // A reset shows as an end without an answer.
  return connect(Number(port), hostname).on('error', () => {});
}

/** All that comes until an answer is whole or the service closes the connection, as Latin-1. */
async function exchange(url: string, bytes: string | Buffer): Promise<string> {
  const socket = open(url);
  let text = '';
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.on('data', (data: Buffer) => {
    text += data.toString('latin1');
    if (isWhole(text)) resolve();
  });
  socket.once('close', () => resolve());
  const timer = setTimeout(
    () => reject(new Error(`no answer in ${ANSWER_MS} ms to ${bytes.toString().slice(0, 80)}`)),
    ANSWER_MS,
  );
  try {
    socket.write(bytes);
    await promise;
    return text;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

function isWhole(text: string): boolean {
  const bodyStart = text.indexOf('\r\n\r\n') + 4;
  const length = /\r\ncontent-length: (\d+)\r\n/i.exec(text.slice(0, bodyStart))?.[1];
  return length !== undefined && text.length >= bodyStart + Number(length);
}
