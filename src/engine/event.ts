import { randomBytes } from 'node:crypto';

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
  readonly type: EventType;
  readonly createdAt: number;
}

/** Where an event is to be sent. `configured` URLs come from the operator and are trusted; a batch's own are not. */
export interface DeliveryTarget {
  readonly url: string;
  readonly origin: 'configured' | 'batch';
}

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

/** An event together with where it goes; a Store verb that changes a state takes one and writes both. */
export interface NewEvent {
  readonly event: EventRecord;
  readonly targets: readonly DeliveryTarget[];
}

/** No attempt is put off by more than this, milliseconds. */
export const MAX_DELIVERY_WAIT_MS = 24 * 3_600_000;

export function newEventId(): string {
  return `evt_${randomBytes(16).toString('hex')}`;
}
