import { expect } from 'vitest';
import type { WebhookOutcome, WebhookRequest, WebhookSender } from '../../src/engine/index.ts';
import { createTestApp } from '../helpers/http-app.ts';
import type { TestApp, TestAppOptions } from '../helpers/http-app.ts';

export const ENDPOINTS = '/v1/webhook_endpoints';
/** What a create needs. */
export const BODY = { name: 'mine', url: 'https://mine.example/hook', event_types: ['batch.completed'] };

/** The keys of a WebhookEndpoint object, in order. */
export const ENDPOINT_KEYS = [
  'id',
  'object',
  'name',
  'url',
  'event_types',
  'created_at',
  'updated_at',
  'signing_secret_hint',
  'status',
  'disabled_reason',
];

export interface EndpointObject {
  readonly id: string;
  readonly updated_at: number;
  readonly signing_secret: string;
  readonly [key: string]: unknown;
}

/** A sender that remembers what it is given; `https://private…` may not be called. */
export function createFakeSender(
  respond: (request: WebhookRequest) => WebhookOutcome | Promise<WebhookOutcome> = () => ({
    kind: 'answered',
    status: 200,
    retryAfter: null,
    body: 'thanks',
  }),
): WebhookSender & { readonly sent: WebhookRequest[] } {
  const sent: WebhookRequest[] = [];
  return {
    sent,
    check: (url) => (url.includes('private') ? 'its host is not on the public internet' : null),
    async send(request) {
      sent.push(request);
      return await respond(request);
    },
    close: async () => {},
  };
}

/** An app with a sender, by default one that always succeeds. */
export function createWebhookApp(options: TestAppOptions = {}): TestApp {
  return createTestApp({ webhooks: createFakeSender(), ...options });
}

/** Posts a body, as JSON unless it is text already; none where it is undefined. */
export async function post(testApp: TestApp, url: string, body?: unknown) {
  const payload = typeof body === 'string' ? body : JSON.stringify(body);
  return await testApp.call({
    method: 'POST',
    url,
    ...(payload === undefined ? {} : { payload, headers: { 'content-type': 'application/json' } }),
  });
}

/** Creates an endpoint of BODY and `more`. */
export async function createdEndpoint(testApp: TestApp, more: object = {}): Promise<EndpointObject> {
  const response = await post(testApp, ENDPOINTS, { ...BODY, ...more });
  expect(response.statusCode).toBe(200);
  return response.json<EndpointObject>();
}

/** The id of an endpoint of somebody else. */
export async function foreignEndpoint({ engine }: TestApp): Promise<string> {
  const { url, name } = BODY;
  const request = { owner: 'other', name, url, eventTypes: ['batch.queued'] };
  return (await engine.webhookEndpoints.create(request)).endpoint.id;
}

/** The refusal of an id that nobody has. */
export function unknownEndpoint(id: string) {
  return { message: `No such WebhookEndpoint object: ${id}`, param: 'id' };
}
