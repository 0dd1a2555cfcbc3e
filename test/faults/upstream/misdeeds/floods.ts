/** Answers that would fill the memory of whoever takes them in or unpacks them. */
import { gzipSync } from 'node:zlib';
import type { ServedCall } from '../server.ts';
import type { Misdeed } from './misdeed.ts';

const MIB = 1024 * 1024;
const BLOCK = Buffer.alloc(64 * 1024, 'x');
/** An answer "without end" ends here, so that a service that takes it in is found out and not the machine ended. */
const MAX_FLOOD_BYTES = 128 * MIB;

/** Answers that are larger than MAX_RESPONSE_BYTES. */
export const floods: readonly Misdeed[] = [
  tooLarge('says that its answer has 10 GiB', (call) => {
    call.write(`HTTP/1.1 200 OK\r\ncontent-length: ${10 * 1024 * MIB}\r\n\r\n`);
    flood(call, (block) => block);
  }),
  tooLarge('sends chunks without end', (call) => {
    call.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
    const size = `${BLOCK.length.toString(16)}\r\n`;
    flood(call, (block) => Buffer.concat([Buffer.from(size), block, Buffer.from('\r\n')]));
  }),
  tooLarge('sends an answer without a length and without end', (call) => {
    call.write('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n');
    flood(call, (block) => block);
  }),
  tooLarge('sends chunks without end with a 500', (call) => {
    call.write('HTTP/1.1 500 Test\r\ntransfer-encoding: chunked\r\n\r\n');
    const size = `${BLOCK.length.toString(16)}\r\n`;
    flood(call, (block) => Buffer.concat([Buffer.from(size), block, Buffer.from('\r\n')]));
  }),
];

/** Some 0.5 MB that unpack to 512 MiB of JSON: gzip's members may stand one behind the other. */
function makeBomb(): Buffer {
  const member = gzipSync(Buffer.alloc(16 * MIB, 'x'));
  return Buffer.concat([
    gzipSync('{"answer":"'),
    ...Array.from({ length: 32 }, () => member),
    gzipSync('"}'),
  ]);
}

let madeBomb: Buffer | null = null;

export const bombs: readonly Misdeed[] = [
  {
    name: 'answers 200 with a gzip bomb',
    end: { code: 'invalid_response' },
    isRetried: false,
    serve: dropBomb(200),
  },
  { name: 'answers 400 with a gzip bomb', end: { status: 400 }, isRetried: false, serve: dropBomb(400) },
  { name: 'answers 500 with a gzip bomb', end: { status: 500 }, isRetried: true, serve: dropBomb(500) },
];

function dropBomb(status: number): Misdeed['serve'] {
  return (call) => {
    const bomb = (madeBomb ??= makeBomb());
    const head = `HTTP/1.1 ${status} Test\r\ncontent-encoding: gzip\r\ncontent-length: ${bomb.length}\r\n\r\n`;
    call.write(Buffer.concat([Buffer.from(head), bomb]));
  };
}

function tooLarge(name: string, serve: Misdeed['serve']): Misdeed {
  return { name, serve, end: { code: 'response_too_large' }, isRetried: false };
}

/** Writes blocks as fast as they are taken until the connection closes. */
function flood({ socket }: ServedCall, frame: (block: Buffer) => Buffer): void {
  const framed = frame(BLOCK);
  let sent = 0;
  const writeOn = (): void => {
    while (!socket.destroyed && sent < MAX_FLOOD_BYTES) {
      sent += framed.length;
      if (!socket.write(framed)) return void socket.once('drain', writeOn);
    }
  };
  writeOn();
}
