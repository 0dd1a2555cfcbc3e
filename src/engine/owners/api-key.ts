/** API keys: their form, and what they allow. Pure. */
import { hash, randomBytes } from 'node:crypto';

/** What may be done with a key; null: everything. */
export interface KeyRestrictions {
  /** Names of models, each as a line's `body.model` has it. */
  readonly models: readonly string[] | null;
  /** Endpoints that a batch may name. */
  readonly endpoints: readonly string[] | null;
}

/** A key as it is kept: without its secret, of which only the SHA-256 is. Times are integer milliseconds since 1970. */
export interface ApiKey extends KeyRestrictions {
  /** `key_` and 32 hex digits. */
  readonly id: string;
  /** Whose files and batches it opens. */
  readonly owner: string;
  readonly name: string;
  /** Requests to the API with this key; null: no limit but its owner's. */
  readonly requestsPerMinute: number | null;
  /** The first and last characters of its secret. */
  readonly hint: string;
  readonly createdAt: number;
  /** From this moment on the key is answered as an unknown one; null: never. */
  readonly expiresAt: number | null;
  readonly revokedAt: number | null;
  /** When it was last used, give or take a minute. */
  readonly lastUsedAt: number | null;
}

/** A new id: `key_` and 32 hex digits. */
export function newApiKeyId(): string {
  return `key_${randomBytes(16).toString('hex')}`;
}

/** What its holder sends: `sk-` and the base64url of 256 random bits. */
export function newSecret(): string {
  return `sk-${randomBytes(32).toString('base64url')}`;
}

/** By what a secret is kept and found: SHA-256, 64 lower-case hex digits. 256 random bits need no slower hash. */
export function hashSecret(secret: string | Uint8Array): string {
  return hash('sha256', secret, 'hex');
}

/** Enough of a secret to recognise one's own by. */
export function hintOf(secret: string): string {
  return `${secret.slice(0, 6)}...${secret.slice(-4)}`;
}

/** Null where the key that created a batch allows the model, else a sentence that says that it does not. */
export function refusalByKey(allowedModels: readonly string[] | null, model: string): string | null {
  if (allowedModels === null || allowedModels.includes(model)) return null;
  return 'The API key that created this batch does not allow it.';
}
