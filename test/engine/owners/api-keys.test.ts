import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createMemoryStorage } from '../../../src/adapters/memory/index.ts';
import { refusalByKey } from '../../../src/engine/owners/api-key.ts';
import type { ApiKey, CreateApiKeyRequest, Store } from '../../../src/engine/index.ts';
import { createFakeClock } from '../../helpers/fake-clock.ts';
import { createRecordingLog } from '../../helpers/recording-log.ts';
import { createTestEngine } from '../../helpers/test-engine.ts';

const REQUEST: CreateApiKeyRequest = { name: 'laptop', owner: 'team-a' };

function createWorld(verbs: (store: Store) => Partial<Store> = () => ({})) {
  const memory = createMemoryStorage();
  const hashes: string[] = [];
  const store: Store = {
    ...memory.store,
    async insertApiKey(key, hash) {
      hashes.push(hash);
      await memory.store.insertApiKey(key, hash);
    },
    ...verbs(memory.store),
  };
  const clock = createFakeClock();
  const log = createRecordingLog();
  const engine = createTestEngine({ storage: { ...memory, store }, clock, log });
  return { keys: engine.keys, store: memory.store, hashes, clock, log };
}

describe('a new key', () => {
  it('has a secret of 256 random bits, of which only the SHA-256 is stored', async () => {
    const { keys, hashes, log } = createWorld();
    const [first, second] = [await keys.create(REQUEST), await keys.create(REQUEST)];
    expect(first.secret).toMatch(/^sk-[A-Za-z0-9_-]{43}$/);
    expect(Buffer.from(first.secret.slice(3), 'base64url')).toHaveLength(32);
    expect(second.secret).not.toBe(first.secret);
    expect(hashes[0]).toBe(createHash('sha256').update(first.secret).digest('hex'));
    expect(JSON.stringify([first.key, log.entries])).not.toContain(first.secret);
  });

  it('allows everything and never expires unless told', async () => {
    const { keys, clock } = createWorld();
    const { key, secret } = await keys.create(REQUEST);
    expect(key).toEqual({
      id: expect.stringMatching(/^key_[0-9a-f]{32}$/),
      owner: 'team-a',
      name: 'laptop',
      hint: `${secret.slice(0, 6)}...${secret.slice(-4)}`,
      models: null,
      endpoints: null,
      createdAt: clock.now(),
      expiresAt: null,
      revokedAt: null,
      lastUsedAt: null,
      requestsPerMinute: null,
    });
    expect(await keys.find(secret)).toEqual(key);
    expect(await keys.find(Buffer.from(secret))).toEqual(key);
    expect(await keys.find(`${secret}x`)).toBeNull();
  });

  it('keeps what it is told', async () => {
    const { keys, clock } = createWorld();
    const expiresAtSeconds = Math.floor(clock.now() / 1000) + 1;
    const lists = { models: ['m'], endpoints: ['/v1/embeddings'] };
    const { key } = await keys.create({ ...REQUEST, expiresAtSeconds, ...lists });
    expect(key).toMatchObject({ ...lists, expiresAt: expiresAtSeconds * 1000 });
  });

  it.each<[string, Partial<CreateApiKeyRequest>]>([
    ['the longest name, of characters of two units', { name: '🎉'.repeat(256) }],
    ['the longest owner', { owner: 'A-z_0.9'.padEnd(64, 'x') }],
    ['lists of null', { models: null, endpoints: null, expiresAtSeconds: null }],
    ['a hundred models', { models: Array.from({ length: 100 }, (_, i) => `m${i}`) }],
    ['the last second of the year 9999', { expiresAtSeconds: 253_402_300_799 }],
  ])('may have %s', async (_case, fields) => {
    await createWorld().keys.create({ ...REQUEST, ...fields });
  });

  it.each<[string, Partial<CreateApiKeyRequest>, string, string]>([
    ['no name', { name: '' }, 'name', 'invalid_value'],
    ['a name too long', { name: 'x'.repeat(257) }, 'name', 'string_too_long'],
    ['half a character', { name: 'a\ud800' }, 'name', 'invalid_value'],
    ['no owner', { owner: '' }, 'owner', 'invalid_value'],
    ['an owner too long', { owner: 'x'.repeat(65) }, 'owner', 'invalid_value'],
    ['an owner with a blank', { owner: 'a b' }, 'owner', 'invalid_value'],
    ['an owner with a line break', { owner: 'a\n' }, 'owner', 'invalid_value'],
    ['an owner beyond ASCII', { owner: 'ä' }, 'owner', 'invalid_value'],
    ['no models at all', { models: [] }, 'models', 'invalid_value'],
    ['too many models', { models: Array(101).fill('m') }, 'models', 'invalid_value'],
    ['a model without a name', { models: ['m', ''] }, 'models.1', 'invalid_value'],
    ['a model with a long name', { models: ['x'.repeat(257)] }, 'models.0', 'string_too_long'],
    ['no endpoints at all', { endpoints: [] }, 'endpoints', 'invalid_value'],
    ['an unknown endpoint', { endpoints: ['/v1/x'] }, 'endpoints.0', 'invalid_value'],
    ['an end far away', { expiresAtSeconds: 253_402_300_800 }, 'expires_at', 'above_maximum'],
    ['half a second', { expiresAtSeconds: 2_000_000_000.5 }, 'expires_at', 'invalid_type'],
  ])('is refused with %s', async (_case, fields, param, code) => {
    const { keys, store } = createWorld();
    await expect(keys.create({ ...REQUEST, ...fields })).rejects.toMatchObject({ param, code });
    expect(await store.hasApiKeys()).toBe(false);
  });

  it('is refused where it would be expired already', async () => {
    const { keys, clock } = createWorld();
    const expiresAtSeconds = Math.floor(clock.now() / 1000);
    await expect(keys.create({ ...REQUEST, expiresAtSeconds })).rejects.toMatchObject({
      param: 'expires_at',
      code: 'below_minimum',
      message: `Invalid 'expires_at': integer below minimum value. Expected a value >= ${expiresAtSeconds + 1}, but got ${expiresAtSeconds} instead.`,
    });
  });
});

