import type { LightMyRequestResponse } from 'fastify';
import { describe, expect, it } from 'vitest';
import { sweepLeftovers } from '../../src/engine/index.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import { createTestApp, errorOf, KEY_OWNER, refusal } from '../helpers/http-app.ts';
import type { TestApp } from '../helpers/http-app.ts';
import { BODY } from './batch-calls.ts';
import type { BatchObject } from './batch-calls.ts';
import { invalidValue } from './refusals.ts';

const DAY_MS = 24 * 3_600_000;

async function create(
  testApp: TestApp,
  key: string | string[],
  body: object | string = BODY,
): Promise<LightMyRequestResponse> {
  return await testApp.call({
    method: 'POST',
    url: '/v1/batches',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    payload: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

async function countBatches(testApp: TestApp): Promise<number> {
  return (await testApp.engine.batches.list({ owner: KEY_OWNER, limit: 100 })).data.length;
}

const usedOtherwise = (key: string) =>
  refusal(409, {
    message: `The Idempotency-Key '${key}' was used with another request within the last 24 hours.`,
    param: 'Idempotency-Key',
  });

describe('POST /v1/batches with an Idempotency-Key', () => {
  it('creates one batch, and repeats its answer as it was', async () => {
    const clock = createFakeClock();
    const testApp = createTestApp({ clock });
    const first = await create(testApp, 'key-1', { ...BODY, metadata: { a: 'b' } });
    expect(first.statusCode).toBe(200);
    expect(first.headers).not.toHaveProperty('idempotent-replayed');
    await testApp.engine.batches.cancel(KEY_OWNER, first.json<BatchObject>().id);
    clock.advance(DAY_MS - 1);
    const again = await create(testApp, 'key-1', { ...BODY, metadata: { a: 'b' } });
    expect([again.statusCode, again.body]).toEqual([200, first.body]);
    expect(again.headers['idempotent-replayed']).toBe('true');
    expect(await countBatches(testApp)).toBe(1);
  });

  it('takes the same values in another order, and what it ignores, for the same request', async () => {
    const testApp = createTestApp();
    const metadata = ['{"a":"1","b":"2"}', '{"b":"2","a":"1"}'];
    const [first, second] = [
      await create(testApp, 'k', `{"metadata":${metadata[0]},${JSON.stringify(BODY).slice(1)}`),
      await create(
        testApp,
        'k',
        `${JSON.stringify({ ...BODY, ignored: 1 }).slice(0, -1)},"metadata":${metadata[1]}}`,
      ),
    ];
    expect(second.body).toBe(first.body);
  });

  it.each([
    ['another file', { ...BODY, input_file_id: 'file-other' }],
    ['metadata', { ...BODY, metadata: { a: 'b' } }],
    ['a priority', { ...BODY, priority: 1 }],
  ])('refuses another request with the same key: %s', async (_case, body) => {
    const testApp = createTestApp();
    await create(testApp, 'k', BODY);
    const response = await create(testApp, 'k', body);
    expect(errorOf(response)).toEqual(usedOtherwise('k'));
    expect(response.headers['x-should-retry']).toBe('false');
    expect(await countBatches(testApp)).toBe(1);
  });

  it('tells metadata whose names and values are swapped apart', async () => {
    const testApp = createTestApp();
    await create(testApp, 'k', { ...BODY, metadata: { a: 'b', c: 'd' } });
    const response = await create(testApp, 'k', { ...BODY, metadata: { a: 'd', c: 'b' } });
    expect(response.statusCode).toBe(409);
  });

  it('creates exactly one batch where many come at once', async () => {
    const testApp = createTestApp();
    const responses = await Promise.all(Array.from({ length: 20 }, () => create(testApp, 'k')));
    expect(new Set(responses.map(({ body }) => body)).size).toBe(1);
    expect(responses.filter(({ headers }) => headers['idempotent-replayed'] === undefined)).toHaveLength(1);
    expect(await countBatches(testApp)).toBe(1);
  });

  it('lets one of two different requests with one key win', async () => {
    const testApp = createTestApp();
    const responses = await Promise.all(
      [1, 2].map((priority) => create(testApp, 'k', { ...BODY, priority })),
    );
    expect(responses.map(({ statusCode }) => statusCode).toSorted((a, b) => a - b)).toEqual([200, 409]);
    expect(await countBatches(testApp)).toBe(1);
  });

  it('keeps keys apart, also by case', async () => {
    const testApp = createTestApp();
    for (const key of ['k', 'K', 'k2', '"k"']) expect((await create(testApp, key)).statusCode).toBe(200);
    expect(await countBatches(testApp)).toBe(4);
  });

  it('does not remember refusals', async () => {
    const testApp = createTestApp();
    const refused = await create(testApp, 'k', { ...BODY, completion_window: '1h' });
    expect(errorOf(refused)).toEqual(refusal(400, invalidValue('completion_window', '1h', "'24h'")));
    expect((await create(testApp, 'k', {})).statusCode).toBe(400);
    const response = await create(testApp, 'k');
    expect(response.statusCode).toBe(200);
    expect(response.headers).not.toHaveProperty('idempotent-replayed');
  });

  it('forgets a key after 24 hours, which the janitor removes then', async () => {
    const clock = createFakeClock();
    const testApp = createTestApp({ clock });
    const first = await create(testApp, 'k');
    await create(testApp, 'k2');
    const { signal } = new AbortController();
    clock.advance(DAY_MS - 1);
    expect(await sweepLeftovers(testApp.engine.context, signal)).toMatchObject({ keys: 0 });
    clock.advance(1);
    const second = await create(testApp, 'k', { ...BODY, priority: 1 });
    expect(second.statusCode).toBe(200);
    expect(second.json<BatchObject>().id).not.toBe(first.json<BatchObject>().id);
    expect(await sweepLeftovers(testApp.engine.context, signal)).toMatchObject({ keys: 1 });
    expect((await create(testApp, 'k', { ...BODY, priority: 1 })).headers['idempotent-replayed']).toBe(
      'true',
    );
  });

  it('takes keys of up to 255 visible characters', async () => {
    const testApp = createTestApp();
    for (const key of ['!', '~', 'x'.repeat(255)]) expect((await create(testApp, key)).statusCode).toBe(200);
  });

  it.each([
    ['empty', ''],
    ['256 characters long', 'x'.repeat(256)],
    ['with a blank', 'a b'],
    ['with a tab', 'a\tb'],
    ['not ASCII', 'é'],
    ['given twice', ['a', 'b']],
  ])('refuses a key that is %s', async (_case, key) => {
    const testApp = createTestApp();
    expect(errorOf(await create(testApp, key))).toEqual(
      refusal(400, {
        message: "Invalid 'Idempotency-Key': expected 1 to 255 visible ASCII characters.",
        param: 'Idempotency-Key',
        code: 'invalid_value',
      }),
    );
    expect(await countBatches(testApp)).toBe(0);
  });
});
