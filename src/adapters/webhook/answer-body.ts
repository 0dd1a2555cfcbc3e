import type { Readable } from 'node:stream';

/** So much of an answer's body is kept, for whoever looks for what a receiver complains of. */
const KEPT_BYTES = 1024;
/** So much is read, so that the receiver can finish what it says, before the connection is closed. */
const MAX_BODY_BYTES = 64 * 1024;

/**
 * Reads a body up to its end or MAX_BODY_BYTES and answers how it began, as text: bytes that are no UTF-8 are replaced, a
 * character that is cut off at KEPT_BYTES is left out. Never rejects: a body that breaks off is what had come of it.
 */
export async function readBodyStart(body: Readable): Promise<string> {
  const kept: Buffer[] = [];
  let bytes = 0;
  await new Promise<void>((resolve) => {
    body.on('data', (chunk: Buffer) => {
      if (bytes < KEPT_BYTES) kept.push(chunk.subarray(0, KEPT_BYTES - bytes));
      bytes += chunk.length;
      if (bytes >= MAX_BODY_BYTES) body.destroy();
    });
    body.on('error', () => {});
    body.once('close', resolve);
  });
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.concat(kept), {
    stream: bytes > KEPT_BYTES,
  });
}
