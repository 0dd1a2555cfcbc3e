/** What the API offers on webhook endpoints: one verb a function. Unknown endpoints and another owner's are answered alike. */
import type { EngineContext } from '../context.ts';
import { EngineError } from '../errors.ts';
import { EVENT_TYPES } from './event.ts';
import type { EventType } from './event.ts';
import type { Page, ReplayRefusal } from '../ports.ts';
import { checkIntegerRange, checkLength, checkOneOf } from '../values.ts';
import {
  MAX_WEBHOOK_ENDPOINTS,
  newSigningSecret,
  newWebhookEndpointId,
  OLD_SECRET_MS,
  secretHintOf,
} from './webhook-endpoint.ts';
import type { DeliveryRecord, WebhookEndpoint } from './webhook-endpoint.ts';

/** The one moment at which a secret is shown. */
export interface EndpointWithSecret {
  readonly endpoint: WebhookEndpoint;
  readonly secret: string;
}

export interface CreateWebhookEndpointRequest {
  readonly owner: string;
  /** 1…256 characters. */
  readonly name: string;
  /** At most 2048 characters; http or https, and on the public internet unless private addresses are allowed. */
  readonly url: string;
  /** At least one of EVENT_TYPES. */
  readonly eventTypes: readonly string[];
}

/** Creates an endpoint with a secret of its own. `invalid_value` also where the owner has MAX_WEBHOOK_ENDPOINTS. */
export async function createWebhookEndpoint(
  ctx: EngineContext,
  request: CreateWebhookEndpointRequest,
): Promise<EndpointWithSecret> {
  const name = checkName(request.name);
  const url = checkUrl(ctx, request.url);
  const eventTypes = checkEventTypes(request.eventTypes);
  const now = ctx.clock.now();
  const secret = newSigningSecret();
  const endpoint: WebhookEndpoint = {
    id: newWebhookEndpointId(),
    owner: request.owner,
    name,
    url,
    eventTypes,
    status: 'enabled',
    disabledReason: null,
    secretHint: secretHintOf(secret),
    createdAt: now,
    updatedAt: now,
  };
  if ((await ctx.store.insertWebhookEndpoint(endpoint, secret, MAX_WEBHOOK_ENDPOINTS)) === 'full') {
    throw new EngineError(
      'invalid_value',
      `There are ${MAX_WEBHOOK_ENDPOINTS} webhook endpoints already, which is the limit. Delete one before you create another.`,
    );
  }
  ctx.log.info({ endpointId: endpoint.id, owner: endpoint.owner }, 'webhook endpoint created');
  return { endpoint, secret };
}

/** The endpoint, or `webhook_endpoint_not_found`. */
export async function getWebhookEndpoint(
  ctx: EngineContext,
  owner: string,
  id: string,
): Promise<WebhookEndpoint> {
  return found(await ctx.store.getWebhookEndpoint(owner, id), id);
}

export interface ListWebhookEndpointsRequest {
  readonly owner: string;
  readonly after?: string | undefined;
  /** 1…100. */
  readonly limit: number;
}

/** A page of the owner's endpoints, newest first. `webhook_endpoint_not_found` for an unknown `after`. */
export async function listWebhookEndpoints(
  ctx: EngineContext,
  { owner, after, limit }: ListWebhookEndpointsRequest,
): Promise<Page<WebhookEndpoint>> {
  checkIntegerRange('limit', limit, 1, 100);
  return found(await ctx.store.listWebhookEndpoints(owner, after, limit), after ?? '');
}

export interface UpdateWebhookEndpointRequest {
  readonly owner: string;
  readonly id: string;
  /** These as in a create; what is missing stays. */
  readonly name?: string | undefined;
  readonly url?: string | undefined;
  readonly eventTypes?: readonly string[] | undefined;
  /** `disabled` ends the deliveries that wait; `enabled` also where the service disabled it. */
  readonly status?: WebhookEndpoint['status'] | undefined;
}

/** Changes an endpoint and answers it as it then is. */
export async function updateWebhookEndpoint(
  ctx: EngineContext,
  { owner, id, ...wanted }: UpdateWebhookEndpointRequest,
): Promise<WebhookEndpoint> {
  const changes = {
    name: wanted.name === undefined ? undefined : checkName(wanted.name),
    url: wanted.url === undefined ? undefined : checkUrl(ctx, wanted.url),
    eventTypes: wanted.eventTypes === undefined ? undefined : checkEventTypes(wanted.eventTypes),
    status: wanted.status,
  };
  const endpoint = found(await ctx.store.updateWebhookEndpoint(owner, id, changes, ctx.clock.now()), id);
  ctx.log.info({ endpointId: id, owner, status: endpoint.status }, 'webhook endpoint updated');
  return endpoint;
}

/** Removes an endpoint and the deliveries that wait for it. */
export async function deleteWebhookEndpoint(ctx: EngineContext, owner: string, id: string): Promise<void> {
  if (!(await ctx.store.deleteWebhookEndpoint(owner, id))) throw endpointNotFound(id);
  ctx.log.info({ endpointId: id, owner }, 'webhook endpoint deleted');
}

export interface RotateWebhookSecretRequest {
  readonly owner: string;
  readonly id: string;
  /** True: the replaced secret signs as well for OLD_SECRET_MS, unless it is replaced again. */
  readonly keepOld: boolean;
}

