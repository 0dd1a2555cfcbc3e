import type { FastifyInstance } from 'fastify';
import { EngineError } from '../../engine/index.ts';
import type { Engine } from '../../engine/index.ts';

/** Makes all routes below `/v1/batches/{id}` answer for Message Batches as for unknown ones: those have an API of their own. */
export function hideMessageBatches(app: FastifyInstance, engine: Engine): void {
  app.addHook('onRequest', async (request) => {
    if (request.routeOptions.url?.startsWith('/v1/batches/:id') !== true) return;
    const { id } = request.params as { readonly id: string };
    if ((await engine.batches.format(request.owner, id)) !== 'anthropic') return;
    throw new EngineError('batch_not_found', `No batch found with id '${id}'.`);
  });
}
