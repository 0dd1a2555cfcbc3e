import type { ApiKeyStore } from '../../../engine/ports.ts';
import { page } from './files.ts';
import type { ApiKeyState, StoreState } from './state.ts';

/** Keys that an administrator hands out. */
export function createApiKeyVerbs({ apiKeys }: StoreState): ApiKeyStore {
  return {
    async insertApiKey(key, hash) {
      const taken = apiKeys.has(key.id) || [...apiKeys.values()].some((found) => found.hash === hash);
      if (taken) throw new Error(`key ${key.id} or its hash exists already`);
      apiKeys.set(key.id, { key, hash, old: null });
    },
    async findApiKey(hash, now) {
      const found = [...apiKeys.values()].find(
        (candidate) => candidate.hash === hash || (candidate.old?.hash === hash && candidate.old.until > now),
      );
      return found === undefined || deathOf(found, now) !== null ? null : found.key;
    },
    getApiKey: async (id) => apiKeys.get(id)?.key ?? null,
    async listApiKeys({ owner, after, limit }) {
      if (after !== undefined && !apiKeys.has(after)) return null;
      const newestFirst = [...apiKeys.values()].map(({ key }) => key).toReversed();
      const rest = newestFirst.slice(newestFirst.findIndex(({ id }) => id === after) + 1);
      return page(
        rest.filter((key) => owner === undefined || key.owner === owner),
        limit,
      );
    },
    hasApiKeys: async () => apiKeys.size > 0,
    async revokeApiKey(id, now) {
      const found = apiKeys.get(id);
      if (found === undefined) return false;
      found.key = { ...found.key, revokedAt: found.key.revokedAt ?? now };
      return true;
    },
    async rotateApiKey({ id, now, hash, hint, keepOldUntil }) {
      const found = apiKeys.get(id);
      if (found === undefined) return { kind: 'missing' };
      const reason = deathOf(found, now);
      if (reason !== null) return { kind: 'refused', reason };
      found.old = { hash: found.hash, until: keepOldUntil };
      found.hash = hash;
      found.key = { ...found.key, hint };
      return { kind: 'ok', key: found.key };
    },
    async noteApiKeyUse(id, now) {
      const found = apiKeys.get(id);
      if (found !== undefined) found.key = { ...found.key, lastUsedAt: now };
    },
  };
}

/** Why no secret opens the key; null where one does. */
function deathOf({ key }: ApiKeyState, now: number): 'revoked' | 'expired' | null {
  if (key.revokedAt !== null) return 'revoked';
  return key.expiresAt !== null && key.expiresAt <= now ? 'expired' : null;
}
