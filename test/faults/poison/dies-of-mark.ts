/**
 * Loaded into the service before its entry file: the process ends when it reads an answer that carries the mark, in
 * the way that `FAULT_DEATH` names. It stands for whatever a hostile answer may do to a process.
 */
import { Socket } from 'node:net';

const MARK = 'this answer is deadly';
const death = process.env['FAULT_DEATH'];
type Push = (this: Socket, chunk: unknown, ...rest: unknown[]) => boolean;
const sockets = Socket.prototype as unknown as { push: Push };
const { push } = sockets;

sockets.push = function pushUnlessDeadly(chunk, ...rest) {
  if (Buffer.isBuffer(chunk) && chunk.includes(MARK)) die();
  return push.call(this, chunk, ...rest);
};

function die(): void {
  if (death === 'exception') {
    // Outside of any handler, so that nobody catches it.
    process.nextTick(() => {
      throw new Error('the fault: an exception that nobody catches');
    });
    return;
  }
  process.kill(process.pid, 'SIGKILL');
  // The signal may be taken a moment later.
  for (;;);
}
