/** What is odd about requests whatever they ask for: their types, bodies, ids and queries. */
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { createKey, KEYS_PATH } from './key-calls.ts';
import { errorOf, form, line, refusal, useService } from './service.ts';
import { batchObject } from './shapes.ts';
import { BODY as UPLOAD, uploadCalls } from './upload-calls.ts';
import { createEndpoint, BODY as ENDPOINT, PATH as ENDPOINTS } from './webhook-endpoint-calls.ts';

const service = useService();
const BATCH = { input_file_id: 'file-unknown', endpoint: '/v1/chat/completions', completion_window: '24h' };
const KEY_ID = `key_${'0'.repeat(32)}`;

/** Those that read a JSON body. */
const WITH_BODY = [
  '/v1/uploads',
  '/v1/uploads/upload_x/complete',
  '/v1/batches',
  '/v1/batches/batch_x/retry',
  '/v1/batches/validate',
  ENDPOINTS,
  `${ENDPOINTS}/whe_x`,
  `${ENDPOINTS}/whe_x/rotate_secret`,
  `${ENDPOINTS}/whe_x/test`,
  `${ENDPOINTS}/whe_x/replay`,
  KEYS_PATH,
  `${KEYS_PATH}/${KEY_ID}/rotate`,
];

/** Those that have no use for a body, whatever it is. */
const WITHOUT_BODY = [
  ['POST', '/v1/uploads/upload_x/cancel'],
  ['POST', '/v1/batches/batch_x/cancel'],
  ['DELETE', '/v1/batches/batch_x'],
  ['DELETE', '/v1/files/file-x'],
  ['DELETE', `${ENDPOINTS}/whe_x`],
  ['POST', `${ENDPOINTS}/whe_x/deliveries/x/replay`],
  ['DELETE', `${KEYS_PATH}/${KEY_ID}`],
] as const;

const NOT_JSON = refusal(
  400,
  'We could not parse the JSON body of your request. Send a JSON object, with the header Content-Type: application/json.',
);

/** A POST of these very bytes. */
const send = (path: string, body: string | Uint8Array<ArrayBuffer>, type = 'application/json') =>
  service.call(path, { method: 'POST', body, headers: { 'content-type': type } });

describe('a JSON body', () => {
  it.each(WITH_BODY)('of another content type is refused: POST %s', async (path) => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/octet-stream']) {
      expect(errorOf(await send(path, '{}', type))).toEqual(NOT_JSON);
    }
    expect(errorOf(await service.call(path, { method: 'POST', body: form({ a: 'b' }) }))).toEqual(NOT_JSON);
  });

  it.each(WITH_BODY)('that is broken is refused: POST %s', async (path) => {
    for (const body of ['{', "{'a':1}", '{}{}', Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d)]) {
      expect(errorOf(await send(path, body))).toEqual(NOT_JSON);
    }
  });

  it.each(WITH_BODY)('that is no object is refused: POST %s', async (path) => {
    for (const [body, got] of [
      ['[]', 'an array'],
      ['null', 'null'],
      ['"x"', 'a string'],
      ['1', 'an integer'],
      ['true', 'a boolean'],
    ]) {
      const message = `Invalid type for the request body: expected an object, but got ${got} instead.`;
      expect(errorOf(await send(path, body as string))).toEqual(refusal(400, message, null, 'invalid_type'));
    }
  });

  it.each(WITH_BODY)('over 1 MiB is refused: POST %s', async (path) => {
    const body = JSON.stringify({ unknown: 'x'.repeat(1024 * 1024) });
    expect(errorOf(await send(path, body))).toEqual(
      refusal(413, 'The request body is larger than the limit of 1048576 bytes.'),
    );
  });

  it.each(['application/json; charset=utf-8', 'APPLICATION/JSON', 'application/json;charset="UTF-8"'])(
    'may have the content type %s',
    async (type) => {
      expect((await send('/v1/batches', JSON.stringify(BATCH), type)).status).toBe(200);
    },
  );

  it.each(WITHOUT_BODY)('is dropped where none is asked for: %s %s', async (method, path) => {
    for (const type of ['application/json', 'text/plain', 'nonsense']) {
      const answer = await service.call(path, { method, body: '{', headers: { 'content-type': type } });
      expect(errorOf(answer).status).toBe(404);
    }
  });

  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])(
    'may have metadata named %s, which is as it was sent',
    async (name) => {
      const body = `${JSON.stringify(BATCH).slice(0, -1)},"metadata":{"${name}":"x"}}`;
      const { status, text, json } = await send('/v1/batches', body);
      expect(status).toBe(200);
      expect(text).toContain(`"metadata":{"${name}":"x"}`);
      expect((await service.call(`/v1/batches/${(json as { id: string }).id}`)).text).toContain(
        `"metadata":{"${name}":"x"}`,
      );
    },
  );

  it.each(['\u0000', '\ud800', '"\\', '\u2028', '💡'])(
    'may have metadata of odd characters, which are as they were sent: %j',
    async (value) => {
      const { status, json } = await service.post('/v1/batches', { ...BATCH, metadata: { k: value } });
      expect(status).toBe(200);
      const { id } = json as { id: string };
      expect((await service.client.batches.retrieve(id)).metadata).toEqual({ k: value });
    },
  );
});

