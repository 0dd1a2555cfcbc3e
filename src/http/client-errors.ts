/** Requests that are not HTTP, or too slow or too large to become one: no route ever sees them. */
import type { Server, ServerResponse } from 'node:http';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { HttpError, invalidUrl, toErrorAnswer } from './errors.ts';
import { COMMON_HEADERS, newRequestId, pathOf } from './observe.ts';

/** Answers unreadable requests in the usual envelope and closes their connections. */
export interface ClientErrorHandler {
  /** For Fastify's option of the same name. */
  readonly handle: (error: Error & { readonly code?: string }, socket: Socket) => void;
  /** Must be told the server, to know which connections are in the middle of an answer. */
  readonly watch: (server: Server) => void;
}

/** Builds the handler of one server. */
export function createClientErrorHandler(): ClientErrorHandler {
  const lastAnswers = new WeakMap<Socket, ServerResponse>();
  return {
    handle(error, socket) {
      const answer = lastAnswers.get(socket);
      // Bytes in the middle of another answer would be taken for a part of it.
      const midAnswer = answer !== undefined && answer.headersSent && !answer.writableFinished;
      if (error.code === 'ECONNRESET' || !socket.writable || midAnswer) {
        socket.destroy();
        return;
      }
      socket.end(rawAnswer(refusal(error.code)), () => socket.destroy());
    },
    watch(server) {
      server.on('request', (request, response) => lastAnswers.set(request.socket, response));
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
  const { status, headers, body } = whole(invalidUrl(method, path), request.id);
  request.log.info({ method, path, status }, 'request');
  reply.hijack();
  reply.raw.writeHead(status, headers).end(body);
}

function rawAnswer(error: HttpError): string {
  const { status, headers, body } = whole(error, newRequestId());
  const head = Object.entries({ ...headers, connection: 'close' }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${head.join('')}\r\n${body}`;
}

/** An error's answer with all that hooks would have added to it. */
function whole(error: HttpError, requestId: string) {
  const { status, body } = toErrorAnswer(error);
  const json = JSON.stringify(body);
  const headers = {
    ...COMMON_HEADERS,
    'x-request-id': requestId,
    'openai-processing-ms': '0',
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(json)),
  };
  return { status, headers, body: json };
}
