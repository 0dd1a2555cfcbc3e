import type { EngineContext } from '../context.ts';
import type { Page } from '../ports.ts';
import type { DeliveryRecord, WebhookEndpoint } from './webhook-endpoint.ts';
import {
  createWebhookEndpoint,
  deleteWebhookEndpoint,
  getWebhookEndpoint,
  listDeliveries,
  listWebhookEndpoints,
  replayDelivery,
  replayEvents,
  rotateWebhookSecret,
  updateWebhookEndpoint,
} from './webhook-endpoints.ts';
import type {
  CreateWebhookEndpointRequest,
  EndpointWithSecret,
  ListDeliveriesRequest,
  ListWebhookEndpointsRequest,
  ReplayedEvents,
  ReplayEventsRequest,
  RotateWebhookSecretRequest,
  UpdateWebhookEndpointRequest,
} from './webhook-endpoints.ts';
import { createEndpointTest } from './webhook-test.ts';
import type { TestedWebhookEndpoint, TestWebhookEndpointRequest } from './webhook-test.ts';

/** Webhook endpoints as an engine offers them. Rejections are EngineErrors (`errors.ts`). */
export interface WebhookEndpointVerbs {
  create(request: CreateWebhookEndpointRequest): Promise<EndpointWithSecret>;
  get(owner: string, id: string): Promise<WebhookEndpoint>;
  list(request: ListWebhookEndpointsRequest): Promise<Page<WebhookEndpoint>>;
  update(request: UpdateWebhookEndpointRequest): Promise<WebhookEndpoint>;
  delete(owner: string, id: string): Promise<void>;
  rotateSecret(request: RotateWebhookSecretRequest): Promise<EndpointWithSecret>;
  test(request: TestWebhookEndpointRequest): Promise<TestedWebhookEndpoint>;
  listDeliveries(request: ListDeliveriesRequest): Promise<Page<DeliveryRecord>>;
  replayDelivery(owner: string, endpointId: string, deliveryId: string): Promise<DeliveryRecord>;
  replayEvents(request: ReplayEventsRequest): Promise<ReplayedEvents>;
}

/** The verbs over one context. `told` turns failures of storage into EngineErrors. */
export function createWebhookEndpointVerbs(
  ctx: EngineContext,
  told: <T>(verb: Promise<T>) => Promise<T>,
): WebhookEndpointVerbs {
  const test = createEndpointTest(ctx);
  return {
    create: (request) => told(createWebhookEndpoint(ctx, request)),
    get: (owner, id) => told(getWebhookEndpoint(ctx, owner, id)),
    list: (request) => told(listWebhookEndpoints(ctx, request)),
    update: (request) => told(updateWebhookEndpoint(ctx, request)),
    delete: (owner, id) => told(deleteWebhookEndpoint(ctx, owner, id)),
    rotateSecret: (request) => told(rotateWebhookSecret(ctx, request)),
    test: (request) => told(test(request)),
    listDeliveries: (request) => told(listDeliveries(ctx, request)),
    replayDelivery: (...ids) => told(replayDelivery(ctx, ...ids)),
    replayEvents: (request) => told(replayEvents(ctx, request)),
  };
}
