/**
 * Loaded into the service before its entry file: makes time for its connections run faster, each limit in proportion, so
 * that a limit which is not set stays so. The shipped code knows nothing of it.
 */
import http from 'node:http';
import type { ServerOptions } from 'node:http';

/** 30 s become 0.6 s, 2 minutes 2 s, an hour 6 s, and looks every 5 s such every 0.1 s. */
const FASTER = { head: 50, idle: 60, request: 600, check: 50 };
/** What Node has where nothing is set. */
const USUAL_CHECK_MS = 30_000;

const realCreateServer = http.createServer as (
  options: ServerOptions,
  listener: http.RequestListener,
) => http.Server;

http.createServer = function createServer(
  options: ServerOptions,
  listener: http.RequestListener,
): http.Server {
  const checkMs = options.connectionsCheckingInterval ?? USUAL_CHECK_MS;
  const server = realCreateServer(
    { ...options, connectionsCheckingInterval: checkMs / FASTER.check },
    listener,
  );
  // By then Fastify has set what it sets on the server itself.
  const realListen = server.listen.bind(server) as (...args: unknown[]) => http.Server;
  server.listen = function listen(...args: unknown[]): http.Server {
    server.headersTimeout /= FASTER.head;
    server.requestTimeout /= FASTER.request;
    server.keepAliveTimeout /= FASTER.idle;
    server.setTimeout(server.timeout / FASTER.idle);
    return realListen(...args);
  } as typeof server.listen;
  return server;
} as typeof http.createServer;
