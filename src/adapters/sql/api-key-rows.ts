/** Keys as rows. */
import type { ApiKey } from '../../engine/owners/api-key.ts';
import { toList } from './rows.ts';

export interface ApiKeyRow {
  readonly id: string;
  readonly owner: string;
  readonly name: string;
  readonly hint: string;
  readonly models: string | null;
  readonly endpoints: string | null;
  readonly created_at: number;
  readonly expires_at: number | null;
  readonly revoked_at: number | null;
  readonly last_used_at: number | null;
  readonly requests_per_minute: number | null;
}

export function toApiKey(row: ApiKeyRow): ApiKey {
  return {
    id: row.id,
    owner: row.owner,
    name: row.name,
    requestsPerMinute: row.requests_per_minute,
    hint: row.hint,
    models: toList(row.models),
    endpoints: toList(row.endpoints),
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
    lastUsedAt: row.last_used_at,
  };
}
