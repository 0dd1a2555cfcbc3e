import OpenAI, { RateLimitError } from 'openai';
import { describe, expect, it } from 'vitest';
import { createClient, startTestService } from './test-service.ts';

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
