/** `/v1/files`: one route a verb. */
import { Readable } from 'node:stream';
import multipart from '@fastify/multipart';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Engine, FilePurpose, FileRecord, Page } from '../../engine/index.ts';
import { UPLOAD_PURPOSES } from '../../engine/index.ts';
import { ignoreBodies } from '../body.ts';
import { HttpError } from '../errors.ts';
import { contentDisposition } from './filename.ts';
import { parseRange } from './range.ts';
import { checkUploadHeaders, FORM_LIMITS, receiveUploadForm } from './upload.ts';
import { parseInput } from '../validate.ts';
import { listFilesQuery, toFileObject, toList } from '../wire.ts';

/** As large as the buffers that a blob store reads: one of them is read ahead. */
const DOWNLOAD_BUFFER_BYTES = 64 * 1024;

interface ById {
  readonly Params: { readonly id: string };
}

/** Upload, list, get, delete and download files. */
export async function fileRoutes(
  app: FastifyInstance,
  { engine }: { readonly engine: Engine },
): Promise<void> {
  await app.register(uploadRoute, { engine });
  await app.register(deleteRoute, { engine });

  app.get('/v1/files', async (request) => toList(await listFiles(engine, request), toFileObject));

  app.get<ById>('/v1/files/:id', async (request) =>
    toFileObject(await engine.files.get(request.owner, request.params.id)),
  );

  app.route<ById>({
    method: ['GET', 'HEAD'],
    exposeHeadRoute: false,
    url: '/v1/files/:id/content',
    handler: async (request, reply) =>
      sendContent(engine, await engine.files.get(request.owner, request.params.id), request, reply),
  });
}

async function uploadRoute(scope: FastifyInstance, { engine }: { readonly engine: Engine }): Promise<void> {
  await scope.register(multipart, { limits: FORM_LIMITS });
  const onRequest = (request: FastifyRequest): Promise<void> => checkUploadHeaders(request, engine);
  scope.post('/v1/files', { onRequest }, async (request) =>
    toFileObject(await receiveUploadForm(request, engine)),
  );
}

async function deleteRoute(scope: FastifyInstance, { engine }: { readonly engine: Engine }): Promise<void> {
  ignoreBodies(scope);
  scope.delete<ById>('/v1/files/:id', async (request) => {
    const { id } = request.params;
    await engine.files.delete(request.owner, id);
    return { object: 'file', id, deleted: true };
  });
}

async function listFiles(engine: Engine, request: FastifyRequest): Promise<Page<FileRecord>> {
  const { limit = 10_000, order = 'desc', after, purpose } = parseInput(listFilesQuery, request.query);
  const known = FILE_PURPOSES.find((candidate) => candidate === purpose);
  // The official API has purposes that no file here can have; asking for those is no mistake.
  if (purpose !== undefined && known === undefined) return { data: [], hasMore: false };
  return await engine.files.list({ owner: request.owner, purpose: known, order, after, limit });
}

const FILE_PURPOSES: readonly FilePurpose[] = [...UPLOAD_PURPOSES, 'batch_output'];

/** Headers that belong to a file's bytes, not to an error that is answered in their place. */
export const CONTENT_HEADERS = ['accept-ranges', 'content-disposition', 'content-range', 'etag'];

/** Streams a file or a range of it; 304 where the client has it already. */
async function sendContent(
  engine: Engine,
  file: FileRecord,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { key, bytes } = file.blob;
  const etag = `"${key}"`;
  reply.headers({
    'accept-ranges': 'bytes',
    'content-disposition': contentDisposition(file.filename),
    'content-type': 'application/octet-stream',
    etag,
  });
  if (matchesEtag(request.headers['if-none-match'], etag)) return reply.code(304).send();

  const wanted = asksForRange(request, etag) ? parseRange(request.headers.range, bytes) : null;
  if (wanted === 'unsatisfiable') throw rangeNotSatisfiable(bytes);
  const { start, end } = wanted ?? { start: 0, end: bytes };
  if (wanted !== null) reply.code(206).header('content-range', `bytes ${start}-${end - 1}/${bytes}`);
  reply.header('content-length', String(end - start));
  if (request.method === 'HEAD') return reply.send();
  return reply.send(
    Readable.from(engine.files.read(file, { start, end }), {
      objectMode: false,
      highWaterMark: DOWNLOAD_BUFFER_BYTES,
    }),
  );
}

/** Ranges are defined for GET only, and `If-Range` is a condition on the file being the same. */
function asksForRange(request: FastifyRequest, etag: string): boolean {
  const condition = request.headers['if-range'];
  return request.method === 'GET' && (condition === undefined || condition === etag);
}

function matchesEtag(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  const tags = header.split(',').map((tag) => tag.trim());
  return tags.some((tag) => tag === '*' || tag === etag || tag === `W/${etag}`);
}

function rangeNotSatisfiable(bytes: number): HttpError {
  return new HttpError(416, `The requested range lies outside the file, which has ${bytes} bytes.`, {
    headers: { 'content-range': `bytes */${bytes}` },
  });
}
