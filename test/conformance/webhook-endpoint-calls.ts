/** How the cases make webhook endpoints and look at them. */
import type OpenAI from 'openai';
import { expect, onTestFinished } from 'vitest';
import type { Conformance } from './service.ts';

export const PATH = '/v1/webhook_endpoints';
export const BODY = {
  name: 'mine',
  url: 'https://hooks.example.com/a',
  event_types: ['batch.completed'],
};
export const TYPES = [
  'batch.queued',
  'batch.in_progress',
  'batch.completed',
  'batch.failed',
  'batch.expired',
  'batch.cancelled',
] as const;
/** The keys of an endpoint, in order. */
export const KEYS = [
  'id',
  'object',
  'name',
  'url',
  'event_types',
  'created_at',
  'updated_at',
  'signing_secret_hint',
  // These two are ours.
  'status',
  'disabled_reason',
];

/** Creates an endpoint, until the end of the test. */
export async function createEndpoint(
  service: Conformance,
  fields: { readonly name?: string; readonly url?: string; readonly event_types?: readonly string[] } = {},
): Promise<OpenAI.Webhooks.WebhookEndpointWithSecret> {
  const body = { ...BODY, ...fields } as OpenAI.Webhooks.WebhookCreateParams;
  const endpoint = await service.client.webhooks.create(body);
  onTestFinished(async () => {
    const { status } = await service.call(`${PATH}/${endpoint.id}`, { method: 'DELETE' });
    // The test itself may have deleted it.
    expect([200, 404]).toContain(status);
  });
  return endpoint;
}
