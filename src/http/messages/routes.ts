/** `/v1/messages/batches`: Message Batches in the shapes of their own API, on the same engine as `/v1/batches`. */
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { clientBatchId, EngineError, fromMessageBatchId, isTerminal } from '../../engine/index.ts';
import type { Batch, Engine, Page } from '../../engine/index.ts';
import { ignoreBodies } from '../body.ts';
import { HttpError } from '../errors.ts';
import { createRoute, MESSAGE_LIMITS } from './create.ts';
import type { MessageLimits } from './create.ts';
import { deleteMessageBatch } from './delete.ts';
import { processingStatus, toMessageBatchObject } from './object.ts';
import { openResults } from './results.ts';
import { baseUrlOf, checkVersion, readListQuery } from './wire.ts';

const BUFFER_BYTES = 64 * 1024;

export interface MessageOptions {
  /** What the URLs of results begin with, as clients reach the service; null: the host that a request names. */
  readonly publicBaseUrl: string | null;
  readonly limits: MessageLimits;
}

export const USUAL_MESSAGE_OPTIONS: MessageOptions = { publicBaseUrl: null, limits: MESSAGE_LIMITS };

interface ById {
  readonly Params: { readonly id: string };
}

type RouteOptions = MessageOptions & { readonly engine: Engine };

/** Create, list, get, cancel and delete Message Batches, and read their results. */
export async function messageRoutes(app: FastifyInstance, options: RouteOptions): Promise<void> {
  const { engine, publicBaseUrl } = options;
  checkVersion(app);
  await app.register(createRoute, options);
  await app.register(changeRoutes, options);

  app.get('/v1/messages/batches', async (request) => {
    const page = await listMessageBatches(engine, request);
    const baseUrl = baseUrlOf(request, publicBaseUrl);
    const data = page.data.map((batch) => toMessageBatchObject(batch, baseUrl));
    return {
      data,
      has_more: page.hasMore,
      first_id: data[0]?.id ?? null,
      last_id: data.at(-1)?.id ?? null,
    };
  });

  app.get<ById>('/v1/messages/batches/:id', async (request) =>
    toMessageBatchObject(await findMessageBatch(engine, request), baseUrlOf(request, publicBaseUrl)),
  );

  app.route<ById>({
    method: 'GET',
    exposeHeadRoute: false,
    url: '/v1/messages/batches/:id/results',
    handler: async (request, reply) => sendResults(engine, await findMessageBatch(engine, request), reply),
  });
}

/** Their bodies are read and dropped. */
async function changeRoutes(scope: FastifyInstance, { engine, publicBaseUrl }: RouteOptions): Promise<void> {
  ignoreBodies(scope);
  scope.post<ById>('/v1/messages/batches/:id/cancel', async (request) => {
    const batch = await cancelMessageBatch(engine, await findMessageBatch(engine, request));
    return toMessageBatchObject(batch, baseUrlOf(request, publicBaseUrl));
  });
  scope.delete<ById>('/v1/messages/batches/:id', async (request) => {
    const batch = await findMessageBatch(engine, request);
    await deleteMessageBatch(engine, batch);
    return { id: clientBatchId(batch), type: 'message_batch_deleted' };
  });
}

/** Unknown, another owner's and the other API's batches are answered alike. */
async function findMessageBatch(engine: Engine, request: FastifyRequest<ById>): Promise<Batch> {
  const id = fromMessageBatchId(request.params.id);
  const batch = id === null ? null : await engine.batches.get(request.owner, id).catch(nullIfUnknown);
  if (batch?.format !== 'anthropic') throw notFound(request.params.id);
  return batch;
}

async function listMessageBatches(engine: Engine, request: FastifyRequest): Promise<Page<Batch>> {
  const { limit, before, after } = readListQuery(request.query);
  const cursor = before ?? after;
  const id = cursor === undefined ? undefined : fromMessageBatchId(cursor);
  if (id === null) throw notFound(cursor ?? '');
  const query = { owner: request.owner, limit, format: 'anthropic' } as const;
  const page = await engine.batches
    .list(before === undefined ? { ...query, after: id } : { ...query, before: id })
    .catch(nullIfUnknown);
  if (page === null) throw notFound(cursor ?? '');
  return page;
}

function nullIfUnknown(error: unknown): null {
  if (error instanceof EngineError && error.code === 'batch_not_found') return null;
  throw error;
}

function notFound(id: string): HttpError {
  return new HttpError(404, `No Message Batch found with id '${id}'.`);
}

/** Begins to cancel. One that is only about to end, or was cancelled already, stays as it is. */
async function cancelMessageBatch(engine: Engine, batch: Batch): Promise<Batch> {
  try {
    return await engine.batches.cancel(batch.owner, batch.id);
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== 'conflict') throw error;
    const now = await engine.batches.get(batch.owner, batch.id);
    if (!isTerminal(now.status)) return now;
    throw new HttpError(
      400,
      `Message Batch '${clientBatchId(batch)}' cannot be canceled: its processing has ended.`,
    );
  }
}

async function sendResults(engine: Engine, batch: Batch, reply: FastifyReply): Promise<FastifyReply> {
  if (!isTerminal(batch.status)) {
    throw new HttpError(
      404,
      `Message Batch '${clientBatchId(batch)}' has no results yet: its processing_status is '${processingStatus(batch)}'.`,
    );
  }
  const bytes = await openResults(engine, batch).catch((error: unknown) => {
    if (!(error instanceof EngineError) || error.code !== 'file_not_found') throw error;
    throw new HttpError(404, `The results of Message Batch '${clientBatchId(batch)}' are no longer there.`);
  });
  return reply
    .type('application/x-jsonl')
    .send(Readable.from(bytes, { objectMode: false, highWaterMark: BUFFER_BYTES }));
}
