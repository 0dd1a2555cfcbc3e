/** Answers that are cut off or break the rules of HTTP, so that there is none. */
import { answerOf } from '../server.ts';
import { failures } from './misdeed.ts';
import type { Misdeed } from './misdeed.ts';

const HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n';

export const cuts: readonly Misdeed[] = failures('request_failed', {
  'closes without a byte': (call) => call.end(),
  'resets without a byte': (call) => call.reset(),
  'closes within the headers': (call) => call.end('HTTP/1.1 200 OK\r\ncontent-le'),
  'closes after the headers': (call) => call.end(`${HEAD}content-length: 100\r\n\r\n`),
  'closes within the body': (call) =>
    call.end(`${HEAD}content-length: 100\r\n\r\n${call.goodBody.slice(0, 50)}`),
  'closes within the body, as announced': (call) =>
    call.end(`${HEAD}connection: close\r\ncontent-length: 1000\r\n\r\n${call.goodBody}`),
  'resets within a body without a length': (call) =>
    call.reset(`${HEAD}connection: close\r\n\r\n${call.goodBody}`),
  'closes within a chunk': (call) => call.end(`${HEAD}transfer-encoding: chunked\r\n\r\n40\r\n{"answer"`),
  'closes before the last chunk': (call) =>
    call.end(
      `${HEAD}transfer-encoding: chunked\r\n\r\n${call.goodBody.length.toString(16)}\r\n${call.goodBody}\r\n`,
    ),
  'says a shorter content-length than it sends': (call) =>
    call.write(`${HEAD}content-length: 20\r\n\r\n${call.goodBody}`),
  'sends a second answer with the first': (call) =>
    call.write(answerOf(call.goodBody) + answerOf('{"answer":"a second one"}')),
  'sends the beginning of a second answer with the first': (call) =>
    call.write(`${answerOf(call.goodBody)}HTTP/1.1 200 OK\r\ncontent-le`),
  'says two content-lengths': (call) =>
    call.write(`${HEAD}content-length: 20\r\ncontent-length: 30\r\n\r\n${call.goodBody}`),
  'sends no HTTP': (call) => call.write(call.goodBody),
  'sends headers without measure': (call) =>
    call.write(`${HEAD}${`x-filler: ${'x'.repeat(1000)}\r\n`.repeat(30)}\r\n${call.goodBody}`),
  'switches protocols': (call) =>
    call.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n'),
});
