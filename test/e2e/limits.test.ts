import OpenAI, { PermissionDeniedError, RateLimitError } from 'openai';
import { describe, expect, it } from 'vitest';
import { chatLines, createClient, endOf, startTestService, submitBatch } from './test-service.ts';

const ADMIN_KEY = 'sk-admin-0123456789abcdef';

/** Posts to a path below `/v1/admin` as an administrator. */
async function admin(url: string, path: string, body: object): Promise<{ readonly key: string }> {
  const response = await fetch(`${url}/v1/admin/${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(response.status).toBe(200);
  return (await response.json()) as { key: string };
}

/** A service with a client of `team-a`. */
async function startWithTeam(env: Readonly<Record<string, string>> = {}) {
  const service = await startTestService({ API_KEYS: ADMIN_KEY, ...env });
  const { key } = await admin(service.url, 'keys', { name: 'ci', owner: 'team-a' });
  return { ...service, key, team: createClient(service.url, key) };
}

const ofBytes = (bytes: number) => OpenAI.toFile(Buffer.alloc(bytes, 'a'), 'data.bin');

describe('requests a minute, with the official SDK', () => {
  it('are told on answers, and beyond the limit a RateLimitError, also where megabytes were to be sent', async () => {
    const { url, team } = await startWithTeam({ OWNER_REQUESTS_PER_MINUTE: '2' });
    const { response } = await team.files.list().withResponse();
    expect(response.headers.get('x-ratelimit-limit-requests')).toBe('2');
    expect(response.headers.get('x-ratelimit-remaining-requests')).toBe('1');
    expect(response.headers.get('x-ratelimit-reset-requests')).toBe('1m0s');
    await team.files.list();
    const refused = team.files.create({ file: await ofBytes(8_000_000), purpose: 'user_data' });
    const error = await refused.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(RateLimitError);
    expect(error).toMatchObject({ status: 429, type: 'rate_limit_error', code: 'rate_limit_exceeded' });
    expect(Number((error as RateLimitError).headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    await admin(url, 'owners/team-a', { requests_per_minute: 4 });
    expect((await team.files.list()).data).toEqual([]);
  });
});

describe('what an owner may use, with the official SDK', () => {
  it('is told by the class of an error, and not tried again in vain', async () => {
    const { url, key, team, logs } = await startWithTeam({ OWNER_MAX_STORED_BYTES: '1MiB' });
    await admin(url, 'owners/team-a', { max_live_batches: 0 });
    const patient = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 5 });
    const file = patient.files.create({ file: await ofBytes(8_000_000), purpose: 'user_data' });
    await expect(file).rejects.toBeInstanceOf(PermissionDeniedError);
    await expect(file).rejects.toMatchObject({ code: 'storage_limit_exceeded' });
    const batch = submitBatch(patient, chatLines(3, 'echo'));
    await expect(batch).rejects.toBeInstanceOf(RateLimitError);
    await expect(batch).rejects.toMatchObject({ type: 'rate_limit_error', code: 'batch_limit_exceeded' });
    const tries = logs.filter((line) => line.includes('"path":"/v1/batches"'));
    expect(tries).toHaveLength(1);
    await admin(url, 'owners/team-a', { max_live_batches: null, max_queued_lines: 2 });
    const failed = await endOf(team, (await submitBatch(team, chatLines(3, 'echo'))).id);
    expect(failed.errors?.data).toMatchObject([{ code: 'queued_lines_limit_exceeded', line: null }]);
    await admin(url, 'owners/team-a', { max_queued_lines: 3 });
    expect((await endOf(team, (await submitBatch(team, chatLines(3, 'echo'))).id)).status).toBe('completed');
  });

  it('is what it was after a restart', async () => {
    const first = await startWithTeam();
    await admin(first.url, 'owners/team-a', { max_stored_bytes: 600 });
    await submitBatch(first.team, chatLines(3, 'nobody'));
    await first.stop();
    const again = await startTestService({ DATA_DIR: first.dataDir, API_KEYS: ADMIN_KEY });
    const client = createClient(again.url, first.key);
    await expect(submitBatch(client, chatLines(3))).rejects.toMatchObject({ code: 'storage_limit_exceeded' });
  });
});
