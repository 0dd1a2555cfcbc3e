import { describe, expect } from 'vitest';
import type { ApiKey } from '../../src/engine/owners/api-key.ts';
import type { Store } from '../../src/engine/ports.ts';
import { anApiKey, createBatch, HOUR_MS, hashOf, readBatch, T0 } from '../helpers/store-fixtures.ts';
import type { StoreIt } from './store-test.ts';

/** Keys that an administrator hands out. */
export function describeApiKeys(it: StoreIt): void {
  describe('keys', () => {
    describeFinding(it);
    describeListing(it);
    describeEnds(it);
    describeRotation(it);
  });
}

/** Inserts a key whose secret is its name. */
async function insertKey(store: Store, fields: Partial<ApiKey> = {}): Promise<ApiKey> {
  const key = anApiKey(fields);
  await store.insertApiKey(key, hashOf(key.name));
  return key;
}

function rotation(id: string, secret: string, keepOldUntil = T0) {
  return { id, now: T0, hash: hashOf(secret), hint: `hint of ${secret}`, keepOldUntil };
}

function describeFinding(it: StoreIt): void {
  it('answers a key as it was inserted, by its id and by the hash of its secret', async ({ store }) => {
    const plain = await insertKey(store, { name: 'plain' });
    const full = await insertKey(store, {
      name: 'Schlüssel "1" \u{1F600}',
      owner: 'team-b',
      expiresAt: T0 + HOUR_MS,
      requestsPerMinute: 60,
      models: ['small', 'a "b"'],
      endpoints: ['/v1/embeddings'],
    });
    for (const key of [plain, full]) {
      expect(await store.getApiKey(key.id)).toEqual(key);
      expect(await store.findApiKey(hashOf(key.name), T0)).toEqual(key);
    }
    expect(await store.getApiKey('key_unknown')).toBeNull();
    expect(await store.findApiKey(hashOf('unknown'), T0)).toBeNull();
  });

  it('refuses a key whose id or hash is taken', async ({ store }) => {
    const key = await insertKey(store, { name: 'first' });
    await expect(store.insertApiKey({ ...key, name: 'other' }, hashOf('other'))).rejects.toThrow(/./);
    await expect(store.insertApiKey(anApiKey(), hashOf('first'))).rejects.toThrow(/./);
    expect(await store.listApiKeys({ limit: 10 })).toEqual({ data: [key], hasMore: false });
  });

  it('knows whether there is a key, dead ones included', async ({ store }) => {
    expect(await store.hasApiKeys()).toBe(false);
    const { id } = await insertKey(store);
    expect(await store.hasApiKeys()).toBe(true);
    await store.revokeApiKey(id, T0);
    expect(await store.hasApiKeys()).toBe(true);
  });

  it('notes when a key was last used', async ({ store }) => {
    const key = await insertKey(store);
    await store.noteApiKeyUse(key.id, T0 + 5);
    await store.noteApiKeyUse('key_unknown', T0 + 5);
    expect(await store.getApiKey(key.id)).toEqual({ ...key, lastUsedAt: T0 + 5 });
  });

  it('keeps with a batch which models its key allows', async ({ store }) => {
    const { id } = await createBatch(store, { allowedModels: ['small', 'a "b"'] });
    expect((await readBatch(store, id)).allowedModels).toEqual(['small', 'a "b"']);
    expect((await store.claimBatchStep('worker', T0))?.batch.allowedModels).toEqual(['small', 'a "b"']);
  });
}

function describeListing(it: StoreIt): void {
  it('lists keys, the newest first, of all owners or of one, page by page', async ({ store }) => {
    const keys: ApiKey[] = [];
    for (const [i, owner] of ['a', 'b', 'a', 'a', 'b'].entries()) {
      // The time goes back: the order of insertion counts.
      keys.unshift(await insertKey(store, { name: `${i}`, owner, createdAt: T0 - i }));
    }
    const ids = async (query: { owner?: string; after?: string; limit: number }) => {
      const page = await store.listApiKeys(query);
      return page === null ? null : [page.data.map(({ name }) => name).join(''), page.hasMore];
    };
    const idOf = (name: string) => keys.find((key) => key.name === name)?.id ?? '';
    expect(await store.listApiKeys({ limit: 5 })).toEqual({ data: keys, hasMore: false });
    expect(await ids({ limit: 2 })).toEqual(['43', true]);
    expect(await ids({ limit: 2, after: idOf('3') })).toEqual(['21', true]);
    expect(await ids({ limit: 2, after: idOf('1') })).toEqual(['0', false]);
    expect(await ids({ limit: 2, owner: 'a' })).toEqual(['32', true]);
    expect(await ids({ limit: 2, owner: 'a', after: idOf('2') })).toEqual(['0', false]);
    expect(await ids({ limit: 2, owner: 'a', after: idOf('1') })).toEqual(['0', false]);
    expect(await ids({ limit: 2, owner: 'nobody' })).toEqual(['', false]);
    expect(await ids({ limit: 2, after: 'key_unknown' })).toBeNull();
  });
}

