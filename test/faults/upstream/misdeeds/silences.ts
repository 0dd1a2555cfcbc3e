/** Answers that never end: only the time limit of the request ends the attempt. */
import type { ServedCall } from '../server.ts';
import { failures } from './misdeed.ts';
import type { Misdeed } from './misdeed.ts';

/** Far more often than a real one would, and far too slow all the same. */
const DRIP_MS = 40;

export const silences: readonly Misdeed[] = failures('request_timeout', {
  'never answers': () => {},
  'sends headers and nothing more': (call) => call.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n'),
  'sends headers and then a byte now and then': (call) => {
    call.write('HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n{"');
    drip(call, 'x');
  },
  'sends a byte of its headers now and then': (call) => {
    call.write('HTTP/1.1 200 OK\r\nx-slow: ');
    drip(call, 'x');
  },
  'sends early hints for ever': (call) => drip(call, 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'),
  'says a longer content-length than it sends': (call) => {
    const length = call.goodBody.length + 1;
    call.write(`HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\n\r\n${call.goodBody}`);
  },
  'never sends the last chunk': (call) => {
    const size = call.goodBody.length.toString(16);
    call.write(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${size}\r\n${call.goodBody}\r\n`);
  },
}).map((misdeed) => ({ ...misdeed, timesOut: true }));

function drip({ socket }: ServedCall, bytes: string): void {
  const timer = setInterval(() => socket.write(bytes), DRIP_MS);
  socket.once('close', () => clearInterval(timer));
}
