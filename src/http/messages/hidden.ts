import type { FastifyInstance } from 'fastify';
import { EngineError } from '../../engine/index.ts';
import type { Engine } from '../../engine/index.ts';

/** Makes all routes below `/v1/batches/{id}` answer for Message Batches as for unknown ones: those have an API of their own. */
export function hideMessageBatches(app: FastifyInstance, engine: Engine): void {
  app.addHook('onRequest', async (request) => {
    if (request.routeOptions.url?.startsWith('/v1/batches/:id') !== true) return;
    const { id } = request.params as { readonly id: string };
    // What is wrong with an id is for the route itself to say.
    const batch = await engine.batches.get(request.owner, id).catch((error: unknown) => {
      if (error instanceof EngineError) return null;
      throw error;
    });
    if (batch?.format === 'anthropic') {
      throw new EngineError('batch_not_found', `No batch found with id '${id}'.`);
    }
  });
}
