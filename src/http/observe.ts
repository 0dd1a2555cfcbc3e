/** What every request leaves behind: headers on its answer and one line in the log. */
import { randomBytes } from 'node:crypto';
import { LogController } from 'fastify';
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { Clock } from '../engine/index.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Of the monotonic clock, milliseconds. */
    startedAt: number;
  }
}

/** `req_` and 32 hex digits. */
export function newRequestId(): string {
  return `req_${randomBytes(16).toString('hex')}`;
}

/** Headers of every answer, also of those that no route gave. */
export const COMMON_HEADERS = { 'x-content-type-options': 'nosniff' };
/** Of every answer but those of the Messages API. */
export const OPENAI_HEADERS = { 'openai-version': '2020-10-01' };

/** Adds the common headers to every answer, and logs each request once, when its answer ended or its client left. */
export function observeRequests(app: FastifyInstance, clock: Clock): void {
  app.decorateRequest('startedAt', 0);

  app.addHook('onRequest', async (request, reply) => {
    request.startedAt = clock.monotonic();
    let finished = false;
    reply.raw.once('finish', () => (finished = true));
    reply.raw.once('close', () => logRequest(request, reply, { aborted: !finished, clock }));
  });

  app.addHook('onSend', async (request, reply) => {
    reply.headers({ ...COMMON_HEADERS, ...OPENAI_HEADERS });
    reply.header('x-request-id', request.id);
    reply.header('openai-processing-ms', String(elapsedMs(request, clock)));
    // Fastify adds a charset, which JSON does not have.
    const type = reply.getHeader('content-type');
    if (typeof type === 'string' && /^application\/json(?:;|$)/.test(type)) {
      reply.header('content-type', 'application/json');
    }
  });
}

function logRequest(
  request: FastifyRequest,
  reply: FastifyReply,
  { aborted, clock }: { readonly aborted: boolean; readonly clock: Clock },
): void {
  // Undefined on public routes, and for whoever was refused.
  const keyId = request.caller?.key?.id;
  const fields = {
    method: request.method,
    path: loggedPath(request),
    status: reply.statusCode,
    durationMs: elapsedMs(request, clock),
    // Administrators know their keys by it; it opens nothing.
    ...(keyId === undefined ? {} : { keyId }),
    ...(aborted ? { aborted } : {}),
  };
  // Probes come every few seconds and tell nothing while they succeed.
  if (request.routeOptions.config.public === true) request.log.debug(fields, 'request');
  else request.log.info(fields, 'request');
}

/** The path without the query, and without the fragment, which no request should have: the router leaves out both. */
export function pathOf(request: Pick<FastifyRequest, 'url'>): string {
  return request.url.split(/[?#]/, 1)[0] ?? '';
}

/** The path as the log may have it: whoever takes a key or a signing secret for an id puts it there. */
export function loggedPath(request: FastifyRequest): string {
  return pathOf(request)
    .replaceAll(/sk-[\w-]{16,}/g, 'sk-…')
    .replaceAll(/whsec_[\w+/=%-]{16,}/g, 'whsec_…');
}

function elapsedMs(request: FastifyRequest, clock: Clock): number {
  return Math.round(clock.monotonic() - request.startedAt);
}

/** Paths of log fields in which a library might put headers, hence keys. */
const REDACTED = ['busboyOptions', 'headers', '*.headers', 'authorization', '*.authorization'];

/** The logger for requests: what might hold a key is struck out, whoever logs it. */
export function requestLogger(log: Logger): FastifyBaseLogger {
  return log.child({}, { redact: REDACTED });
}

/** Fastify's own request lines stay silent; only an answer that broke off for a reason of ours is told of. */
export class RequestLogController extends LogController {
  constructor() {
    super({ disableRequestLogging: true, requestIdLogLabel: 'requestId' });
  }

  override streamError(error: Error, request: FastifyRequest): void {
    if ('code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE') return;
    request.log.error({ err: error }, 'the answer broke off');
  }
}
