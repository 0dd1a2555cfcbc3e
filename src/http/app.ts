/** The HTTP service over an engine: built here, listened with by whoever starts it. */
import { fastify } from 'fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { Engine } from '../engine/index.ts';
import { createAuthenticator, isAnybody, isPublic } from './auth.ts';
import { batchRoutes } from './batches/batches.ts';
import { answerBadUrl, createClientErrorHandler } from './client-errors.ts';
import { lingerAfterEarlyAnswers } from './early-answer.ts';
import { HttpError, invalidUrl, toErrorAnswer } from './errors.ts';
import { eventRoutes } from './batches/events.ts';
import { CONTENT_HEADERS, fileRoutes } from './files/files.ts';
import { healthRoutes } from './health.ts';
import { keyRoutes } from './admin/keys.ts';
import { toMessageErrorAnswer } from './messages/errors.ts';
import { hideMessageBatches } from './messages/hidden.ts';
import { messageRoutes, USUAL_MESSAGE_OPTIONS } from './messages/routes.ts';
import type { MessageOptions } from './messages/routes.ts';
import { addMessagesHeaders, authorizationOf, isMessagesRequest } from './messages/wire.ts';
import { newRequestId, observeRequests, pathOf, requestLogger, RequestLogController } from './observe.ts';
import { describeApi } from './openapi/index.ts';
import { ownerRoutes } from './admin/owners.ts';
import { limitRequests } from './request-limits.ts';
import { resultRoutes } from './batches/results.ts';
import { secondChanceRoutes } from './batches/second-chances.ts';
import { stopInOrder } from './stopping.ts';
import { validationRoutes } from './batches/validation.ts';
import { webhookEndpointRoutes } from './webhooks/webhook-endpoints.ts';
import { uploadRoutes } from './files/uploads.ts';
import { BODY_LIMIT_BYTES } from './wire.ts';

export interface AppOptions {
  readonly engine: Engine;
  /** False: silent. */
  readonly log: Logger | false;
  /** The administrators' keys. None, and none in the database either: every request is accepted. */
  readonly apiKeys: readonly string[];
  /** What `/health/ready` answers by, besides the store. */
  readonly isReady: () => boolean | Promise<boolean>;
  /** Others than the usual ones. */
  readonly limits?: Partial<SocketLimits>;
  readonly messages?: Partial<MessageOptions>;
}

/** What makes slow clients harmless. All in milliseconds. */
export interface SocketLimits {
  /** The head of a request must have arrived by then, also the first one of a connection. */
  readonly headMs: number;
  /** A request that has not arrived whole by then is given up. Long, because large uploads come over slow lines. */
  readonly requestMs: number;
  /** A connection on which nothing moves for this long is closed: stalled uploads, downloads nobody reads. */
  readonly idleMs: number;
  /** How often heads and requests are looked at, and how much later than told they may be given up. */
  readonly checkMs: number;
}

const USUAL_LIMITS: SocketLimits = { headMs: 30_000, requestMs: 3_600_000, idleMs: 120_000, checkMs: 5000 };
/** Longer than any URL that Node's limit of headers lets through: an overlong id is unknown, not a fault of its own. */
const MAX_PARAM_LENGTH = 20_000;

/** Builds the service without listening. Closing it is the caller's, as is closing the engine's parts. */
export function buildApp(options: AppOptions): FastifyInstance {
  const { engine, isReady } = options;
  const app = buildServer(options);
  authenticate(app, engine, options.apiKeys);
  limitRequests(app, engine);
  refuseForeignPages(app);
  refuseUnknownRoutes(app);
  hideMessageBatches(app, engine);
  lingerAfterEarlyAnswers(app, engine.context.clock);
  app.setErrorHandler(sendError);

  describeApi(app);
  app.register(healthRoutes, { engine, isReady });
  app.register(fileRoutes, { engine });
  app.register(uploadRoutes, { engine });
  app.register(batchRoutes, { engine });
  app.register(resultRoutes, { engine });
  app.register(eventRoutes, { engine });
  app.register(keyRoutes, { engine });
  app.register(ownerRoutes, { engine });
  app.register(secondChanceRoutes, { engine });
  app.register(validationRoutes, { engine });
  app.register(webhookEndpointRoutes, { engine });
  app.register(messageRoutes, { engine, ...USUAL_MESSAGE_OPTIONS, ...options.messages });
  return app;
}

