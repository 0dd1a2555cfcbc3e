/** Is the process alive, and can it do its work? For load balancers and container platforms; no key needed. */
import type { FastifyInstance } from 'fastify';
import type { Engine } from '../engine/index.ts';

export interface HealthOptions {
  readonly engine: Engine;
  /** False until the service has started, and again once it stops. */
  readonly isReady: () => boolean | Promise<boolean>;
}

/** `GET /health/live` and `GET /health/ready`. */
export async function healthRoutes(app: FastifyInstance, options: HealthOptions): Promise<void> {
  const config = { public: true };

  app.get('/health/live', { config }, async () => ({ status: 'ok' }));

  app.get('/health/ready', { config }, async (request, reply) => {
    if (!(await options.isReady())) {
      return reply.code(503).send({ status: 'unavailable', reason: 'the service is starting or stopping' });
    }
    try {
      await options.engine.ping();
    } catch (error) {
      request.log.error({ err: error }, 'the store cannot be read');
      return reply.code(503).send({ status: 'unavailable', reason: 'the store cannot be read' });
    }
    return { status: 'ready' };
  });
}
