/** `POST /v1/messages/batches`: the body becomes an input file while it arrives, and the file a batch. */
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { MESSAGES_ENDPOINT } from '../../engine/index.ts';
import type { Batch, Engine } from '../../engine/index.ts';
import { HttpError } from '../errors.ts';
import { bodyTooLarge, readRequestLines } from './body.ts';
import { toMessageBatchObject } from './object.ts';
import { baseUrlOf } from './wire.ts';

/** How large a Message Batch may be. */
export interface MessageLimits {
  readonly maxRequests: number;
  /** Of the body of a create. */
  readonly maxBytes: number;
}

/** Those of the official API. */
export const MESSAGE_LIMITS: MessageLimits = { maxRequests: 100_000, maxBytes: 256 * 1024 * 1024 };

export interface CreateRouteOptions {
  readonly engine: Engine;
  readonly limits: MessageLimits;
  readonly publicBaseUrl: string | null;
}

/** The one route whose body is never held. */
export async function createRoute(scope: FastifyInstance, options: CreateRouteOptions): Promise<void> {
  const { engine, limits, publicBaseUrl } = options;
  // The body is taken for JSON whatever it claims to be, and read by the handler.
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', (_request, payload: IncomingMessage, done) => done(null, payload));
  const onRequest = async ({ headers, owner }: FastifyRequest): Promise<void> => {
    delete headers['content-type'];
    if (Number(headers['content-length'] ?? 0) > limits.maxBytes) throw bodyTooLarge(limits.maxBytes);
    await engine.owners.checkRoom(owner, { storedBytes: 1, queuedLines: 1, liveBatches: 1 });
  };
  scope.post('/v1/messages/batches', { onRequest }, async (request) =>
    toMessageBatchObject(
      await createMessageBatch(engine, limits, request),
      baseUrlOf(request, publicBaseUrl),
    ),
  );
}

/** Receives the requests and creates their batch. Nothing is left behind where it rejects. */
async function createMessageBatch(
  engine: Engine,
  { maxBytes, maxRequests }: MessageLimits,
  request: FastifyRequest,
): Promise<Batch> {
  const { settings, upstream } = engine.context;
  const { owner } = request;
  const lines = readRequestLines(readBody(request), {
    maxBytes,
    maxRequests,
    maxLineBytes: settings.maxLineBytes,
    refusesModel: (model) => upstream.refuses(model),
  });
  const upload = await engine.files.receive(lines.bytes, { owner });
  return await engine.batches.createOver(upload, {
    owner,
    filename: 'message_batch.jsonl',
    endpoint: MESSAGES_ENDPOINT,
    completionWindow: '24h',
    format: 'anthropic',
    restrictions: request.caller.key ?? undefined,
    lines: lines.count,
  });
}

/** The bytes of the body. The connection is left alone where they are not wanted any more: an answer is to go out on it. */
async function* readBody(request: FastifyRequest): AsyncGenerator<Uint8Array, void, undefined> {
  if (request.body === undefined) return;
  const chunks = request.raw.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
  try {
    for await (const chunk of chunks) yield chunk;
  } catch (cause) {
    throw new HttpError(400, 'The request body ended too early.', { cause });
  }
}
