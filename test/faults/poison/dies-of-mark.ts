/**
 * Loaded into the service before its entry file: the process ends when it sends a request or reads an answer that
 * carries a mark, in the way that `FAULT_DEATH` names. It stands for whatever a hostile line or answer may do to a process.
 */
import { Socket } from 'node:net';

const ANSWER_MARK = 'this answer is deadly';
const death = process.env['FAULT_DEATH'];
/** Each is in the body of one deadly line, and in nothing else that is sent. */
const lineMarks = JSON.parse(process.env['FAULT_DEADLY_LINES'] ?? '[]') as string[];

type Method = (this: Socket, ...args: unknown[]) => unknown;
const sockets = Socket.prototype as unknown as Record<'push' | '_write' | '_writev', Method>;

/** Calls `look` with each buffer that goes through the method. */
function watch(name: keyof typeof sockets, look: (socket: Socket, bytes: Buffer) => void): void {
  const real = sockets[name];
  sockets[name] = function watched(...args) {
    const parts = Array.isArray(args[0])
      ? (args[0] as { chunk: unknown }[]).map(({ chunk }) => chunk)
      : [args[0]];
    for (const part of parts) if (Buffer.isBuffer(part)) look(this, part);
    return real.apply(this, args);
  };
}

watch('push', (_socket, bytes) => {
  if (bytes.includes(ANSWER_MARK)) die();
});
for (const name of ['_write', '_writev'] as const) {
  watch(name, (socket, bytes) => {
    // Not what the service answers to its clients.
    const isServed = (socket as { readonly server?: unknown }).server != null;
    if (!isServed && lineMarks.some((mark) => bytes.includes(mark))) die();
  });
}

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
