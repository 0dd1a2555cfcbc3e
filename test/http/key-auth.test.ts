import { describe, expect, it } from 'vitest';
import { createWorker } from '../../src/worker/index.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import {
  API_KEY,
  createTestApp,
  errorOf,
  fileParts,
  refusal,
  uploadFile,
  uploadOf,
} from '../helpers/http-app.ts';
import type { TestApp, TestAppOptions } from '../helpers/http-app.ts';
import { inputLine } from '../helpers/test-engine.ts';
import { createdBatch } from './batch-calls.ts';
import { createdKey, withKey } from './key-calls.ts';
import { requestLines } from './raw-client.ts';

const DEFAULT_OWNER = 'default';

async function statusWith(testApp: TestApp, authorization?: string): Promise<number> {
  const headers = authorization === undefined ? {} : { authorization };
  return (await testApp.app.inject({ url: '/v1/files', headers })).statusCode;
}

describe('a key of the database', () => {
  it('opens the files and batches of its owner, and no others', async () => {
    const testApp = createTestApp();
    const [a, b] = [await createdKey(testApp), await createdKey(testApp, { owner: 'team-b' })];
    const again = await createdKey(testApp, { name: 'another of the same team' });
    const [teamA, teamB] = [withKey(testApp, a.key), withKey(testApp, b.key)];
    const fileA = await uploadFile(teamA);
    const batchA = await createdBatch(teamA, { input_file_id: fileA });
    const listed = async (app: TestApp, url: string) =>
      (await app.call({ url })).json<{ data: { id: string }[] }>().data.map(({ id }) => id);
    for (const app of [teamA, withKey(testApp, again.key)]) {
      expect(await listed(app, '/v1/files')).toEqual([fileA]);
      expect(await listed(app, '/v1/batches')).toEqual([batchA.id]);
    }
    for (const app of [teamB, testApp]) {
      expect(await listed(app, '/v1/files')).toEqual([]);
      expect(await listed(app, '/v1/batches')).toEqual([]);
    }
  });

  it('of the owner `default` shares with the administrators what they have', async () => {
    const testApp = createTestApp();
    const id = await uploadFile(testApp);
    const { key } = await createdKey(testApp, { owner: DEFAULT_OWNER });
    expect((await withKey(testApp, key).call({ url: `/v1/files/${id}` })).statusCode).toBe(200);
  });

  it('is accepted in each of the ways in which keys are sent', async () => {
    const testApp = createTestApp();
    const { key } = await createdKey(testApp);
    const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;
    for (const header of [`Bearer ${key}`, `bearer  ${key}`, basic(`${key}:`), basic(`me:${key}`)]) {
      expect(await statusWith(testApp, header)).toBe(200);
    }
    for (const header of [`Bearer ${key}x`, `Bearer ${key.slice(0, -1)}`, `Bearer ${key.toUpperCase()}`]) {
      expect(await statusWith(testApp, header)).toBe(401);
    }
  });

  it('that is revoked, expired or rotated away is answered exactly as a wrong one', async () => {
    const clock = createFakeClock();
    const testApp = createTestApp({ clock });
    const revoked = await createdKey(testApp);
    await testApp.call({ method: 'DELETE', url: `/v1/admin/keys/${revoked.id}` });
    const expired = await createdKey(testApp, { expires_at: Math.floor(clock.now() / 1000) + 1 });
    const rotated = await createdKey(testApp);
    await testApp.call({ method: 'POST', url: `/v1/admin/keys/${rotated.id}/rotate` });
    clock.advance(1000);
    for (const { key } of [revoked, expired, rotated, { key: `sk-${'x'.repeat(43)}` }]) {
      const response = await withKey(testApp, key).call({ url: '/v1/files' });
      const masked = `sk-${'*'.repeat(24)}${key.slice(-4)}`;
      expect(errorOf(response)).toEqual(
        refusal(401, { message: `Incorrect API key provided: ${masked}.`, code: 'invalid_api_key' }),
      );
      expect(response.headers['www-authenticate']).toBe('Bearer');
      expect(Object.keys(response.headers).toSorted()).toEqual(
        Object.keys((await withKey(testApp, 'wrong').call({ url: '/v1/files' })).headers).toSorted(),
      );
    }
  });

  it('cannot be looked up while the store fails: that is no wrong key, and API_KEYS still work', async () => {
    const fails = () => Promise.reject(Object.assign(new Error('at /some/path'), { code: 'EIO' }));
    const testApp = createTestApp({ store: () => ({ findApiKey: fails }) });
    expect(await statusWith(testApp, `Bearer sk-${'x'.repeat(43)}`)).toBe(503);
    expect(await statusWith(testApp, `Bearer ${API_KEY}`)).toBe(200);
  });
});

