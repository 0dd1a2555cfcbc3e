/** Requests that are not HTTP, too slow or too large to become one, or not for a server: no route ever sees them. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../engine/index.ts';
import { LINGER_MS } from './early-answer.ts';
import { HttpError, invalidUrl, toErrorAnswer } from './errors.ts';
import { toMessageErrorAnswer } from './messages/errors.ts';
import { isMessagesRequest } from './messages/wire.ts';
import { COMMON_HEADERS, loggedPath, newRequestId, OPENAI_HEADERS, pathOf } from './observe.ts';

/** Answers unreadable requests, in the usual envelope where their path cannot be known, and closes their connections. */
export interface ClientErrorHandler {
  /** For Fastify's option of the same name. */
  readonly handle: (error: Error & { readonly code?: string }, socket: Socket) => void;
  /**
   * Must be told the server, to know which connections are in the middle of an answer, and to answer what Node would
   * answer without a body, or not at all.
   */
  readonly watch: (server: Server) => void;
}

/** Builds the handler of one server. */
export function createClientErrorHandler(clock: Clock): ClientErrorHandler {
  const lastAnswers = new WeakMap<Socket, ServerResponse>();
  /** Connections that take no more requests; what still comes on them is dropped. */
  const ending = new WeakSet<Socket>();

  function refuse(socket: Socket, error: HttpError): void {
    if (ending.has(socket)) return;
    const answer = lastAnswers.get(socket);
    const isPending = answer !== undefined && !answer.writableFinished;
    // Bytes in the middle of another answer would be taken for a part of it, and bytes before it for that answer.
    if (!socket.writable || (isPending && answer.headersSent)) {
      socket.destroy();
      return;
    }
    ending.add(socket);
    if (isPending && answer.req.complete) answer.once('finish', () => end(socket, ''));
    else end(socket, rawAnswer(error, isPending ? answer.req : null));
  }

  /** Closing at once would reset the connection while more comes, and the client would never see the answer. */
  function end(socket: Socket, bytes: string): void {
    const cancel = clock.after(LINGER_MS, () => socket.destroy());
    socket.once('close', cancel);
    socket.end(bytes);
  }

  return {
    handle(error, socket) {
      if (error.code === 'ECONNRESET') socket.destroy();
      else refuse(socket, refusal(error.code));
    },
    watch(server) {
      server.on('request', (request, response) => lastAnswers.set(request.socket, response));
      server.on('connect', (_request, socket: Socket) => {
        // Node watches this connection no more, and leaves its errors to us.
        socket.on('error', () => socket.destroy()).resume();
        refuse(socket, new HttpError(405, 'This service is no proxy: CONNECT is not supported.'));
      });
      server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
        const error = new HttpError(417, 'The only expectation that is supported is 100-continue.');
        const { status, headers, body } = whole(error, newRequestId(), request);
        // Whether the body follows is not known, so that what comes next on this connection cannot be told.
        response.writeHead(status, { ...headers, connection: 'close' }).end(body);
      });
    },
  };
}

function refusal(code: string | undefined): HttpError {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new HttpError(408, 'The request took too long to arrive.');
  if (code === 'HPE_HEADER_OVERFLOW') return new HttpError(431, 'The headers of the request are too large.');
  return new HttpError(400, 'The request is not valid HTTP.');
}

/** Answers a request whose path cannot be decoded. No hook runs for those, so it is logged and answered here. */
export function answerBadUrl(request: FastifyRequest, reply: FastifyReply): void {
  const { method } = request;
  const path = pathOf(request);
  const { status, headers, body } = whole(invalidUrl(method, path), request.id, request);
  request.log.info({ method, path: loggedPath(request), status }, 'request');
  reply.hijack();
  reply.raw.writeHead(status, headers).end(body);
}

/** `request`: the one whose body is at fault; null where it cannot be known. */
function rawAnswer(error: HttpError, request: IncomingMessage | null): string {
  const { status, headers, body } = whole(error, newRequestId(), request);
  const head = Object.entries({ ...headers, connection: 'close' }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${head.join('')}\r\n${body}`;
}

/** An error's answer with all that hooks would have added to it, in the envelope of the API whose path was asked for. */
function whole(error: HttpError, requestId: string, request: { readonly url?: string | undefined } | null) {
  const isMessages = isMessagesRequest({ url: request?.url ?? '' });
  const { status, body } = isMessages ? toMessageErrorAnswer(error, requestId) : toErrorAnswer(error);
  const json = JSON.stringify(body);
  const headers = {
    ...COMMON_HEADERS,
    ...(isMessages ? { 'request-id': requestId } : { ...OPENAI_HEADERS, 'openai-processing-ms': '0' }),
    'x-request-id': requestId,
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(json)),
  };
  return { status, headers, body: json };
}
