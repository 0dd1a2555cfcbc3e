/** How the HTTP service ends: new requests are refused, old ones come to their end, and nothing runs on behind it. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { HttpError } from './errors.ts';

/**
 * While the app closes, requests are refused in the usual envelope (but where `isPublic`), and each connection
 * is closed when its response has gone out. The close waits for handlers that still run after their clients
 * left: what they use is closed next.
 */
export function stopInOrder(app: FastifyInstance, isPublic: (request: FastifyRequest) => boolean): void {
  const handlers = countHandlers(app);
  let stopping = false;
  app.addHook('preClose', async () => {
    stopping = true;
  });
  app.addHook('onRequest', async (request) => {
    if (!stopping || isPublic(request)) return;
    throw serviceStopping();
  });
  // Closing the server ends the connections that are idle at that moment, and no other one ever.
  app.addHook('onResponse', async () => {
    if (stopping) app.server.closeIdleConnections();
  });
  app.addHook('onClose', () => handlers.ended());
}

/** What a request hears that comes, or is given up, while the service stops. */
export function serviceStopping(): HttpError {
  return new HttpError(503, 'The service is stopping. Try again later.', {
    headers: { connection: 'close', 'retry-after': '5' },
  });
}

/** Counts the handlers that run; `ended` resolves when there is none. */
function countHandlers(app: FastifyInstance): { ended(): Promise<void> } {
  const running = new Set<Promise<unknown>>();
  app.addHook('onRoute', (route) => {
    const { handler } = route;
    route.handler = async function counted(request, reply) {
      const call = Promise.resolve(handler.call(this, request, reply));
      running.add(call);
      try {
        return await call;
      } finally {
        running.delete(call);
      }
    };
  });
  return {
    async ended() {
      await Promise.allSettled(running);
    },
  };
}
