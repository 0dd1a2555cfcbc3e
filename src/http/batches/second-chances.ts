/** `DELETE /v1/batches/{id}` and `POST /v1/batches/{id}/retry`. */
import type { FastifyInstance } from 'fastify';
import type { Engine } from '../../engine/index.ts';
import { ignoreBodies, readJsonBodies } from '../body.ts';
import { signalOf } from '../client-signal.ts';
import { createGate } from '../gate.ts';
import { idempotencyKeyOf, sendSubmitted } from './idempotency.ts';
import { parseBody } from '../validate.ts';
import { retryBatchBody } from '../wire.ts';

/** Each reads two files and writes one. */
const MAX_RETRIES_AT_A_TIME = 4;

interface ById {
  readonly Params: { readonly id: string };
}

/** Delete batches, and run their failed lines again. */
export async function secondChanceRoutes(
  app: FastifyInstance,
  { engine }: { readonly engine: Engine },
): Promise<void> {
  await app.register(deleteRoute, { engine });
  await app.register(retryRoute, { engine });
}

async function deleteRoute(scope: FastifyInstance, { engine }: { readonly engine: Engine }): Promise<void> {
  ignoreBodies(scope);
  scope.delete<ById>('/v1/batches/:id', async (request) => {
    const { id } = request.params;
    await engine.batches.delete(request.owner, id);
    return { object: 'batch', id, deleted: true };
  });
}

async function retryRoute(scope: FastifyInstance, { engine }: { readonly engine: Engine }): Promise<void> {
  readJsonBodies(scope);
  const gate = createGate({ max: MAX_RETRIES_AT_A_TIME, what: 'retries of batches' });
  scope.post<ById>('/v1/batches/:id/retry', async (request, reply) => {
    const body = parseBody(retryBatchBody, request);
    const retry = {
      owner: request.owner,
      batchId: request.params.id,
      metadata: body.metadata,
      completionWindow: body.completion_window,
      priority: body.priority,
      webhookUrl: body.webhook_url,
      restrictions: request.caller.key ?? undefined,
      once: idempotencyKeyOf(request, body),
      signal: signalOf(reply),
    };
    return sendSubmitted(reply, await gate(() => engine.batches.retry(retry)));
  });
}
