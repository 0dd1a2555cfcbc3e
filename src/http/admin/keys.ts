/** `/v1/admin/keys`: one route a verb, for administrators. */
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Engine, SecretKey } from '../../engine/index.ts';
import { administratorsOnly } from '../auth.ts';
import { ignoreBodies, readJsonBodies } from '../body.ts';
import { createKeyBody, listKeysQuery, rotateKeyBody, toKeyObject, toSecretKeyObject } from './key-wire.ts';
import { parseBody, parseInput } from '../validate.ts';
import { toList } from '../wire.ts';

interface ById {
  readonly Params: { readonly id: string };
}

/** Create, list, get, revoke and rotate keys. */
export async function keyRoutes(
  app: FastifyInstance,
  { engine }: { readonly engine: Engine },
): Promise<void> {
  administratorsOnly(app);
  await app.register(secretRoutes, { engine });
  await app.register(revokeRoute, { engine });

  app.get('/v1/admin/keys', async (request) => {
    const { limit = 20, after, owner } = parseInput(listKeysQuery, request.query);
    return toList(await engine.keys.list({ owner, limit, after }), toKeyObject);
  });

  app.get<ById>('/v1/admin/keys/:id', async (request) =>
    toKeyObject(await engine.keys.get(request.params.id)),
  );
}

/** The routes that answer a secret. */
async function secretRoutes(scope: FastifyInstance, { engine }: { readonly engine: Engine }): Promise<void> {
  readJsonBodies(scope);

  scope.post('/v1/admin/keys', async (request, reply) => {
    const body = parseBody(createKeyBody, request);
    const created = await engine.keys.create({
      name: body.name,
      owner: body.owner,
      expiresAtSeconds: body.expires_at,
      models: body.models,
      endpoints: body.endpoints,
      requestsPerMinute: body.requests_per_minute,
    });
    return sendSecret(reply, created);
  });

  scope.post<ById>('/v1/admin/keys/:id/rotate', async (request, reply) => {
    const body = parseBody(rotateKeyBody, request);
    const { id } = request.params;
    return sendSecret(reply, await engine.keys.rotate({ id, keepOldSeconds: body.keep_old_key_seconds }));
  });
}

/** No cache on the way may keep it. */
function sendSecret(reply: FastifyReply, secretKey: SecretKey): FastifyReply {
  return reply.header('cache-control', 'no-store').send(toSecretKeyObject(secretKey));
}

async function revokeRoute(scope: FastifyInstance, { engine }: { readonly engine: Engine }): Promise<void> {
  ignoreBodies(scope);
  scope.delete<ById>('/v1/admin/keys/:id', async (request) => {
    const { id } = request.params;
    await engine.keys.revoke(id);
    return { object: 'api_key', id, deleted: true };
  });
}
