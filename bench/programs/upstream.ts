/**
 * The benchmark's model server, in a process of its own: answers every POST with the same 600 bytes over
 * keep-alive connections, with as little work as possible, so that it is not what is measured. Sends its port to
 * its parent, ends with it.
 */
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

const ANSWER_BYTES = 600;

function buildAnswer(): Buffer {
  const start =
    '{"id":"chatcmpl-bench","object":"chat.completion","created":1,"model":"bench","choices":[{"index":0,"message":{"role":"assistant","content":"';
  const end =
    '"},"finish_reason":"stop"}],"usage":{"prompt_tokens":200,"completion_tokens":80,"total_tokens":280}}';
  const body = start + 'x'.repeat(ANSWER_BYTES - start.length - end.length) + end;
  const head = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
  return Buffer.from(head + body);
}

/** Counts the complete requests in what a connection received; requests carry a content-length. */
function serve(socket: Socket, answer: Buffer): void {
  let pending: Buffer = Buffer.alloc(0);
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  socket.on('data', (data) => {
    pending = pending.length === 0 ? data : Buffer.concat([pending, data]);
    for (;;) {
      const headEnd = pending.indexOf('\r\n\r\n');
      if (headEnd === -1) return;
      const head = pending.toString('latin1', 0, headEnd).toLowerCase();
      const length = Number(/content-length: (\d+)/.exec(head)?.[1] ?? 0);
      const end = headEnd + 4 + length;
      if (pending.length < end) return;
      pending = pending.subarray(end);
      socket.write(answer);
    }
  });
}

const answer = buildAnswer();
const server = createServer((socket) => serve(socket, answer));
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.on('disconnect', () => process.exit(0));
