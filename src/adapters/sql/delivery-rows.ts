/** Deliveries as rows. */
import type { BatchFormat } from '../../engine/batches/batch.ts';
import type { Delivery, DeliveryTarget, EventRecord, EventType } from '../../engine/webhooks/event.ts';
import type { DeliveryRecord } from '../../engine/webhooks/webhook-endpoint.ts';

/** The event of a delivery, as columns of its row. */
interface EventColumns {
  readonly event_id: string;
  readonly owner: string;
  readonly batch_id: string;
  readonly format: BatchFormat;
  readonly type: EventType;
}

function toEvent(row: EventColumns, createdAt: number): EventRecord {
  return {
    id: row.event_id,
    owner: row.owner,
    batchId: row.batch_id,
    format: row.format,
    type: row.type,
    createdAt,
  };
}

export interface DeliveryRow extends EventColumns {
  readonly id: string;
  readonly url: string;
  readonly origin: DeliveryTarget['origin'];
  readonly endpoint_id: string | null;
  readonly attempts: number;
  readonly epoch: number;
  readonly created_at: number;
}

export function toDelivery(row: DeliveryRow): Delivery {
  return {
    id: row.id,
    event: toEvent(row, row.created_at),
    target: toTarget(row),
    attempts: row.attempts,
    epoch: row.epoch,
  };
}

export function toTarget({ url, origin, endpoint_id }: DeliveryRow): DeliveryTarget {
  if (origin !== 'endpoint') return { url, origin };
  // It takes its pending deliveries with it.
  if (endpoint_id === null) throw new Error('a pending delivery has no endpoint');
  return { url, origin, endpointId: endpoint_id };
}

export interface RecordRow extends EventColumns {
  readonly id: string;
  readonly event_created_at: number;
  readonly created_at: number;
  readonly state: DeliveryRecord['state'];
  readonly attempts: number;
  readonly next_at: number;
  readonly last_attempt_at: number | null;
  readonly last_status_code: number | null;
  readonly last_duration_ms: number | null;
  readonly last_response: string | null;
  readonly last_error: string | null;
}

export function toRecord(row: RecordRow): DeliveryRecord {
  return {
    id: row.id,
    event: toEvent(row, row.event_created_at),
    createdAt: row.created_at,
    state: row.state,
    attempts: row.attempts,
    nextAttemptAt: row.state === 'pending' ? row.next_at : null,
    lastAttemptAt: row.last_attempt_at,
    lastStatusCode: row.last_status_code,
    lastDurationMs: row.last_duration_ms,
    lastResponse: row.last_response,
    lastError: row.last_error,
  };
}
