import { z } from 'zod';
import { EVENT_TYPES } from '../../engine/index.ts';
import {
  createWebhookEndpointBody,
  replayEventsBody,
  rotateSecretBody,
  testWebhookEndpointBody,
  updateWebhookEndpointBody,
} from '../webhooks/webhook-wire.ts';
import { listBatchesQuery } from '../wire.ts';
import { endpointObject, listOf, secretEndpointObject, webhookDeliveryObject } from './objects.ts';
import type { Operations } from './operation.ts';

const eventType = z.enum(EVENT_TYPES);

export const webhookOperations: Operations = {
  'GET /v1/webhook_event_types': {
    summary: 'List the types of events',
    answer: z.strictObject({ object: z.literal('list'), data: z.array(eventType) }),
  },
  'POST /v1/webhook_endpoints': {
    summary: 'Create a webhook endpoint',
    description:
      'Its `signing_secret` is answered once. It receives the events of the owner’s batches of the types it asks for.',
    body: createWebhookEndpointBody,
    answer: secretEndpointObject,
    errors: [400, 507],
  },
  'GET /v1/webhook_endpoints': {
    summary: 'List webhook endpoints',
    query: listBatchesQuery,
    answer: listOf(endpointObject),
    errors: [400, 404],
  },
  'GET /v1/webhook_endpoints/:id': {
    summary: 'Retrieve a webhook endpoint',
    answer: endpointObject,
    errors: [404],
  },
  'POST /v1/webhook_endpoints/:id': {
    summary: 'Change a webhook endpoint',
    description:
      '`status: enabled` enables one again that was disabled because it answered 410 or failed for five days.',
    body: updateWebhookEndpointBody,
    answer: endpointObject,
    errors: [400, 404],
  },
  'DELETE /v1/webhook_endpoints/:id': {
    summary: 'Delete a webhook endpoint',
    answer: z.strictObject({
      id: z.string(),
      object: z.literal('webhook_endpoint.deleted'),
      deleted: z.literal(true),
    }),
    errors: [404],
  },
  'POST /v1/webhook_endpoints/:id/rotate_secret': {
    summary: 'Give a webhook endpoint another secret',
    description: 'With `keep_old_secret_active_for_24_hours` deliveries are signed with both for a day.',
    body: rotateSecretBody,
    answer: secretEndpointObject,
    errors: [400, 404],
  },
  'POST /v1/webhook_endpoints/:id/test': {
    summary: 'Send a test event to a webhook endpoint',
    body: testWebhookEndpointBody,
    answer: z.strictObject({
      object: z.literal('webhook_endpoint.test'),
      webhook_endpoint_id: z.string(),
      event_type: eventType,
      status_code: z.int().nullable(),
      success: z.boolean(),
    }),
    errors: [400, 404, 409],
  },
  'POST /v1/webhook_endpoints/:id/replay': {
    summary: 'Send (again) the events since a time',
    description:
      'Those of the types that the endpoint has now, also what it missed while it was disabled. 1,000 at the most; `next_since` says where to go on.',
    body: replayEventsBody,
    answer: z.strictObject({
      object: z.literal('webhook_endpoint.replay'),
      webhook_endpoint_id: z.string(),
      since: z.int(),
      deliveries: z.int().min(0),
      next_since: z.int().nullable(),
    }),
    errors: [400, 404, 409],
  },
  'GET /v1/webhook_endpoints/:id/deliveries': {
    summary: 'List what was sent to a webhook endpoint',
    query: listBatchesQuery,
    answer: listOf(webhookDeliveryObject),
    errors: [400, 404],
  },
  'POST /v1/webhook_endpoints/:id/deliveries/:deliveryId/replay': {
    summary: 'Send one delivery again',
    answer: webhookDeliveryObject,
    errors: [404, 409],
  },
};
