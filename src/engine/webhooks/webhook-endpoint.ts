import { randomBytes } from 'node:crypto';
import type { EventRecord, EventType } from './event.ts';

const HOUR = 3_600_000;

/** So many endpoints an owner may have: each event is written once for each that wants it. */
export const MAX_WEBHOOK_ENDPOINTS = 20;
/** So long a replaced secret goes on signing where that was asked for, milliseconds. */
export const OLD_SECRET_MS = 24 * HOUR;
/** An endpoint at which no attempt has succeeded for so long is disabled, milliseconds. */
export const FAILING_AFTER_MS = 5 * 24 * HOUR;

/** Why the service disabled an endpoint: it answered 410, or nothing was delivered for FAILING_AFTER_MS. */
export type DisabledReason = 'gone' | 'failing';

/** Where an owner wants to hear of some types of events. Its secrets are kept apart: only signing needs them. */
export interface WebhookEndpoint {
  /** `whe_` and 32 hex digits. */
  readonly id: string;
  readonly owner: string;
  readonly name: string;
  readonly url: string;
  /** At least one, each once. */
  readonly eventTypes: readonly EventType[];
  /** A disabled one receives nothing. */
  readonly status: 'enabled' | 'disabled';
  /** Null: it is enabled, or its owner disabled it. */
  readonly disabledReason: DisabledReason | null;
  /** Enough of the newest secret to recognise it. */
  readonly secretHint: string;
  /** Milliseconds. */
  readonly createdAt: number;
  /** The last change of anything above. */
  readonly updatedAt: number;
}

/** What is to change; what is missing stays. */
export interface WebhookEndpointChanges {
  readonly name?: string | undefined;
  readonly url?: string | undefined;
  readonly eventTypes?: readonly EventType[] | undefined;
  readonly status?: WebhookEndpoint['status'] | undefined;
}

/** A delivery as its endpoint's owner sees it, with what came of the last attempt. Times in milliseconds. */
export interface DeliveryRecord {
  readonly id: string;
  readonly event: EventRecord;
  readonly createdAt: number;
  readonly state: 'pending' | 'delivered' | 'failed';
  readonly attempts: number;
  /** Null where it has ended. */
  readonly nextAttemptAt: number | null;
  readonly lastAttemptAt: number | null;
  readonly lastStatusCode: number | null;
  readonly lastDurationMs: number | null;
  /** How the answer's body began; null where no answer came. */
  readonly lastResponse: string | null;
  readonly lastError: string | null;
}

export function newWebhookEndpointId(): string {
  return `whe_${randomBytes(16).toString('hex')}`;
}

/** `whsec_` and the base64 of 32 random bytes. */
export function newSigningSecret(): string {
  return `whsec_${randomBytes(32).toString('base64')}`;
}

/** A secret as it may be shown again: its last characters (the very last is padding). */
export function secretHintOf(secret: string): string {
  return `whsec_***${secret.slice(-5)}`;
}

/**
 * The endpoint with these changes, or the very same one where they change nothing. Whoever enables it has dealt with the
 * reason why it was disabled. Pure.
 */
export function changeEndpoint(
  endpoint: WebhookEndpoint,
  changes: WebhookEndpointChanges,
  now: number,
): WebhookEndpoint {
  const { name = endpoint.name, url = endpoint.url, eventTypes = endpoint.eventTypes } = changes;
  const { status = endpoint.status } = changes;
  const isSame =
    name === endpoint.name &&
    url === endpoint.url &&
    eventTypes.join() === endpoint.eventTypes.join() &&
    status === endpoint.status;
  if (isSame) return endpoint;
  const disabledReason = status === 'enabled' ? null : endpoint.disabledReason;
  const updatedAt = Math.max(now, endpoint.updatedAt);
  return { ...endpoint, name, url, eventTypes, status, disabledReason, updatedAt };
}

/** True where what went wrong at `before` says nothing about `after`. */
export function isFreshStart(before: WebhookEndpoint, after: WebhookEndpoint): boolean {
  return before.url !== after.url || (before.status === 'disabled' && after.status === 'enabled');
}

/** How an endpoint does after an attempt. */
export interface EndpointHealth {
  /** Since when no attempt has succeeded, milliseconds; null: the last one did. */
  readonly failingSince: number | null;
  /** Why it is to be disabled now, or null. */
  readonly disabledReason: DisabledReason | null;
}

/** What an attempt's result means for its endpoint. Pure. */
export function judgeEndpoint(
  failingSince: number | null,
  result: { readonly kind: 'delivered' | 'retry' | 'failed'; readonly statusCode: number | null },
  now: number,
): EndpointHealth {
  if (result.kind === 'delivered') return { failingSince: null, disabledReason: null };
  // A clock that was set back since must not count the time twice.
  const since = Math.min(failingSince ?? now, now);
  if (result.statusCode === 410) return { failingSince: since, disabledReason: 'gone' };
  return { failingSince: since, disabledReason: now - since >= FAILING_AFTER_MS ? 'failing' : null };
}

/** Why the deliveries that waited for an endpoint ended when it was disabled. */
export const ENDED_BY_DISABLING = 'the endpoint was disabled';
