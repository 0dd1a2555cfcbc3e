/** What happens to keys. */
import { anApiKey, hashOf, T0 } from '../../helpers/store-fixtures.ts';

import { pick } from './world.ts';
import type { Action } from './world.ts';

/** The hash of a secret that no key ever had. */
function newHash(secrets: string[]): string {
  const hash = hashOf(`secret ${secrets.length}`);
  secrets.push(hash);
  return hash;
}

export const KEY_ACTIONS: Readonly<Record<string, Action>> = {
  async createKey({ both, keys, secrets }, n, m) {
    const key = anApiKey({ owner: 'ab'[n % 2] ?? 'a', expiresAt: m % 3 === 0 ? T0 + (m % 4) : null });
    const hash = newHash(secrets);
    keys.push(key.id);
    await both((store) => store.insertApiKey(key, hash));
  },
  async findKey({ both, secrets }, n, m) {
    await both((store) => store.findApiKey(pick(secrets, n) ?? 'unknown', T0 + (m % 4)));
  },
  async listKeys({ both, keys }, n, m) {
    const query = { owner: ['a', 'b', undefined][n % 3], after: m % 2 === 0 ? pick(keys, m) : undefined };
    await both((store) => store.listApiKeys({ ...query, limit: 1 + (n % 3) }));
  },
  async revokeKey({ both, keys }, n, m) {
    await both((store) => store.revokeApiKey(pick(keys, n) ?? 'key_unknown', T0 + (m % 4)));
  },
  async rotateKey({ both, keys, secrets }, n, m) {
    const id = pick(keys, n) ?? 'key_unknown';
    const times = { now: T0 + (m % 4), keepOldUntil: T0 + (m % 6) };
    const hash = newHash(secrets);
    await both((store) => store.rotateApiKey({ id, hash, hint: `${m}`, ...times }));
  },
};
