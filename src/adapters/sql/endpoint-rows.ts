/** Webhook endpoints as rows. */
import type { EventType } from '../../engine/webhooks/event.ts';
import type { DisabledReason, WebhookEndpoint } from '../../engine/webhooks/webhook-endpoint.ts';

export interface EndpointRow {
  readonly seq: number;
  readonly id: string;
  readonly owner: string;
  readonly name: string;
  readonly url: string;
  readonly event_types: string;
  readonly status: WebhookEndpoint['status'];
  readonly disabled_reason: DisabledReason | null;
  readonly secret_hint: string;
  readonly created_at: number;
  readonly updated_at: number;
}

export function toEndpoint(row: EndpointRow): WebhookEndpoint {
  return {
    id: row.id,
    owner: row.owner,
    name: row.name,
    url: row.url,
    eventTypes: JSON.parse(row.event_types) as EventType[],
    status: row.status,
    disabledReason: row.disabled_reason,
    secretHint: row.secret_hint,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
