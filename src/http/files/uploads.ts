/** `/v1/uploads`: one route a verb. */
import multipart from '@fastify/multipart';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Engine } from '../../engine/index.ts';
import { ignoreBodies, readJsonBodies } from '../body.ts';
import { serviceStopping } from '../stopping.ts';
import { FORM_LIMITS } from './upload.ts';
import { checkPartHeaders, receivePartForm } from './upload-part.ts';
import { completeUploadBody, createUploadBody, toPartObject, toUploadObject } from './uploads-wire.ts';
import { cleanFilename } from './filename.ts';
import { parseBody } from '../validate.ts';

interface ById {
  readonly Params: { readonly id: string };
}

interface Options {
  readonly engine: Engine;
}

/** Begin an upload, add parts to it, and complete or cancel it. */
export async function uploadRoutes(app: FastifyInstance, { engine }: Options): Promise<void> {
  await app.register(createRoute, { engine });
  await app.register(partRoute, { engine });
  await app.register(completeRoute, { engine });
  await app.register(cancelRoute, { engine });
}

async function createRoute(scope: FastifyInstance, { engine }: Options): Promise<void> {
  readJsonBodies(scope);
  scope.post('/v1/uploads', async (request) => {
    const body = parseBody(createUploadBody, request);
    const upload = await engine.uploads.create({
      owner: request.owner,
      filename: cleanFilename(body.filename),
      purpose: body.purpose,
      bytes: body.bytes,
      expiresAfterSeconds: body.expires_after?.seconds,
    });
    return toUploadObject(upload);
  });
}

async function partRoute(scope: FastifyInstance, { engine }: Options): Promise<void> {
  await scope.register(multipart, { limits: FORM_LIMITS });
  const onRequest = async (request: FastifyRequest): Promise<void> => checkPartHeaders(request);
  scope.post<ById>('/v1/uploads/:id/parts', { onRequest }, async (request) =>
    toPartObject(await receivePartForm(request, engine, request.params.id)),
  );
}

async function completeRoute(scope: FastifyInstance, { engine }: Options): Promise<void> {
  readJsonBodies(scope);
  // Joining may take longer than a stop may wait, and the upload is not lost by giving it up.
  const stopping = new AbortController();
  scope.addHook('preClose', async () => stopping.abort(serviceStopping()));

  scope.post<ById>('/v1/uploads/:id/complete', async (request, reply) => {
    const body = parseBody(completeUploadBody, request);
    // Nothing moves on the connection meanwhile. Where somebody listens for that, Node does not close it.
    reply.raw.on('timeout', () => {});
    const { upload, file } = await engine.uploads.complete({
      owner: request.owner,
      id: request.params.id,
      partIds: body.part_ids,
      md5: body.md5,
      signal: stopping.signal,
    });
    return toUploadObject(upload, file);
  });
}

async function cancelRoute(scope: FastifyInstance, { engine }: Options): Promise<void> {
  ignoreBodies(scope);
  scope.post<ById>('/v1/uploads/:id/cancel', async (request) =>
    toUploadObject(await engine.uploads.cancel(request.owner, request.params.id)),
  );
}
