/** The part of the Store port that keeps API keys. */
import type { ApiKey } from './api-key.ts';
import type { Page } from '../page.ts';

export interface ApiKeyQuery {
  /** Left out: the keys of all owners. */
  readonly owner?: string | undefined;
  /** The id of the item before the page's first one. */
  readonly after?: string | undefined;
  readonly limit: number;
}

export interface ApiKeyRotation {
  readonly id: string;
  readonly now: number;
  /** Of the new secret. */
  readonly hash: string;
  readonly hint: string;
  /** The present secret works until then; at or before `now`: no longer. An earlier one that still did ends. */
  readonly keepOldUntil: number;
}

export type RotateApiKeyResult =
  | { readonly kind: 'missing' }
  /** A new secret for such a key would be of no use. */
  | { readonly kind: 'refused'; readonly reason: 'revoked' | 'expired' }
  | { readonly kind: 'ok'; readonly key: ApiKey };

/** Keys. Secrets are never given to it: only their SHA-256. */
export interface ApiKeyStore {
  /** Rejects where the id or the hash is taken. */
  insertApiKey(key: ApiKey, hash: string): Promise<void>;
  /** The key that the secret of this hash opens at `now`; null where that is none, or one that is revoked or expired. */
  findApiKey(hash: string, now: number): Promise<ApiKey | null>;
  /** Null where unknown. Revoked and expired keys are answered. */
  getApiKey(id: string): Promise<ApiKey | null>;
  /** Newest first (by insertion), revoked and expired ones too. Null where `after` is unknown. */
  listApiKeys(query: ApiKeyQuery): Promise<Page<ApiKey> | null>;
  /** True where there is a key, even one that is revoked or expired. */
  hasApiKeys(): Promise<boolean>;
  /** Ends all secrets of the key. False where it is unknown; one that is revoked already stays as it is. */
  revokeApiKey(id: string, now: number): Promise<boolean>;
  /** Gives the key a new secret. */
  rotateApiKey(rotation: ApiKeyRotation): Promise<RotateApiKeyResult>;
  /** Notes when the key was last used; nothing where it is unknown. */
  noteApiKeyUse(id: string, now: number): Promise<void>;
}