describe('an unknown field', () => {
  const { begin, withParts } = uploadCalls(service);
  const UNKNOWN = { unknown: { deep: [1] }, stream: true, user: null };

  it.each<[string, () => Promise<[path: string, body: object]>]>([
    ['a batch', async () => ['/v1/batches', BATCH]],
    [
      'a validation',
      async () => [
        '/v1/batches/validate',
        { input_file_id: await service.upload(JSON.stringify(line('a'))), endpoint: BATCH.endpoint },
      ],
    ],
    ['an upload', async () => ['/v1/uploads', UPLOAD]],
    [
      'a complete',
      async () => {
        const { id, partIds } = await withParts('abcd');
        return [`/v1/uploads/${id}/complete`, { part_ids: partIds }];
      },
    ],
    ['a webhook endpoint', async () => [ENDPOINTS, ENDPOINT]],
    ['an update of one', async () => [`${ENDPOINTS}/${(await createEndpoint(service)).id}`, { name: 'x' }]],
    [
      'a rotation of its secret',
      async () => [`${ENDPOINTS}/${(await createEndpoint(service)).id}/rotate_secret`, {}],
    ],
    ['a key', async () => [KEYS_PATH, { name: 'a', owner: 'b' }]],
    [
      'a rotation of it',
      async () => [`${KEYS_PATH}/${(await createKey(service, { name: 'a', owner: 'b' })).id}/rotate`, {}],
    ],
  ])('is accepted and ignored: %s', async (_what, prepare) => {
    const [path, body] = await prepare();
    const { status, text } = await service.post(path, { ...body, ...UNKNOWN });
    expect(status, text).toBe(200);
    expect(text).not.toContain('"deep"');
  });

  it('of a form is accepted and ignored', async () => {
    const data = new Blob(['{}']);
    const file = form({ unknown: 'x', purpose: 'batch', 'more[a]': 'y', file: data });
    expect((await service.call('/v1/files', { method: 'POST', body: file })).status).toBe(200);
    const { id } = await begin();
    const part = form({ unknown: 'x', data });
    expect((await service.call(`/v1/uploads/${id}/parts`, { method: 'POST', body: part })).status).toBe(200);
  });

  it.each(['/v1/batches', ENDPOINTS, KEYS_PATH, '/v1/webhook_event_types'])(
    'of a query is accepted and ignored: GET %s',
    async (path) => {
      expect((await service.call(`${path}?unknown=1&order=up&constructor=x`)).status).toBe(200);
    },
  );
});

describe('a limit', () => {
  const LISTS = ['/v1/files', '/v1/batches', ENDPOINTS, KEYS_PATH];
  const cases = LISTS.flatMap((path) =>
    ['1.5', '1e2', '0x10', ' 5', '+5', '5%00', '99999999999999999999', '5&limit=6'].map(
      (limit) => [`${path}?limit=${limit.replace('+', '%2B')}`] as const,
    ),
  );
  it.each(cases)('is refused: %s', async (path) => {
    expect(errorOf(await service.call(path))).toMatchObject({ status: 400, param: 'limit' });
  });
});

