/** The log: JSON lines on standard output, whose reader may be slow, or gone. */
import { pino } from 'pino';
import type { Logger } from 'pino';

/** What waits for a reader that does not read, bytes at most: later lines are dropped, and the service goes on. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;

/** How long an end waits until the last lines are written, milliseconds. */
const END_WAIT_MS = 1000;

export interface Log {
  readonly logger: Logger;
  /** Ends the process with this exit code, as soon as what was logged is written or cannot be. */
  readonly exit: (code: number) => void;
}

/**
 * Nothing here waits for the reader: not a line that is logged, and an end a second at most. That is why the
 * logger does not see the destination itself, which it would flush before an end, for as long as that may take:
 * for ever where a pipe is broken.
 */
export function createLog(level: string): Log {
  const destination = pino.destination({ fd: 1, sync: false, maxLength: MAX_WAITING_BYTES });
  let waiting = false;
  let readerIsGone = false;
  destination.on('drain', () => (waiting = false));
  // A full disk must not end the service: what failed is tried again with the next line.
  destination.on('error', (error: NodeJS.ErrnoException) => {
    waiting = false;
    readerIsGone ||= error.code === 'EPIPE';
  });
  const write = (line: string): void => {
    if (readerIsGone) return;
    waiting = true;
    destination.write(line);
  };
  return {
    logger: pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, { write }),
    exit: (code) => {
      const end = (): void => {
        // Nothing is flushed once it is destroyed.
        destination.destroy();
        process.exit(code);
      };
      if (!waiting) return end();
      destination.once('drain', end).once('error', end);
      setTimeout(end, END_WAIT_MS);
    },
  };
}