describe('a rotation', () => {
  it('gives a new secret and hint, and ends the old one at once or when it is told to', async () => {
    const { keys, clock } = createWorld();
    const first = await keys.create(REQUEST);
    const second = await keys.rotate({ id: first.key.id });
    expect(second.key).toEqual({ ...first.key, hint: second.key.hint });
    expect(second.key.hint).toBe(`${second.secret.slice(0, 6)}...${second.secret.slice(-4)}`);
    expect(await keys.find(first.secret)).toBeNull();
    await keys.rotate({ id: first.key.id, keepOldSeconds: 86_400 });
    clock.advance(86_399_000);
    expect(await keys.find(second.secret)).not.toBeNull();
    clock.advance(1000);
    expect(await keys.find(second.secret)).toBeNull();
  });

  it.each([-1, 86_401, 0.5])('refuses to keep the old secret for %d seconds', async (keepOldSeconds) => {
    const { keys } = createWorld();
    const { key } = await keys.create(REQUEST);
    await expect(keys.rotate({ id: key.id, keepOldSeconds })).rejects.toMatchObject({
      param: 'keep_old_key_seconds',
    });
  });

  it('is a conflict where the key is dead', async () => {
    const { keys } = createWorld();
    const { key } = await keys.create(REQUEST);
    await keys.revoke(key.id);
    await expect(keys.rotate({ id: key.id })).rejects.toMatchObject({
      code: 'conflict',
      message: 'Cannot rotate a key that is revoked.',
    });
  });
});

describe('an id', () => {
  it('that is unknown or of another kind is refused by every verb; a secret in its place is not repeated', async () => {
    const { keys } = createWorld();
    const verbs = [
      (id: string) => keys.get(id),
      (id: string) => keys.revoke(id),
      (id: string) => keys.rotate({ id }),
      (id: string) => keys.list({ limit: 1, after: id }),
    ];
    const { secret } = await keys.create(REQUEST);
    for (const verb of verbs) {
      await expect(verb('key_unknown')).rejects.toMatchObject({
        code: 'api_key_not_found',
        message: "No API key found with id 'key_unknown'.",
      });
      await expect(verb(secret)).rejects.toMatchObject({ code: 'invalid_value' });
      await expect(verb(secret)).rejects.not.toThrow(secret.slice(3, 20));
    }
  });
});

describe('the use of a key', () => {
  it('is noted at most once a minute, however often it is used', async () => {
    const notes: [string, number][] = [];
    const { keys, clock } = createWorld(() => ({
      noteApiKeyUse: async (id, now) => void notes.push([id, now]),
    }));
    const { key } = await keys.create(REQUEST);
    const { key: other } = await keys.create(REQUEST);
    const start = clock.now();
    for (let i = 0; i < 5; i++) keys.noteUse(key);
    keys.noteUse(other);
    clock.advance(59_999);
    keys.noteUse(key);
    clock.advance(1);
    keys.noteUse(key);
    expect(notes).toEqual([
      [key.id, start],
      [other.id, start],
      [key.id, start + 60_000],
    ]);
  });

  it('is not noted again soon after another process noted it, but is where the clock was set back', async () => {
    const notes: string[] = [];
    const { keys, clock } = createWorld(() => ({ noteApiKeyUse: async (id) => void notes.push(id) }));
    const { key } = await keys.create(REQUEST);
    const usedAt = (id: string, lastUsedAt: number): ApiKey => ({ ...key, id, lastUsedAt });
    keys.noteUse(usedAt('key_1', clock.now() - 59_999));
    keys.noteUse(usedAt('key_2', clock.now() - 60_000));
    keys.noteUse(usedAt('key_3', clock.now() + 3_600_000));
    expect(notes).toEqual(['key_2', 'key_3']);
  });

  it('harms nobody where it cannot be noted', async () => {
    const { keys, log } = createWorld(() => ({ noteApiKeyUse: () => Promise.reject(new Error('disk')) }));
    const { key } = await keys.create(REQUEST);
    keys.noteUse(key);
    await expect.poll(() => log.entries.map(({ level }) => level)).toContain('warn');
  });
});

describe('the models of a key', () => {
  it('are compared whole', () => {
    expect(refusalByKey(null, 'm')).toBeNull();
    expect(refusalByKey(['m', 'n'], 'n')).toBeNull();
    for (const model of ['M', 'm ', 'mn', '']) {
      expect(refusalByKey(['m', 'n'], model)).toBe('The API key that created this batch does not allow it.');
    }
  });
});
