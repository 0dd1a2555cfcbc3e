/**
 * The benchmark's model server, in a process of its own: answers every POST over keep-alive connections with as little
 * work as possible, so that it is not what is measured. Arguments: bytes of an answer's body, latency in milliseconds, share
 * of answers that are a 400. Sends {port} to its parent, {answered, at} for each count that it was told to watch for
 * ({watch: [counts]}, which also sets the count to zero), and ends when the parent disconnects.
 */
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

const [bytesText = '600', latencyText = '0', errorShareText = '0'] = process.argv.slice(2);
const latencyMs = Number(latencyText);
const errorShare = Number(errorShareText);

/** A whole response, head and body. */
function buildAnswer(status: string, bytes: number): Buffer {
  const start =
    '{"id":"chatcmpl-bench","object":"chat.completion","created":1,"model":"bench","choices":[{"index":0,"message":{"role":"assistant","content":"';
  const end =
    '"},"finish_reason":"stop"}],"usage":{"prompt_tokens":200,"completion_tokens":80,"total_tokens":280}}';
  const body = start + 'x'.repeat(Math.max(0, bytes - start.length - end.length)) + end;
  const head = `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
  return Buffer.from(head + body);
}

const answer = buildAnswer('200 OK', Number(bytesText));
const refusal = buildAnswer('400 Bad Request', 300);

let answered = 0;
let watched = new Set<number>();

function reply(socket: Socket): void {
  answered++;
  // Every so many-th: the same lines fail in each run.
  const isRefused =
    errorShare > 0 && Math.floor(answered * errorShare) > Math.floor((answered - 1) * errorShare);
  socket.write(isRefused ? refusal : answer);
  if (watched.has(answered)) process.send?.({ answered, at: now() });
}

/** Milliseconds by a clock that all processes of the machine share. */
function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Requests that wait for their answers. All wait equally long, so they are due in the order of their arrival. */
const waiting: { readonly socket: Socket; readonly due: number }[] = [];
let served = 0;
let timer: NodeJS.Timeout | null = null;

function replyLater(socket: Socket): void {
  waiting.push({ socket, due: performance.now() + latencyMs });
  timer ??= setTimeout(replyToDue, latencyMs);
}

function replyToDue(): void {
  timer = null;
  const time = performance.now();
  while (served < waiting.length && (waiting[served]?.due ?? 0) <= time) reply(waiting[served++]!.socket);
  if (served > 10_000) {
    waiting.splice(0, served);
    served = 0;
  }
  const next = waiting[served];
  if (next !== undefined) timer = setTimeout(replyToDue, Math.max(1, next.due - time));
}

/** Counts the complete requests in what a connection received; requests carry a content-length. */
function serve(socket: Socket): void {
  let pending: Buffer = Buffer.alloc(0);
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  socket.on('data', (data) => {
    pending = pending.length === 0 ? data : Buffer.concat([pending, data]);
    for (;;) {
      const end = endOfRequest(pending);
      if (end === 0 || pending.length < end) return;
      pending = pending.subarray(end);
      if (latencyMs === 0) reply(socket);
      else replyLater(socket);
    }
  });
}

const LENGTH = Buffer.from('ontent-');

/** Where the first request ends, or 0 where its head is not all there. */
function endOfRequest(bytes: Buffer): number {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd === -1) return 0;
  for (let at = bytes.indexOf(LENGTH); at !== -1 && at < headEnd; at = bytes.indexOf(LENGTH, at + 1)) {
    const name = bytes.toString('latin1', at, at + 16).toLowerCase();
    if (name.startsWith('ontent-length: ')) {
      return headEnd + 4 + Number.parseInt(bytes.toString('latin1', at + 15, at + 27), 10);
    }
  }
  return headEnd + 4;
}

const server = createServer(serve);
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.on('message', ({ watch }: { readonly watch: readonly number[] }) => {
  answered = 0;
  watched = new Set(watch);
  process.send?.({ answered: 0, at: now() });
});
process.on('disconnect', () => process.exit(0));
