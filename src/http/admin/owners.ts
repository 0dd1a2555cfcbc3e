/** `/v1/admin/owners`: one route a verb, for administrators. */
import type { FastifyInstance } from 'fastify';
import type { Engine } from '../../engine/index.ts';
import { administratorsOnly } from '../auth.ts';
import { readJsonBodies } from '../body.ts';
import { changeOwnerBody, listOwnersQuery, toOwnerObject } from './owner-wire.ts';
import { parseBody, parseInput } from '../validate.ts';
import { toList } from '../wire.ts';

interface ByName {
  readonly Params: { readonly name: string };
}

/** List owners, see what one may use and uses, and change that. */
export async function ownerRoutes(
  app: FastifyInstance,
  { engine }: { readonly engine: Engine },
): Promise<void> {
  administratorsOnly(app);
  await app.register(changeRoute, { engine });

  app.get('/v1/admin/owners', async (request) => {
    const { limit = 20, after } = parseInput(listOwnersQuery, request.query);
    return toList(await engine.owners.list({ limit, after }), toOwnerObject);
  });

  app.get<ByName>('/v1/admin/owners/:name', async (request) =>
    toOwnerObject(await engine.owners.get(request.params.name)),
  );
}

async function changeRoute(scope: FastifyInstance, { engine }: { readonly engine: Engine }): Promise<void> {
  readJsonBodies(scope);
  scope.post<ByName>('/v1/admin/owners/:name', async (request) => {
    const body = parseBody(changeOwnerBody, request);
    const changed = await engine.owners.change(request.params.name, {
      weight: body.weight,
      requestsPerMinute: body.requests_per_minute,
      maxStoredBytes: body.max_stored_bytes,
      maxQueuedLines: body.max_queued_lines,
      maxLiveBatches: body.max_live_batches,
    });
    return toOwnerObject(changed);
  });
}
