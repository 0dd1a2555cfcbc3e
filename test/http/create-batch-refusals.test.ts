import { describe, expect, it } from 'vitest';
import { createTestApp, errorOf, refusal } from '../helpers/http-app.ts';
import { BODY, postBatch } from './batch-calls.ts';
import { aboveMaximum, belowMinimum, invalidValue, missing, wrongType } from './refusals.ts';

const NOT_JSON =
  'We could not parse the JSON body of your request. Send a JSON object, with the header Content-Type: application/json.';

const without = (key: keyof typeof BODY) => ({ ...BODY, [key]: undefined });
const expiry = (value: unknown) => ({ ...BODY, output_expires_after: value });
const seconds = (value: unknown) => expiry({ anchor: 'created_at', seconds: value });

const manyPairs = Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, '']));

const ENDPOINTS =
  "'/v1/chat/completions', '/v1/responses', '/v1/embeddings', '/v1/completions', '/v1/moderations', '/v1/images/generations', '/v1/images/edits', and '/v1/videos'";

interface Refusal {
  readonly message: string;
  readonly param?: string;
  readonly code?: string;
}

describe('POST /v1/batches refuses', () => {
  it('a body that is not UTF-8, rather than change it', async () => {
    const payload = Buffer.from(JSON.stringify({ ...BODY, metadata: { name: 'café' } }), 'latin1');
    const response = await createTestApp().call({
      method: 'POST',
      url: '/v1/batches',
      headers: { 'content-type': 'application/json' },
      payload,
    });
    expect(errorOf(response)).toEqual(refusal(400, { message: NOT_JSON }));
  });

  it.each<[string, unknown, Refusal]>([
    ['an empty object', {}, missing('input_file_id')],
    ['no input_file_id', without('input_file_id'), missing('input_file_id')],
    ['no endpoint', without('endpoint'), missing('endpoint')],
    ['no completion_window', without('completion_window'), missing('completion_window')],
    ['an empty expiry', expiry({}), missing('output_expires_after.anchor')],
    ['an expiry without seconds', expiry({ anchor: 'created_at' }), missing('output_expires_after.seconds')],
  ])('what lacks a parameter: %s', async (_case, body, error) => {
    expect(errorOf(await postBatch(createTestApp(), body))).toEqual(refusal(400, error));
  });

  it.each<[unknown, string, string, string]>([
    [{ endpoint: null }, 'endpoint', 'a string', 'null'],
    [{ input_file_id: 5 }, 'input_file_id', 'a string', 'an integer'],
    [{ input_file_id: 5.5 }, 'input_file_id', 'a string', 'a number'],
    [{ input_file_id: {} }, 'input_file_id', 'a string', 'an object'],
    [{ completion_window: true }, 'completion_window', 'a string', 'a boolean'],
    [{ metadata: ['a'] }, 'metadata', 'an object', 'an array'],
    [{ metadata: 'a' }, 'metadata', 'an object', 'a string'],
    [{ metadata: JSON.parse('{"__proto__":5}') as object }, 'metadata.__proto__', 'a string', 'an integer'],
    [{ metadata: { tags: ['a'] } }, 'metadata.tags', 'a string', 'an array'],
    [{ metadata: { a: 'b', n: null } }, 'metadata.n', 'a string', 'null'],
    [{ priority: '5' }, 'priority', 'an integer', 'a string'],
    [{ priority: 1.5 }, 'priority', 'an integer', 'a number'],
    [{ priority: 1e300 }, 'priority', 'an integer', 'a number'],
    [{ webhook_url: 5 }, 'webhook_url', 'a string', 'an integer'],
    [{ output_expires_after: '1h' }, 'output_expires_after', 'an object', 'a string'],
    [seconds('3600'), 'output_expires_after.seconds', 'an integer', 'a string'],
    [expiry({ anchor: 1, seconds: 3600 }), 'output_expires_after.anchor', 'a string', 'an integer'],
  ])('the wrong type in %j', async (body, param, expected, got) => {
    const response = await postBatch(createTestApp(), { ...BODY, ...(body as object) });
    expect(errorOf(response)).toEqual(refusal(400, wrongType(param, expected, got)));
  });

  it.each<[string, unknown, Refusal]>([
    ['priority 101', { ...BODY, priority: 101 }, aboveMaximum('priority', 100, 101)],
    ['priority -101', { ...BODY, priority: -101 }, belowMinimum('priority', -100, -101)],
    ['seconds 3599', seconds(3599), belowMinimum('output_expires_after.seconds', 3600, 3599)],
    [
      'seconds 2592001',
      seconds(2_592_001),
      aboveMaximum('output_expires_after.seconds', 2_592_000, 2_592_001),
    ],
    [
      'an unknown anchor',
      expiry({ anchor: 'now', seconds: 3600 }),
      invalidValue('output_expires_after.anchor', 'now', "'created_at'"),
    ],
    ['an endpoint', { ...BODY, endpoint: '/v1/chat' }, invalidValue('endpoint', '/v1/chat', ENDPOINTS)],
    ['a window', { ...BODY, completion_window: '1h' }, invalidValue('completion_window', '1h', "'24h'")],
    [
      'too much metadata',
      { ...BODY, metadata: manyPairs },
      {
        message:
          "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but got 17 properties instead.",
        param: 'metadata',
        code: 'object_above_max_properties',
      },
    ],
    [
      'a long metadata value',
      { ...BODY, metadata: { k: 'v'.repeat(513) } },
      {
        message:
          "Invalid 'metadata.k': string too long. Expected a string with maximum length 512, but got a string with length 513 instead.",
        param: 'metadata.k',
        code: 'string_above_max_length',
      },
    ],
  ])('a value that is not acceptable: %s', async (_case, body, error) => {
    expect(errorOf(await postBatch(createTestApp(), body))).toEqual(refusal(400, error));
  });

  it.each([
    [[BODY], 'an array'],
    [null, 'null'],
    [5, 'an integer'],
  ])('a body that is %j', async (body, got) => {
    expect(errorOf(await postBatch(createTestApp(), body))).toEqual(
      refusal(400, {
        message: `Invalid type for the request body: expected an object, but got ${got} instead.`,
        code: 'invalid_type',
      }),
    );
  });

  it('a wrong shape before a wrong value', async () => {
    const response = await postBatch(createTestApp(), { ...BODY, endpoint: 'bad', metadata: { a: 1 } });
    expect(response.json()).toMatchObject({ error: { param: 'metadata.a' } });
  });

  it.each(['{', '{"a":1', 'not json', `{"input_file_id":'x'}`, '\ufeff{}'])(
    'what is no JSON: %s',
    async (body) => {
      expect(errorOf(await postBatch(createTestApp(), body))).toEqual(refusal(400, { message: NOT_JSON }));
    },
  );

  it('deep nesting only where it matters', async () => {
    const unclosed = await postBatch(createTestApp(), '['.repeat(100_000));
    expect(errorOf(unclosed)).toEqual(refusal(400, { message: NOT_JSON }));
    const deep = '['.repeat(100_000) + ']'.repeat(100_000);
    expect(
      (await postBatch(createTestApp(), `{"metadata":${deep},${JSON.stringify(BODY).slice(1)}`)).statusCode,
    ).toBe(400);
    expect(
      (await postBatch(createTestApp(), `{"other":${deep},${JSON.stringify(BODY).slice(1)}`)).statusCode,
    ).toBe(200);
  });

  it('a body that is not declared to be JSON', async () => {
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=b',
    ]) {
      expect(errorOf(await postBatch(createTestApp(), BODY, type))).toEqual(
        refusal(400, { message: NOT_JSON }),
      );
    }
    expect((await postBatch(createTestApp(), BODY, 'application/json; charset=utf-8')).statusCode).toBe(200);
    expect((await postBatch(createTestApp(), BODY, 'nonsense')).statusCode).toBe(415);
  });

  it('no body as one without parameters', async () => {
    const { call } = createTestApp();
    for (const headers of [{}, { 'content-type': 'application/json' }, { 'content-type': 'text/plain' }]) {
      const response = await call({ method: 'POST', url: '/v1/batches', headers });
      expect(errorOf(response)).toEqual(refusal(400, missing('input_file_id')));
    }
  });

  it('a body over 1 MiB', async () => {
    const body = { ...BODY, filler: 'x'.repeat(1024 * 1024) };
    const response = await postBatch(createTestApp(), body);
    expect(errorOf(response)).toEqual(
      refusal(413, { message: 'The request body is larger than the limit of 1048576 bytes.' }),
    );
  });
});
