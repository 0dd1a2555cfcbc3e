/** Is the process alive, and can it do its work? For load balancers and container platforms; no key needed. */
import type { FastifyInstance } from 'fastify';
import type { Clock, Engine } from '../engine/index.ts';

/** Probes wait for a few seconds only, and a database that is away may hold its callers for longer. */
const PING_MS = 1500;

export interface HealthOptions {
  readonly engine: Engine;
  /** False until the service has started, and again once it stops. */
  readonly isReady: () => boolean | Promise<boolean>;
}

/** `GET /health/live` and `GET /health/ready`. */
export async function healthRoutes(app: FastifyInstance, options: HealthOptions): Promise<void> {
  const config = { public: true };
  const ping = createPing(options.engine);

  app.get('/health/live', { config }, async () => ({ status: 'ok' }));

  app.get('/health/ready', { config }, async (request, reply) => {
    if (!(await options.isReady())) {
      return reply.code(503).send({ status: 'unavailable', reason: 'the service is starting or stopping' });
    }
    try {
      await ping();
    } catch (error) {
      request.log.error({ err: error }, 'the store cannot be read');
      return reply.code(503).send({ status: 'unavailable', reason: 'the store cannot be read' });
    }
    return { status: 'ready' };
  });
}

/** Asks the store, once at a time however many probes come; rejects where it has not answered in time. */
function createPing(engine: Engine): () => Promise<void> {
  let asking: Promise<void> | null = null;
  return async () => {
    asking ??= engine.ping().finally(() => {
      asking = null;
    });
    await inTime(asking, engine.context.clock);
  };
}

async function inTime(asking: Promise<void>, clock: Clock): Promise<void> {
  let cancel = (): void => {};
  const late = new Promise<never>((_resolve, reject) => {
    cancel = clock.after(PING_MS, () => reject(new Error(`the store has not answered within ${PING_MS} ms`)));
  });
  try {
    await Promise.race([asking, late]);
  } finally {
    cancel();
  }
}