function describeEnds(it: StoreIt): void {
  it('finds no revoked key any more, and keeps its row', async ({ store }) => {
    const key = await insertKey(store, { name: 'secret' });
    const other = await insertKey(store, { name: 'other' });
    expect(await store.revokeApiKey(key.id, T0 + 1)).toBe(true);
    expect(await store.findApiKey(hashOf('secret'), T0 + 1)).toBeNull();
    expect(await store.getApiKey(key.id)).toEqual({ ...key, revokedAt: T0 + 1 });
    expect(await store.findApiKey(hashOf('other'), T0 + 1)).toEqual(other);
    expect(await store.revokeApiKey(key.id, T0 + 9)).toBe(true);
    expect((await store.getApiKey(key.id))?.revokedAt).toBe(T0 + 1);
    expect(await store.revokeApiKey('key_unknown', T0)).toBe(false);
  });

  it('finds no expired key any more, from that very moment on', async ({ store }) => {
    const key = await insertKey(store, { name: 'secret', expiresAt: T0 + HOUR_MS });
    expect(await store.findApiKey(hashOf('secret'), T0 + HOUR_MS - 1)).toEqual(key);
    expect(await store.findApiKey(hashOf('secret'), T0 + HOUR_MS)).toBeNull();
    expect(await store.getApiKey(key.id)).toEqual(key);
  });
}

function describeRotation(it: StoreIt): void {
  it('replaces the secret at once', async ({ store }) => {
    const key = await insertKey(store, { name: 'old' });
    const rotated = { ...key, hint: 'hint of new' };
    expect(await store.rotateApiKey(rotation(key.id, 'new'))).toEqual({ kind: 'ok', key: rotated });
    expect(await store.findApiKey(hashOf('new'), T0)).toEqual(rotated);
    expect(await store.findApiKey(hashOf('old'), T0)).toBeNull();
  });

  it('lets the old secret work until then, and no longer than the key itself', async ({ store }) => {
    const { id } = await insertKey(store, { name: 'old', expiresAt: T0 + 100 });
    await store.rotateApiKey(rotation(id, 'new', T0 + 50));
    const works = async (secret: string, now: number) =>
      (await store.findApiKey(hashOf(secret), now))?.id === id;
    expect([await works('old', T0 + 49), await works('new', T0 + 49)]).toEqual([true, true]);
    expect([await works('old', T0 + 50), await works('new', T0 + 50)]).toEqual([false, true]);
    await store.rotateApiKey(rotation(id, 'newest', T0 + 500));
    expect(await works('new', T0 + 99)).toBe(true);
    expect([await works('new', T0 + 100), await works('newest', T0 + 100)]).toEqual([false, false]);
    await store.revokeApiKey(id, T0);
    expect([await works('new', T0), await works('newest', T0)]).toEqual([false, false]);
  });

  it('ends a secret that an earlier rotation had kept', async ({ store }) => {
    const { id } = await insertKey(store, { name: 'first' });
    await store.rotateApiKey(rotation(id, 'second', T0 + 50));
    await store.rotateApiKey(rotation(id, 'third', T0 + 50));
    expect(await store.findApiKey(hashOf('first'), T0)).toBeNull();
    expect(await store.findApiKey(hashOf('second'), T0)).not.toBeNull();
    await store.rotateApiKey(rotation(id, 'fourth'));
    for (const secret of ['second', 'third']) {
      expect(await store.findApiKey(hashOf(secret), T0)).toBeNull();
    }
  });

  it('is refused for a key that is unknown, revoked or expired, and changes nothing then', async ({
    store,
  }) => {
    const revoked = await insertKey(store, { name: 'revoked' });
    await store.revokeApiKey(revoked.id, T0);
    const expired = await insertKey(store, { name: 'expired', expiresAt: T0 });
    const before = await store.listApiKeys({ limit: 10 });
    expect(await store.rotateApiKey(rotation('key_unknown', 'a'))).toEqual({ kind: 'missing' });
    expect(await store.rotateApiKey(rotation(revoked.id, 'b'))).toEqual({
      kind: 'refused',
      reason: 'revoked',
    });
    expect(await store.rotateApiKey(rotation(expired.id, 'c'))).toEqual({
      kind: 'refused',
      reason: 'expired',
    });
    expect(await store.listApiKeys({ limit: 10 })).toEqual(before);
  });
}
