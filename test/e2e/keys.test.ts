import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AuthenticationError, NotFoundError, PermissionDeniedError } from 'openai';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startUpstreamServer } from '../helpers/upstream-server.ts';
import { chatLines, createClient, endOf, resultsOf, startTestService, submitBatch } from './test-service.ts';

const ADMIN_KEY = 'sk-admin-0123456789abcdef';

interface KeyObject {
  readonly id: string;
  readonly key: string;
}

/** Calls `/v1/admin/keys` as an administrator, or with another key. */
async function admin(
  url: string,
  method: 'POST' | 'GET' | 'DELETE',
  path: string,
  body?: object,
  key = ADMIN_KEY,
): Promise<KeyObject> {
  const response = await fetch(`${url}/v1/admin/keys${path}`, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return (await response.json()) as KeyObject;
}

/** The bytes of every file in the folder. */
async function bytesIn(folder: string): Promise<Map<string, Buffer>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(await Promise.all(files.map(async (path) => [path, await readFile(path)] as const)));
}

describe('two teams with keys of their own and the official SDK', () => {
  it('run batches that the other one cannot see', async () => {
    const { url, client: administrator } = await startTestService({ API_KEYS: ADMIN_KEY });
    const a = await admin(url, 'POST', '', { name: 'laptop', owner: 'team-a' });
    const b = await admin(url, 'POST', '', { name: 'ci', owner: 'team-b' });
    const [teamA, teamB] = [createClient(url, a.key), createClient(url, b.key)];
    const batch = await endOf(teamA, (await submitBatch(teamA, chatLines(3, 'echo'))).id);
    expect(await resultsOf(teamA, batch.output_file_id)).toHaveLength(3);
    for (const stranger of [teamB, administrator]) {
      expect((await stranger.batches.list()).data).toEqual([]);
      expect((await stranger.files.list()).data).toEqual([]);
      await expect(stranger.batches.retrieve(batch.id)).rejects.toBeInstanceOf(NotFoundError);
      await expect(stranger.files.content(batch.output_file_id ?? '')).rejects.toBeInstanceOf(NotFoundError);
    }
  });

  it('keep the service closed where API_KEYS is unset later, which says so', async () => {
    const first = await startTestService({ API_KEYS: ADMIN_KEY });
    await admin(first.url, 'POST', '', { name: 'laptop', owner: 'team-a' });
    await first.stop();
    const { isOpen, client } = await startTestService({ DATA_DIR: first.dataDir });
    expect(isOpen).toBe(false);
    await expect(client.files.list()).rejects.toBeInstanceOf(AuthenticationError);
    expect((await startTestService()).isOpen).toBe(true);
  });

  it('know by the class of an error what their key does not allow, and that it is dead', async () => {
    const { url } = await startTestService({ API_KEYS: ADMIN_KEY });
    const limits = { endpoints: ['/v1/embeddings', '/v1/chat/completions'], models: ['echo'] };
    const { id, key } = await admin(url, 'POST', '', { name: 'ci', owner: 'team-a', ...limits });
    const client = createClient(url, key);
    const refused = submitBatch(client, chatLines(1), { endpoint: '/v1/responses' });
    await expect(refused).rejects.toBeInstanceOf(PermissionDeniedError);
    await expect(refused).rejects.toMatchObject({ type: 'invalid_request_error', param: 'endpoint' });
    const batch = await endOf(client, (await submitBatch(client, chatLines(2, 'gpt-4o'))).id);
    expect(batch.errors?.data).toMatchObject([
      { code: 'model_not_found', line: 1, message: expect.stringContaining('API key') },
      { code: 'model_not_found', line: 2 },
    ]);
    await admin(url, 'DELETE', `/${id}`);
    await expect(client.batches.list()).rejects.toBeInstanceOf(AuthenticationError);
  });
});

describe('keys', () => {
  it('outlive a restart, dead ones as dead ones, also where API_KEYS is taken away', async () => {
    const first = await startTestService({ API_KEYS: ADMIN_KEY });
    const kept = await admin(first.url, 'POST', '', { name: 'kept', owner: 'team-a' });
    const dead = await admin(first.url, 'POST', '', { name: 'dead', owner: 'team-a' });
    await admin(first.url, 'DELETE', `/${dead.id}`);
    const file = await createClient(first.url, kept.key).files.create({
      file: new File([chatLines(1)], 'input.jsonl'),
      purpose: 'batch',
    });
    await first.stop();
    for (const env of [{ API_KEYS: ADMIN_KEY }, {}]) {
      const again = await startTestService({ DATA_DIR: first.dataDir, ...env });
      const client = createClient(again.url, kept.key);
      expect((await client.files.list()).data.map(({ id }) => id)).toEqual([file.id]);
      for (const key of [dead.key, 'any']) {
        await expect(createClient(again.url, key).files.list()).rejects.toBeInstanceOf(AuthenticationError);
      }
      await again.stop();
    }
  });

  it('are never found in the data folder, in the log, in events or in errors', async () => {
    const receiver = await startUpstreamServer(() => ({}));
    onTestFinished(() => receiver.close());
    const service = await startTestService({
      API_KEYS: ADMIN_KEY,
      WEBHOOK_URLS: receiver.baseUrl,
      WEBHOOK_SIGNING_SECRET: 'a secret of some length',
      LOG_LEVEL: 'trace',
    });
    const { url } = service;
    const { id, key: old } = await admin(url, 'POST', '', { name: 'ci', owner: 'team-a' });
    const { key } = await admin(url, 'POST', `/${id}/rotate`, { keep_old_key_seconds: 60 });
    const secrets = [old, key];
    for (const secret of secrets) {
      const client = createClient(url, secret);
      await endOf(client, (await submitBatch(client, chatLines(1, 'echo'))).id);
    }
    const errors: unknown[] = [];
    for (const secret of secrets) {
      // As an id, in a query, and without the right to be there.
      errors.push(
        await admin(url, 'GET', `/${secret}?key=${secret}`),
        await admin(url, 'DELETE', `/${secret}`),
      );
      errors.push(await admin(url, 'GET', `/${id}`), await admin(url, 'GET', '', undefined, secret));
    }
    await admin(url, 'DELETE', `/${id}`);
    for (const secret of secrets) errors.push(await admin(url, 'GET', '', undefined, secret));
    await expect.poll(() => receiver.requests.length).toBe(6);

    const places = async () => [
      ...(await bytesIn(service.dataDir)),
      ['the log', Buffer.from(service.logs.join(''))] as const,
      ['events', Buffer.from(receiver.requests.map(({ body }) => body).join(''))] as const,
      ['errors', Buffer.from(JSON.stringify(errors))] as const,
    ];
    const running = await places();
    await service.stop();
    for (const [place, bytes] of [...running, ...(await places())]) {
      for (const secret of [...secrets, ADMIN_KEY]) {
        for (const part of [secret.slice(3), secret.slice(10, 30)]) {
          expect(bytes.includes(part), `${part} of a key in ${place}`).toBe(false);
        }
      }
    }
    // The search can find something: what is meant to be there is.
    const found = running.filter(([, bytes]) => bytes.includes(id)).map(([place]) => place);
    expect(found).toEqual(expect.arrayContaining(['the log', expect.stringMatching(/\.db(-wal)?$/)]));
  });
});