describe('an id', () => {
  const file = (id: string) => refusal(404, `No such File object: ${id}`, 'id');
  const batch = (id: string) =>
    refusal(
      400,
      `Invalid 'batch_id': '${id}'. Expected an ID that begins with 'batch'.`,
      'batch_id',
      'invalid_value',
    );
  const endpoint = (id: string) => refusal(404, `No such WebhookEndpoint object: ${id}`, 'id');
  const upload = (id: string) => refusal(404, `No such Upload object: ${id}`, 'id');
  const key = refusal(
    400,
    "Invalid 'key_id'. Expected an ID that begins with 'key_'.",
    'key_id',
    'invalid_value',
  );
  it.each<[string, string, ReturnType<typeof refusal>]>([
    ['GET', '/v1/files/batch_x', file('batch_x')],
    ['GET', '/v1/files/upload_x/content', file('upload_x')],
    ['DELETE', '/v1/files/part_x', file('part_x')],
    ['GET', '/v1/batches/file-x', batch('file-x')],
    ['GET', '/v1/batches/msgbatch_x', batch('msgbatch_x')],
    ['POST', '/v1/batches/upload_x/cancel', batch('upload_x')],
    ['GET', '/v1/batches/whe_x/results', batch('whe_x')],
    ['GET', '/v1/batches/key_x/events', batch('key_x')],
    ['POST', '/v1/uploads/batch_x/cancel', upload('batch_x')],
    ['GET', `${ENDPOINTS}/batch_x`, endpoint('batch_x')],
    ['DELETE', `${ENDPOINTS}/file-x`, endpoint('file-x')],
    ['GET', `${KEYS_PATH}/file-x`, key],
    ['DELETE', `${KEYS_PATH}/batch_x`, key],
    ['GET', '/v1/files?after=batch_x', file('batch_x')],
    ['GET', '/v1/batches?after=file-x', refusal(404, "No batch found with id 'file-x'.")],
    ['GET', `${ENDPOINTS}?after=file-x`, endpoint('file-x')],
    [
      'GET',
      `${KEYS_PATH}?after=file-x`,
      { ...key, message: key.message.replace('key_id', 'after'), param: 'after' },
    ],
  ])('of another kind is refused: %s %s', async (method, path, expected) => {
    expect(errorOf(await service.call(path, { method }))).toEqual(expected);
  });

  it.each([
    'batch_x',
    'upload_x',
    '',
    '../../etc/passwd',
    "' or 1=1 --",
    '\u0000',
    '\ud800',
    'x'.repeat(100_000),
  ])('that no file has makes a batch fail: %j', async (id) => {
    const { json } = await service.post('/v1/batches', { ...BATCH, input_file_id: id });
    const created = batchObject.parse(json);
    // Half of a surrogate pair cannot be stored.
    expect(created.input_file_id).toBe(id.toWellFormed());
    const batch = await service.end(created.id);
    expect(batch.input_file_id).toBe(created.input_file_id);
    expect(batch.errors?.data).toMatchObject([
      {
        code: 'invalid_request',
        message: expect.stringContaining(`Cannot find file ${created.input_file_id}, or`),
      },
    ]);
  });

  it.each(['%00', '%2e%2e%2fbatches', '%ff', '%', 'x'.repeat(5000), '%F0%9F%92%A1', 'a%20b'])(
    'that is odd is unknown, or the URL is invalid: %s',
    async (id) => {
      for (const path of [`/v1/files/${id}`, `/v1/files/${id}/content`, `${ENDPOINTS}/${id}`]) {
        const { status, param } = errorOf(await service.call(path));
        expect([404, 400]).toContain(status);
        expect(['id', null]).toContain(param);
      }
    },
  );
});

describe('a value that the SDK would not send', () => {
  it('is answered with the class of the SDK for bad requests', async () => {
    const { client } = service;
    const calls = [
      client.batches.create({ ...BATCH, metadata: 5 } as never),
      client.batches.list({ limit: 0 }),
      client.files.list({ limit: -1 }),
      client.uploads.create({ ...UPLOAD, bytes: '4' } as never),
      client.webhooks.create({ ...ENDPOINT, event_types: 'batch.failed' } as never),
    ];
    for (const call of calls) await expect(call).rejects.toBeInstanceOf(OpenAI.BadRequestError);
  });
});
