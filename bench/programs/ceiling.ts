/**
 * How fast the benchmark's model server is itself, in a process of its own: sends the same request over and over on a few
 * sockets, many at a time, and only counts the bytes of the answers. Arguments as `yardstick.ts`; the kind and the input file
 * are not used.
 */
import { connect } from 'node:net';
import { requestBody } from '../input.ts';

const [, url = '', requestsText = '', concurrencyText = ''] = process.argv.slice(2);
const requests = Number(requestsText);
const SOCKETS = 16;
/** Requests that a socket has sent and that are not answered, at the most. */
const depth = Math.ceil(Number(concurrencyText) / SOCKETS);

const body = requestBody(0);
const { hostname, port, host } = new URL(url);
const request = `POST /v1/chat/completions HTTP/1.1\r\nhost: ${host}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const ANSWER_END = '"total_tokens":280}}';

let started = 0;
let ended = 0;

const sockets = Array.from({ length: SOCKETS }, () => {
  const socket = connect(Number(port), hostname);
  let unfinished = '';
  const send = (count: number): void => {
    const sent = Math.min(count, requests - started);
    started += sent;
    if (sent > 0) socket.write(request.repeat(sent));
  };
  socket.setEncoding('latin1').on('data', (data: string) => {
    const parts = (unfinished + data).split(ANSWER_END);
    unfinished = parts.pop() ?? '';
    ended += parts.length;
    if (ended === requests) finish();
    else send(parts.length);
  });
  socket.on('connect', () => send(depth));
  return socket;
});

function finish(): void {
  process.send?.({ answered: ended });
  // The parent measures this process, then lets go of it.
  process.once('disconnect', () => sockets.forEach((socket) => socket.destroy()));
}
