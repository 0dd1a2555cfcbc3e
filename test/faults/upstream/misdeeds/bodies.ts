/** Whole answers that are of no use: they are final, for the upstream has done its work and would do it again. */
import { gzipSync } from 'node:zlib';
import { answerOf } from '../server.ts';
import type { ServedCall } from '../server.ts';
import type { Misdeed } from './misdeed.ts';

const HTML = '<!doctype html><html><body><h1>It works!</h1></body></html>';

/** Answers of 200 whose bodies are no JSON. */
export const invalidBodies: readonly Misdeed[] = finals(
  { code: 'invalid_response' },
  {
    'answers 200 with HTML': (call) => call.write(answerOf(HTML, { headers: 'x-kind: text/html\r\n' })),
    'answers 200 with half of its JSON': (call) => call.write(answerOf(call.goodBody.slice(0, -20))),
    'answers 200 with two JSON texts': (call) => call.write(answerOf(call.goodBody.repeat(2))),
    'answers 200 with an empty body': (call) => call.write(answerOf('')),
    'answers 204': (call) => call.write('HTTP/1.1 204 No Content\r\n\r\n'),
    'closes within a body without a length': (call) =>
      call.end(`HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n${call.goodBody.slice(0, 50)}`),
    'answers 200 with gzip that nobody asked for': (call) => {
      const zipped = gzipSync(call.goodBody);
      const head = `HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ${zipped.length}\r\n\r\n`;
      call.write(Buffer.concat([Buffer.from(head), zipped]));
    },
  },
);

/** Answers that point elsewhere. `url`: a place where a client that followed them would be seen. */
export function redirects(url: string): Misdeed[] {
  return [301, 302, 303, 307, 308].map((status) => ({
    name: `redirects with ${status}`,
    serve: (call) => call.write(answerOf(call.goodBody, { status, headers: `location: ${url}\r\n` })),
    end: { status },
    isRetried: false,
  }));
}

/** Good answers in unusual clothes. */
export const goodAnswers: readonly Misdeed[] = finals(
  { status: 200 },
  {
    'answers well': (call) => call.write(answerOf(call.goodBody)),
    'answers well and closes': (call) =>
      call.end(answerOf(call.goodBody, { headers: 'connection: close\r\n' })),
    'answers well without a length': (call) =>
      call.end(`HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n${call.goodBody}`),
    'answers well after early hints': (call) =>
      call.write(`HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n${answerOf(call.goodBody)}`),
    'answers well in many chunks': (call) => {
      const chunks = call.goodBody.replace(/./g, '1\r\n$&\r\n');
      call.write(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`);
    },
    'answers well, byte by byte': writeByteByByte,
  },
);

function writeByteByByte(call: ServedCall): void {
  const bytes = answerOf(call.goodBody);
  let at = 0;
  const writeOne = (): void => {
    if (at < bytes.length) call.socket.write(bytes.charAt(at++), () => setImmediate(writeOne));
  };
  writeOne();
}

function finals(end: Misdeed['end'], serves: Readonly<Record<string, Misdeed['serve']>>): Misdeed[] {
  return Object.entries(serves).map(([name, serve]) => ({ name, serve, end, isRetried: false }));
}
