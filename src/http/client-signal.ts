import type { FastifyReply } from 'fastify';
import { HttpError } from './errors.ts';

/** Aborts when the client has left before its answer: nobody waits for the work any more. */
export function signalOf(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once('close', () => {
    // Nobody reads this; it is a status for the log.
    if (!reply.raw.writableFinished) controller.abort(new HttpError(499, 'The client has left.'));
  });
  return controller.signal;
}
