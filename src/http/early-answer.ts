/** Answers given while the client is still sending its body: how they reach it. */
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { Clock } from '../engine/index.ts';

/** How long the rest of a refused body is read, and dropped, before the connection is closed. */
export const LINGER_MS = 10_000;

/**
 * Sends an answer that comes before the end of the request's body at once, and then reads the rest of the body for
 * a while before it closes the connection. Closing at once would reset the connection, and a client that first
 * sends everything would never see the answer.
 */
export function lingerAfterEarlyAnswers(app: FastifyInstance, clock: Clock): void {
  app.addHook('onSend', async (request, reply, payload) => {
    if (!isStillSending(request.raw)) return payload;
    reply.header('connection', 'close');
    if (typeof payload !== 'string') return payload;
    reply.header('content-length', String(Buffer.byteLength(payload)));
    return Readable.from(answerThenLinger(payload, request.raw, clock));
  });
}

/** The answer is complete for the client by its length; its end, which closes the connection, comes later. */
async function* answerThenLinger(
  payload: string,
  request: IncomingMessage,
  clock: Clock,
): AsyncGenerator<Buffer, void, undefined> {
  yield Buffer.from(payload);
  await dropRest(request, clock);
}

/** Resolves when the body has ended, the client has left or the time is over. */
async function dropRest(request: IncomingMessage, clock: Clock): Promise<void> {
  // It may have ended since the answer was begun.
  if (request.destroyed || request.readableEnded) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const cancel = clock.after(LINGER_MS, resolve);
  request.once('end', resolve).once('close', resolve);
  request.unpipe();
  request.resume();
  await promise;
  cancel();
}

function isStillSending(request: IncomingMessage): boolean {
  if (request.complete || request.readableEnded || request.destroyed) return false;
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
  return encoding !== undefined || (length !== undefined && length !== '0');
}