/** What a process without the API answers: whether it is well. There is nothing else, so nobody is asked for a key. */
export function buildHealthApp(options: Pick<AppOptions, 'engine' | 'log' | 'isReady'>): FastifyInstance {
  const { engine, isReady } = options;
  const app = buildServer(options);
  refuseUnknownRoutes(app);
  lingerAfterEarlyAnswers(app, engine.context.clock);
  app.setErrorHandler(sendError);
  app.register(healthRoutes, { engine, isReady });
  return app;
}

/** A server that bears with what HTTP clients do, and has no routes yet. */
function buildServer(options: Pick<AppOptions, 'engine' | 'log' | 'limits'>): FastifyInstance {
  const { clock } = options.engine.context;
  const limits = { ...USUAL_LIMITS, ...options.limits };
  const clientErrors = createClientErrorHandler(clock);
  const app = fastify({
    ...(options.log === false ? {} : { loggerInstance: requestLogger(options.log) }),
    logController: new RequestLogController(),
    genReqId: newRequestId,
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: limits.requestMs,
    connectionTimeout: limits.idleMs,
    http: {
      headersTimeout: limits.headMs,
      connectionsCheckingInterval: limits.checkMs,
      // Requests without a host are refused below, in the usual envelope.
      requireHostHeader: false,
    },
    rewriteUrl: ({ url = '/' }) => withoutOrigin(url),
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    // Requests that come while the service stops are refused below, in the usual envelope.
    return503OnClosing: false,
    clientErrorHandler: clientErrors.handle,
    frameworkErrors: (_error, request, reply) => answerBadUrl(request, reply),
  });
  clientErrors.watch(app.server);

  observeRequests(app, clock);
  addMessagesHeaders(app);
  stopInOrder(app, isPublic);
  refuseOddHttp(app);
  return app;
}

/**
 * The path and query of a request target. Proxies may send a whole URL (RFC 9112, 3.2.2); whom it names is the client's
 * claim, and nothing here may depend on it or repeat it.
 */
function withoutOrigin(target: string): string {
  const path = target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '');
  return path === target || path.startsWith('/') ? path : `/${path}`;
}

/** What Node's parser lets through although no HTTP/1 client sends it. */
function refuseOddHttp(app: FastifyInstance): void {
  const headers = { connection: 'close' };
  app.addHook('onRequest', async ({ raw }) => {
    const { httpVersion } = raw;
    if (httpVersion !== '1.1' && httpVersion !== '1.0') {
      throw new HttpError(400, 'This service speaks HTTP/1.1 and HTTP/1.0.', { headers });
    }
    if (httpVersion === '1.1' && raw.headers.host === undefined) {
      throw new HttpError(400, 'The request has no Host header.', { headers });
    }
  });
}

/** Before any body is read, and for unknown routes too: who has no key learns nothing of what is there. */
function authenticate(app: FastifyInstance, engine: Engine, apiKeys: readonly string[]): void {
  const authenticator = createAuthenticator({ apiKeys, keys: engine.keys });
  app.decorateRequest('caller');
  app.decorateRequest('owner', {
    getter() {
      return this.caller.owner;
    },
  });
  app.addHook('onRequest', async (request) => {
    if (!isPublic(request)) request.caller = await authenticator(authorizationOf(request));
  });
  app.addHook('onResponse', async ({ caller }) => {
    if (caller?.key != null) engine.keys.noteUse(caller.key);
  });
}

/**
 * Without keys, whoever can connect may do everything; a web page in the operator's browser can connect to loopback.
 * Browsers tell where such a request comes from, also when the page's name was made to resolve to this machine.
 */
function refuseForeignPages(app: FastifyInstance): void {
  app.addHook('onRequest', async (request) => {
    const { origin } = request.headers;
    if (origin === undefined || isPublic(request) || !isAnybody(request.caller)) return;
    const host = URL.parse(origin)?.hostname ?? '';
    if (/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(host)) return;
    throw new HttpError(
      403,
      'Requests from web pages of other sites need an API key; this service has none set.',
    );
  });
}

/** In a hook, so that the body of such a request is not read. */
function refuseUnknownRoutes(app: FastifyInstance): void {
  app.addHook('onRequest', async (request) => {
    if (request.is404) throw invalidUrl(request.method, pathOf(request));
  });
}

function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const answer = isMessagesRequest(request) ? toMessageErrorAnswer(error, request.id) : toErrorAnswer(error);
  // Refusals of HTTP are meant; every other 5xx is something to look into.
  if (answer.status >= 500 && !(error instanceof HttpError)) {
    request.log.error({ err: error }, 'request failed');
  }
  for (const name of CONTENT_HEADERS) reply.removeHeader(name);
  return reply.code(answer.status).headers(answer.headers).type('application/json').send(answer.body);
}
