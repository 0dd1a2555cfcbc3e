/** `/v1/batches`: one route a verb. */
import type { FastifyInstance } from 'fastify';
import type { Engine } from '../../engine/index.ts';
import { ignoreBodies, readJsonBodies } from '../body.ts';
import { idempotencyKeyOf, sendSubmitted } from './idempotency.ts';
import { parseBody, parseInput } from '../validate.ts';
import { createBatchBody, listBatchesQuery, toBatchObject, toList } from '../wire.ts';

interface ById {
  readonly Params: { readonly id: string };
}

/** Create, list, get and cancel batches. */
export async function batchRoutes(
  app: FastifyInstance,
  { engine }: { readonly engine: Engine },
): Promise<void> {
  await app.register(createRoute, { engine });
  await app.register(cancelRoute, { engine });

  app.get('/v1/batches', async (request) => {
    const { limit = 20, after } = parseInput(listBatchesQuery, request.query);
    return toList(await engine.batches.list({ owner: request.owner, limit, after }), toBatchObject);
  });

  app.get<ById>('/v1/batches/:id', async (request) =>
    toBatchObject(await engine.batches.get(request.owner, request.params.id)),
  );
}

async function createRoute(scope: FastifyInstance, { engine }: { readonly engine: Engine }): Promise<void> {
  readJsonBodies(scope);
  scope.post('/v1/batches', async (request, reply) => {
    const body = parseBody(createBatchBody, request);
    const create = {
      owner: request.owner,
      inputFileId: body.input_file_id,
      endpoint: body.endpoint,
      completionWindow: body.completion_window,
      metadata: body.metadata,
      outputExpiresAfterSeconds: body.output_expires_after?.seconds,
      priority: body.priority ?? undefined,
      webhookUrl: body.webhook_url,
      restrictions: request.caller.key ?? undefined,
    };
    const once = idempotencyKeyOf(request, body);
    if (once === null) return toBatchObject(await engine.batches.create(create));
    return sendSubmitted(reply, await engine.batches.createOnce(create, once));
  });
}

async function cancelRoute(scope: FastifyInstance, { engine }: { readonly engine: Engine }): Promise<void> {
  ignoreBodies(scope);
  scope.post<ById>('/v1/batches/:id/cancel', async (request) =>
    toBatchObject(await engine.batches.cancel(request.owner, request.params.id)),
  );
}
