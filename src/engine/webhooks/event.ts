import { randomBytes } from 'node:crypto';
import type { BatchFormat } from '../batches/batch.ts';

/** Facts about a batch. The official types are the four terminal ones; the other two are ours. */
export const EVENT_TYPES = [
  'batch.queued',
  'batch.in_progress',
  'batch.completed',
  'batch.failed',
  'batch.expired',
  'batch.cancelled',
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** True for the event types that tell of a batch's end. */
export function isTerminalEvent(type: EventType): boolean {
  return type !== 'batch.queued' && type !== 'batch.in_progress';
}

/** A fact, written in the transaction that made it true. */
export interface EventRecord {
  /** `evt_` and 32 hex digits; the `webhook-id` of every delivery of it. */
  readonly id: string;
  readonly owner: string;
  readonly batchId: string;
  /** Of its batch, which may be deleted before all is delivered: tells under which id clients know that. */
  readonly format: BatchFormat;
  readonly type: EventType;
  readonly createdAt: number;
}

/** A URL that the operator configured, and trusts, or a batch's own, which is not trusted. */
export interface PlainTarget {
  readonly url: string;
  readonly origin: 'configured' | 'batch';
}

/** Where an event is to be sent. An endpoint's URL is not trusted either. */
export type DeliveryTarget =
  PlainTarget | { readonly url: string; readonly origin: 'endpoint'; readonly endpointId: string };

/** The attempts to bring one event to one URL. */
export interface Delivery {
  readonly id: string;
  readonly event: EventRecord;
  readonly target: DeliveryTarget;
  /** Attempts made so far. */
  readonly attempts: number;
  /** Raised by each claim; a settle with an older one is answered `lost`. */
  readonly epoch: number;
}

/**
 * An event together with where it goes; a Store verb that changes a state takes one and writes both. The store adds the
 * endpoints that want it, in the same transaction: no endpoint is missed that was created a moment before.
 */
export interface NewEvent {
  readonly event: EventRecord;
  readonly targets: readonly PlainTarget[];
}

/** No attempt is put off by more than this, milliseconds. */
export const MAX_DELIVERY_WAIT_MS = 24 * 3_600_000;

export function newEventId(): string {
  return `evt_${randomBytes(16).toString('hex')}`;
}
