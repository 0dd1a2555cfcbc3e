/** The part of the Store port that keeps webhook endpoints, and what their owners see of deliveries to them. */
import type { Page } from '../page.ts';
import type { DeliveryRecord, WebhookEndpoint, WebhookEndpointChanges } from './webhook-endpoint.ts';

/** `missing`: there is no such endpoint of this owner. `disabled`: nothing is sent to it. */
export type ReplayRefusal = { readonly kind: 'missing' } | { readonly kind: 'disabled' };

export type ReplayDeliveryResult =
  | ReplayRefusal
  /** The endpoint has no such delivery (any more). */
  | { readonly kind: 'unknown_delivery' }
  | { readonly kind: 'ok'; readonly delivery: DeliveryRecord };

export type ReplayEventsResult =
  | ReplayRefusal
  | {
      readonly kind: 'ok';
      /** So many deliveries were made. */
      readonly deliveries: number;
      /** When the first event that is left was created, milliseconds; null: none is left. */
      readonly nextCreatedAt: number | null;
    };

export interface ReplayEventsQuery {
  readonly owner: string;
  readonly endpointId: string;
  /** Events created then or later, milliseconds. */
  readonly since: number;
  readonly limit: number;
  readonly now: number;
}

/**
 * An event's deliveries to endpoints are inserted with the event itself, by whatever verb does that: one for each endpoint
 * of its owner that is enabled and wants its type. A disabled endpoint has no pending deliveries: disabling ends them as
 * `failed` (ENDED_BY_DISABLING), also those under way, whose settle is then `lost`.
 *
 * In `settleDelivery` an endpoint's health is judged (`judgeEndpoint`) and it may be disabled, in the same transaction.
 */
export interface WebhookEndpointStore {
  /** `full` where the owner has `max` endpoints already. */
  insertWebhookEndpoint(endpoint: WebhookEndpoint, secret: string, max: number): Promise<'ok' | 'full'>;
  /** Null where unknown or another owner's. */
  getWebhookEndpoint(owner: string, id: string): Promise<WebhookEndpoint | null>;
  /** Newest first. Null where `after` is unknown (or another owner's). */
  listWebhookEndpoints(
    owner: string,
    after: string | undefined,
    limit: number,
  ): Promise<Page<WebhookEndpoint> | null>;
  /**
   * Applies `changeEndpoint` and answers the outcome; null as above. Pending deliveries follow a new URL. A fresh start
   * (`isFreshStart`) forgets past failures.
   */
  updateWebhookEndpoint(
    owner: string,
    id: string,
    changes: WebhookEndpointChanges,
    now: number,
  ): Promise<WebhookEndpoint | null>;
  /** Replaces the secret; the replaced one goes on signing until `oldUntil` (null: not at all). Null as above. */
  rotateWebhookSecret(rotation: {
    readonly owner: string;
    readonly id: string;
    readonly secret: string;
    readonly oldUntil: number | null;
    readonly now: number;
  }): Promise<WebhookEndpoint | null>;
  /** Removes it with its pending deliveries; false where there is none. */
  deleteWebhookEndpoint(owner: string, id: string): Promise<boolean>;
  /** The secrets that sign for the endpoint at `now`, the newest first; none where it is unknown. */
  getWebhookSecrets(id: string, now: number): Promise<readonly string[]>;
  /** Deliveries to the endpoint, newest first. Null where the endpoint or, in it, `after` is unknown. */
  listDeliveries(
    owner: string,
    endpointId: string,
    after: string | undefined,
    limit: number,
  ): Promise<Page<DeliveryRecord> | null>;
  /** Makes a new delivery, due at `now`, of the event that another one of the endpoint brought. */
  replayDelivery(
    owner: string,
    endpointId: string,
    deliveryId: string,
    now: number,
  ): Promise<ReplayDeliveryResult>;
  /**
   * Makes a new delivery, due at `now`, of each event of the types that the endpoint has now, whether it was sent to it before or not
   * (the endpoint may have been disabled, or not yet there), and which is not about to be (none of its deliveries to it is
   * pending): the oldest first, `limit` at most.
   */
  replayEvents(query: ReplayEventsQuery): Promise<ReplayEventsResult>;
}
