/** `/v1/webhook_endpoints` and `/v1/webhook_event_types`: one route a verb. */
import type { FastifyInstance } from 'fastify';
import { EVENT_TYPES } from '../../engine/index.ts';
import type { Engine, WebhookEndpointVerbs } from '../../engine/index.ts';
import { ignoreBodies, readJsonBodies } from '../body.ts';
import { parseBody, parseInput } from '../validate.ts';
import {
  createWebhookEndpointBody,
  replayEventsBody,
  rotateSecretBody,
  testWebhookEndpointBody,
  toWebhookDeliveryObject,
  toWebhookEndpointObject,
  toWebhookEndpointWithSecret,
  updateWebhookEndpointBody,
} from './webhook-wire.ts';
import { listBatchesQuery, toList } from '../wire.ts';

interface ById {
  readonly Params: { readonly id: string };
}

interface ByDeliveryId {
  readonly Params: { readonly id: string; readonly deliveryId: string };
}

interface RouteOptions {
  readonly verbs: WebhookEndpointVerbs;
}

/** Manage webhook endpoints, look at what was sent to them, and send it again. */
export async function webhookEndpointRoutes(
  app: FastifyInstance,
  { engine }: { readonly engine: Engine },
): Promise<void> {
  const verbs = engine.webhookEndpoints;
  await app.register(routesWithBodies, { verbs });
  await app.register(routesWithoutBodies, { verbs });

  app.get('/v1/webhook_event_types', async () => ({ object: 'list', data: EVENT_TYPES }));

  app.get('/v1/webhook_endpoints', async ({ owner, query }) => {
    const { limit = 20, after } = parseInput(listBatchesQuery, query);
    return toList(await verbs.list({ owner, limit, after }), toWebhookEndpointObject);
  });

  app.get<ById>('/v1/webhook_endpoints/:id', async ({ owner, params }) =>
    toWebhookEndpointObject(await verbs.get(owner, params.id)),
  );

  app.get<ById>('/v1/webhook_endpoints/:id/deliveries', async ({ owner, params, query }) => {
    const { limit = 20, after } = parseInput(listBatchesQuery, query);
    const page = await verbs.listDeliveries({ owner, endpointId: params.id, limit, after });
    return toList(page, toWebhookDeliveryObject);
  });
}

async function routesWithBodies(scope: FastifyInstance, { verbs }: RouteOptions): Promise<void> {
  readJsonBodies(scope);

  scope.post('/v1/webhook_endpoints', async (request) => {
    const { name, url, event_types: eventTypes } = parseBody(createWebhookEndpointBody, request);
    return toWebhookEndpointWithSecret(await verbs.create({ owner: request.owner, name, url, eventTypes }));
  });

  scope.post<ById>('/v1/webhook_endpoints/:id', async (request) => {
    const { event_types: eventTypes, ...changes } = parseBody(updateWebhookEndpointBody, request);
    const { owner, params } = request;
    return toWebhookEndpointObject(await verbs.update({ owner, id: params.id, ...changes, eventTypes }));
  });

  scope.post<ById>('/v1/webhook_endpoints/:id/rotate_secret', async (request) => {
    const body = parseBody(rotateSecretBody, request);
    const keepOld = body.keep_old_secret_active_for_24_hours ?? false;
    const { owner, params } = request;
    return toWebhookEndpointWithSecret(await verbs.rotateSecret({ owner, id: params.id, keepOld }));
  });

  scope.post<ById>('/v1/webhook_endpoints/:id/test', async (request) => {
    const body = parseBody(testWebhookEndpointBody, request);
    const { owner, params } = request;
    const { eventType, statusCode } = await verbs.test({ owner, id: params.id, eventType: body.event_type });
    return {
      object: 'webhook_endpoint.test',
      webhook_endpoint_id: params.id,
      event_type: eventType,
      status_code: statusCode,
      // As in the official API: that the receiver answered. What it answered is the status code's to tell.
      success: statusCode !== null,
    };
  });

  scope.post<ById>('/v1/webhook_endpoints/:id/replay', async (request) => {
    const { since } = parseBody(replayEventsBody, request);
    const { owner, params } = request;
    const replayed = await verbs.replayEvents({ owner, endpointId: params.id, since });
    return {
      object: 'webhook_endpoint.replay',
      webhook_endpoint_id: params.id,
      since,
      deliveries: replayed.deliveries,
      next_since: replayed.nextSince,
    };
  });
}

async function routesWithoutBodies(scope: FastifyInstance, { verbs }: RouteOptions): Promise<void> {
  ignoreBodies(scope);

  scope.delete<ById>('/v1/webhook_endpoints/:id', async ({ owner, params: { id } }) => {
    await verbs.delete(owner, id);
    return { id, object: 'webhook_endpoint.deleted', deleted: true };
  });

  scope.post<ByDeliveryId>(
    '/v1/webhook_endpoints/:id/deliveries/:deliveryId/replay',
    async ({ owner, params: { id, deliveryId } }) =>
      toWebhookDeliveryObject(await verbs.replayDelivery(owner, id, deliveryId)),
  );
}
