/** The wire's shapes of keys. */
import { z } from 'zod';
import type { ApiKey, SecretKey } from '../../engine/index.ts';
import { given, integerText, toUnixSeconds } from '../wire.ts';

export const createKeyBody = z.object({
  name: z.string(),
  owner: z.string(),
  expires_at: z.int().nullish(),
  models: z.array(z.string()).nullish(),
  endpoints: z.array(z.string()).nullish(),
  requests_per_minute: z.int().nullish(),
});

export const rotateKeyBody = z.object({ keep_old_key_seconds: z.int().nullish() });

export const listKeysQuery = z.object({
  limit: given(integerText),
  after: given(z.string()),
  owner: given(z.string()),
});

/** A key's object, without its secret. */
export function toKeyObject(key: ApiKey) {
  return {
    object: 'api_key',
    id: key.id,
    name: key.name,
    owner: key.owner,
    hint: key.hint,
    created_at: toUnixSeconds(key.createdAt),
    expires_at: toUnixSeconds(key.expiresAt),
    revoked_at: toUnixSeconds(key.revokedAt),
    last_used_at: toUnixSeconds(key.lastUsedAt),
    models: key.models,
    endpoints: key.endpoints,
    requests_per_minute: key.requestsPerMinute,
  };
}

/** A key's object with the secret, as `key`: the answer to create and rotate, and to nothing else. */
export function toSecretKeyObject({ key, secret }: SecretKey) {
  return { ...toKeyObject(key), key: secret };
}