/** Gives an endpoint a new secret. */
export async function rotateWebhookSecret(
  ctx: EngineContext,
  { owner, id, keepOld }: RotateWebhookSecretRequest,
): Promise<EndpointWithSecret> {
  const now = ctx.clock.now();
  const secret = newSigningSecret();
  const oldUntil = keepOld ? now + OLD_SECRET_MS : null;
  const endpoint = found(await ctx.store.rotateWebhookSecret({ owner, id, secret, oldUntil, now }), id);
  ctx.log.info({ endpointId: id, owner, keepOld }, 'webhook secret rotated');
  return { endpoint, secret };
}

export interface ListDeliveriesRequest extends ListWebhookEndpointsRequest {
  readonly endpointId: string;
}

/** A page of the deliveries to an endpoint, newest first. `webhook_delivery_not_found` for an unknown `after`. */
export async function listDeliveries(
  ctx: EngineContext,
  { owner, endpointId, after, limit }: ListDeliveriesRequest,
): Promise<Page<DeliveryRecord>> {
  checkIntegerRange('limit', limit, 1, 100);
  await getWebhookEndpoint(ctx, owner, endpointId);
  const page = await ctx.store.listDeliveries(owner, endpointId, after, limit);
  if (page === null) throw deliveryNotFound(after ?? '');
  return page;
}

/**
 * Sends an event again, whatever became of it: answers the new delivery. `conflict` where the endpoint is disabled,
 * `webhook_delivery_not_found` where it has no such delivery.
 */
export async function replayDelivery(
  ctx: EngineContext,
  owner: string,
  endpointId: string,
  deliveryId: string,
): Promise<DeliveryRecord> {
  const result = await ctx.store.replayDelivery(owner, endpointId, deliveryId, ctx.clock.now());
  if (result.kind === 'unknown_delivery') throw deliveryNotFound(deliveryId);
  if (result.kind !== 'ok') throw replayRefused(result, endpointId);
  ctx.wake();
  return result.delivery;
}

/** So many events are sent again at a time. */
export const MAX_REPLAYED_EVENTS = 1000;
const LAST_SECOND = Math.floor(8_640_000_000_000_000 / 1000);

export interface ReplayEventsRequest {
  readonly owner: string;
  readonly endpointId: string;
  /** Unix seconds. */
  readonly since: number;
}

/** How many deliveries were made, and since when (unix seconds) to ask again for those that are left; null: none are. */
export interface ReplayedEvents {
  readonly deliveries: number;
  readonly nextSince: number | null;
}

/**
 * Sends (again) all events of `since` and later of the endpoint's types, also those that it missed while it was disabled, but those
 * that are on their way to it: MAX_REPLAYED_EVENTS at most, the oldest first. `conflict` where the endpoint is disabled.
 */
export async function replayEvents(
  ctx: EngineContext,
  { owner, endpointId, since }: ReplayEventsRequest,
): Promise<ReplayedEvents> {
  checkIntegerRange('since', since, 0, LAST_SECOND);
  const query = { owner, endpointId, since: since * 1000, limit: MAX_REPLAYED_EVENTS, now: ctx.clock.now() };
  const result = await ctx.store.replayEvents(query);
  if (result.kind !== 'ok') throw replayRefused(result, endpointId);
  const { deliveries, nextCreatedAt } = result;
  ctx.log.info({ endpointId, owner, deliveries }, 'webhooks replayed');
  ctx.wake();
  return { deliveries, nextSince: nextCreatedAt === null ? null : Math.floor(nextCreatedAt / 1000) };
}

/** The type, or `invalid_value` with those that there are. */
export function checkEventType(param: string, type: string): EventType {
  checkOneOf(param, type, EVENT_TYPES);
  return type as EventType;
}

export function endpointNotFound(id: string): EngineError {
  return new EngineError('webhook_endpoint_not_found', `No such WebhookEndpoint object: ${id}`, {
    param: 'id',
  });
}

function deliveryNotFound(id: string): EngineError {
  return new EngineError('webhook_delivery_not_found', `No such WebhookDelivery object: ${id}`, {
    param: 'id',
  });
}

function found<T>(answer: T | null, id: string): T {
  if (answer === null) throw endpointNotFound(id);
  return answer;
}

function replayRefused(refusal: ReplayRefusal, endpointId: string): EngineError {
  if (refusal.kind === 'missing') return endpointNotFound(endpointId);
  return new EngineError(
    'conflict',
    "Cannot replay to a webhook endpoint with status 'disabled'. Enable it first.",
  );
}

const MAX_NAME_LENGTH = 256;

function checkName(name: string): string {
  if (name === '') {
    throw new EngineError(
      'invalid_value',
      "Invalid 'name': empty string. Expected a string with minimum length 1, but got an empty string instead.",
      { param: 'name' },
    );
  }
  checkLength('name', name, MAX_NAME_LENGTH);
  // Halves of surrogate pairs cannot be stored.
  return name.toWellFormed();
}

function checkUrl(ctx: EngineContext, url: string): string {
  const reason = ctx.webhooks.check(url);
  if (reason === null) return url.toWellFormed();
  throw new EngineError('invalid_value', `Invalid 'url': ${reason}.`, { param: 'url' });
}

function checkEventTypes(types: readonly string[]): readonly EventType[] {
  if (types.length === 0) {
    throw new EngineError(
      'invalid_value',
      "Invalid 'event_types': empty array. Expected an array with minimum length 1, but got an empty array instead.",
      { param: 'event_types' },
    );
  }
  return [...new Set(types.map((type, at) => checkEventType(`event_types.${at}`, type)))];
}