describe('without API_KEYS', () => {
  /** As after a start without the variable. */
  async function createOpenApp(keys: number, options: TestAppOptions = {}) {
    const testApp = createTestApp({ ...options, apiKeys: [] });
    const secrets = [];
    for (let i = 0; i < keys; i++) {
      secrets.push(await testApp.engine.keys.create({ name: 'laptop', owner: 'team-a' }));
    }
    return { testApp, secrets };
  }

  it('and without any key everybody is accepted', async () => {
    const { testApp } = await createOpenApp(0);
    for (const header of [undefined, 'Bearer any', 'nonsense']) {
      expect(await statusWith(testApp, header)).toBe(200);
    }
  });

  it('keys are asked for on every route as soon as there is one', async () => {
    const { testApp, secrets } = await createOpenApp(1);
    expect(await statusWith(testApp)).toBe(401);
    expect(await statusWith(testApp, 'Bearer any')).toBe(401);
    expect(await statusWith(testApp, `Bearer ${secrets[0]?.secret}`)).toBe(200);
    expect((await testApp.app.inject('/v1/admin/keys')).statusCode).toBe(401);
    expect((await testApp.app.inject('/v1/unknown')).statusCode).toBe(401);
    expect((await testApp.app.inject('/health/ready')).statusCode).toBe(200);
    const admin = await withKey(testApp, secrets[0]?.secret ?? '').call({ url: '/v1/admin/keys' });
    expect(admin.statusCode).toBe(403);
  });

  it('the doors do not open again when the last key dies', async () => {
    const { testApp, secrets } = await createOpenApp(1);
    await testApp.engine.keys.revoke(secrets[0]?.key.id ?? '');
    expect(await statusWith(testApp)).toBe(401);
    expect(await statusWith(testApp, `Bearer ${secrets[0]?.secret}`)).toBe(401);
  });

  it('a web page of another site needs a key', async () => {
    const { testApp, secrets } = await createOpenApp(1);
    const headers = { origin: 'https://a.example' };
    expect((await testApp.app.inject({ url: '/v1/files', headers })).statusCode).toBe(401);
    const response = await withKey(testApp, secrets[0]?.secret ?? '').call({ url: '/v1/files', headers });
    expect(response.statusCode).toBe(200);
  });
});

describe('the use of a key', () => {
  it('shows as last_used_at, and no request waits for that', async () => {
    const clock = createFakeClock();
    const written = Promise.withResolvers<void>();
    let writes = 0;
    const testApp = createTestApp({
      clock,
      store: (store) => ({
        async noteApiKeyUse(id, now) {
          writes++;
          await written.promise;
          await store.noteApiKeyUse(id, now);
        },
      }),
    });
    const { id, key } = await createdKey(testApp);
    const lastUsed = async () =>
      (await testApp.call({ url: `/v1/admin/keys/${id}` })).json<{ last_used_at: number | null }>()
        .last_used_at;
    for (let i = 0; i < 3; i++) {
      expect((await withKey(testApp, key).call({ url: '/v1/files' })).statusCode).toBe(200);
    }
    expect(await lastUsed()).toBeNull();
    written.resolve();
    await expect.poll(lastUsed).toBe(Math.floor(clock.now() / 1000));
    expect(writes).toBe(1);
  });

  it('that fails is no use', async () => {
    let writes = 0;
    const testApp = createTestApp({ store: () => ({ noteApiKeyUse: async () => void writes++ }) });
    const { id, key } = await createdKey(testApp);
    await testApp.call({ method: 'DELETE', url: `/v1/admin/keys/${id}` });
    await withKey(testApp, key).call({ url: '/v1/files' });
    expect(writes).toBe(0);
  });
});

describe("the log's line on a request", () => {
  /** The ids of keys in it, by path. */
  const keysIn = (testApp: TestApp) =>
    requestLines(testApp).map((line) => [line['path'], line['keyId']] as const);

  it('tells which of the keys that were handed out was sent, and nothing of its secret', async () => {
    const testApp = createTestApp();
    const { id, key } = await createdKey(testApp);
    const team = withKey(testApp, key);
    await team.call({ url: '/v1/files' });
    await team.call({ url: '/v1/batches/batch_x' });
    await team.call({ url: '/v1/admin/keys' });
    expect(keysIn(testApp).slice(1)).toEqual([
      ['/v1/files', id],
      ['/v1/batches/batch_x', id],
      ['/v1/admin/keys', id],
    ]);
    expect(testApp.logLines.join('')).not.toContain(key.slice(3, 12));
  });

  it('tells of no key where it was one of API_KEYS, a wrong one, a dead one or none', async () => {
    const testApp = createTestApp();
    const { id, key } = await createdKey(testApp);
    await testApp.call({ method: 'DELETE', url: `/v1/admin/keys/${id}` });
    for (const secret of [API_KEY, 'wrong', key]) await withKey(testApp, secret).call({ url: '/v1/files' });
    await testApp.app.inject('/v1/files');
    await testApp.app.inject('/health/ready');
    await testApp.app.inject('/v1/%ff');
    expect(keysIn(testApp).length).toBe(8);
    expect(keysIn(testApp).filter(([, keyId]) => keyId !== undefined)).toEqual([]);
  });
});

describe('revoking a key that is in use', () => {
  it('lets the running request and the batches of its owner come to their end', async () => {
    const entered = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const testApp = createTestApp({
      store: (store) => ({
        async insertFile(...args) {
          if (args[0].filename === 'slow.jsonl') {
            entered.resolve();
            await goOn.promise;
          }
          return await store.insertFile(...args);
        },
      }),
    });
    const worker = createWorker({ engine: testApp.engine });
    const { id, key } = await createdKey(testApp);
    const team = withKey(testApp, key);
    const input = await uploadFile(team, { content: `${inputLine('a')}\n` });
    const batch = await createdBatch(team, { input_file_id: input });
    const running = team.call(uploadOf(fileParts({ filename: 'slow.jsonl' })));
    await entered.promise;
    await testApp.call({ method: 'DELETE', url: `/v1/admin/keys/${id}` });
    goOn.resolve();
    expect((await running).statusCode).toBe(200);
    expect((await team.call({ url: '/v1/files' })).statusCode).toBe(401);

    await worker.start();
    await expect
      .poll(async () => (await testApp.engine.batches.get('team-a', batch.id)).status)
      .toBe('completed');
    await worker.stop();
  });
});
