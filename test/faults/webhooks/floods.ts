/** Answers to a webhook that never end. */
import type { Socket } from 'node:net';

export interface Flood {
  readonly name: string;
  /** True where the status comes before the flood: the attempt has its answer then, however the rest comes. */
  readonly hasStatus: boolean;
  readonly serve: (socket: Socket) => void;
}

const FLOOD_BYTES = 64 * 1024;
/** Between the bytes of a receiver that is slow on purpose. */
const DRIP_MS = 30;
const OK = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = `${OK}transfer-encoding: chunked\r\n\r\n`;

/** Writes `piece` again and again, as fast as it is taken. */
function pour(socket: Socket, start: string, piece: string): void {
  const bytes = Buffer.from(piece.repeat(Math.ceil(FLOOD_BYTES / piece.length)));
  const more = (): void => {
    if (!socket.destroyed) socket.write(bytes, () => setImmediate(more));
  };
  socket.write(start, more);
}

/** Writes `text` byte by byte, over and over. */
function drip(socket: Socket, start: string, text: string): void {
  let at = 0;
  socket.write(start);
  const timer = setInterval(() => socket.write(text.charAt(at++ % text.length)), DRIP_MS);
  socket.once('close', () => clearInterval(timer));
}

const flood = (name: string, hasStatus: boolean, serve: Flood['serve']): Flood => ({
  name,
  hasStatus,
  serve,
});

export const FLOODS: readonly Flood[] = [
  flood('headers without end', false, (socket) => pour(socket, OK, 'x-filler: 0123456789abcdef\r\n')),
  flood('one header without end', false, (socket) => pour(socket, `${OK}x-filler: `, 'x')),
  flood('a header name without end', false, (socket) => pour(socket, OK, 'x')),
  flood('a reason without end', false, (socket) => pour(socket, 'HTTP/1.1 200 ', 'x')),
  flood('empty lines without end', false, (socket) => pour(socket, '\r\n', '\r\n')),
  flood('early hints without end', false, (socket) =>
    pour(socket, '', 'HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n'),
  ),
  flood('processing without end', false, (socket) => pour(socket, '', 'HTTP/1.1 102 Processing\r\n\r\n')),
  flood('noise without end', false, (socket) => pour(socket, '', '\u0000\u0001\u0002')),
  flood('a body without end', true, (socket) =>
    pour(socket, `${OK}content-length: 9007199254740991\r\n\r\n`, 'x'),
  ),
  flood('a body without length or end', true, (socket) =>
    pour(socket, `${OK}connection: close\r\n\r\n`, 'x'),
  ),
  flood('chunks without end', true, (socket) => pour(socket, CHUNKED, `400\r\n${'x'.repeat(1024)}\r\n`)),
  flood('one chunk without end', true, (socket) => pour(socket, `${CHUNKED}ffffffffff\r\n`, 'x')),
  flood('a chunk extension without end', true, (socket) => pour(socket, `${CHUNKED}1;x=`, 'x')),
  flood('trailers without end', true, (socket) =>
    pour(socket, `${CHUNKED}1\r\nx\r\n0\r\n`, 'x-filler: x\r\n'),
  ),
  flood('a header now and then', false, (socket) => drip(socket, OK, 'x-filler: x\r\n')),
  flood('a byte of the first line now and then', false, (socket) => drip(socket, 'HTTP/1.1 200 ', 'x')),
  flood('an early hint now and then', false, (socket) => drip(socket, '', 'HTTP/1.1 103 Hints\r\n\r\n')),
  flood('a byte of the body now and then', true, (socket) =>
    drip(socket, `${OK}content-length: 99999\r\n\r\n`, 'x'),
  ),
  flood('a chunk now and then', true, (socket) => drip(socket, CHUNKED, '1\r\nx\r\n')),
  flood('silence after the status', false, (socket) => socket.write(OK)),
  flood('silence in the body', true, (socket) => socket.write(`${OK}content-length: 10\r\n\r\nx`)),
];
