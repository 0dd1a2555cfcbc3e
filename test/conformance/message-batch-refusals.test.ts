/** Message Batches: each refusal, as plain HTTP shows it and as the official SDK throws it. */
import { request as sendRequest } from 'node:http';
import Anthropic from '@anthropic-ai/sdk';
import { describe, expect, it } from 'vitest';
import { KEY, messageErrorOf, messageRefusal, useService } from './service.ts';
import type { Answer } from './service.ts';

const service = useService({ MAX_LINE_BYTES: '1000', MAX_FILE_BYTES: '20000' });
const BATCHES = '/v1/messages/batches';
const VERSION = { 'anthropic-version': '2023-06-01' };
const UNKNOWN = `msgbatch_${'0'.repeat(32)}`;
const BASE = { model: 'm', max_tokens: 10, messages: [] };

type Init = NonNullable<Parameters<typeof service.call>[1]>;

const call = (path: string, init: Init = {}): Promise<Answer> =>
  service.call(path, { ...init, headers: { ...VERSION, ...(init.headers as object) } });

const create = (requests: unknown): Promise<Answer> => call(BATCHES, { method: 'POST', json: { requests } });

/** A client with a key that an administrator has handed out. */
async function clientOf(key: {
  readonly owner: string;
  readonly endpoints?: readonly string[];
}): Promise<Anthropic> {
  const { json } = await service.call('/v1/admin/keys', { method: 'POST', json: { name: 'a key', ...key } });
  const { key: apiKey } = json as { key: string };
  return new Anthropic({ baseURL: service.url, apiKey, authToken: null, maxRetries: 0 });
}

const notFound = (id: string) => messageRefusal(404, `No Message Batch found with id '${id}'.`);

/** The calls of one batch, by its id. */
const CALLS = [
  ['GET', ''],
  ['POST', '/cancel'],
  ['DELETE', ''],
  ['GET', '/results'],
] as const;

describe('a create', () => {
  const pattern = "String should match pattern '^[a-zA-Z0-9_-]{1,64}$'";
  it.each<[string, unknown, string]>([
    [
      'a custom_id of 65 characters',
      { custom_id: 'x'.repeat(65) },
      'custom_id: String should have at most 64 characters',
    ],
    ['a space in a custom_id', { custom_id: 'a b' }, `custom_id: ${pattern}`],
    ['an empty custom_id', { custom_id: '' }, `custom_id: ${pattern}`],
    ['another letter in a custom_id', { custom_id: 'ä' }, `custom_id: ${pattern}`],
    ['a custom_id that ends in a line break', { custom_id: 'a\n' }, `custom_id: ${pattern}`],
    [
      'a custom_id twice',
      { custom_id: 'first' },
      "custom_id: 'first' is the custom_id of an earlier request; each must be unique",
    ],
    ['a custom_id that is a number', { custom_id: 7 }, 'custom_id: Input should be a valid string'],
    ['no custom_id', { custom_id: undefined }, 'custom_id: Field required'],
    ['no params', { params: undefined }, 'params: Field required'],
    ['params that are text', { params: 'x' }, 'params: Input should be an object'],
    ['params that are a list', { params: [] }, 'params: Input should be an object'],
    ['params that are null', { params: null }, 'params: Input should be an object'],
    ['no model', { params: { messages: [] } }, 'params.model: Field required'],
    [
      'a model that is a number',
      { params: { ...BASE, model: 1 } },
      'params.model: Input should be a valid string',
    ],
    [
      'stream: true',
      { params: { ...BASE, stream: true } },
      'params.stream: Streaming is not supported in batches',
    ],
  ])('with a fault names it: %s', async (_fault, fields, message) => {
    const answer = await create([
      { custom_id: 'first', params: BASE },
      { custom_id: 'second', params: BASE, ...(fields as object) },
    ]);
    expect(messageErrorOf(answer)).toEqual(messageRefusal(400, `requests.1.${message}`));
  });

  it.each<[string, string, string | RegExp]>([
    ['nothing', '', /^The request body is not valid JSON: /],
    ['half an object', '{"requests":[', /^The request body is not valid JSON: /],
    ['more than an object', '{"requests":[]} x', /^The request body is not valid JSON: /],
    ['a form', 'requests=x', /^The request body is not valid JSON: /],
    ['a list', '[]', /^The request body is not valid JSON: /],
    ['no requests', '{}', 'requests: Field required'],
    ['empty requests', '{"requests":[]}', 'requests: List should have at least 1 item'],
    ['requests that are null', '{"requests":null}', 'requests: Input should be a valid list'],
    ['requests that are an object', '{"requests":{}}', 'requests: Input should be a valid list'],
    ['a request that is text', '{"requests":["x"]}', 'requests.0: Input should be an object'],
    ['a request that is no JSON', '{"requests":[{x}]}', /^requests\.0: not valid JSON: /],
  ])('whose body is %s is refused', async (_name, body, message) => {
    const answer = await call(BATCHES, { method: 'POST', body });
    expect(messageErrorOf(answer)).toEqual({
      ...messageRefusal(400, ''),
      message: typeof message === 'string' ? message : expect.stringMatching(message),
    });
  });

  it('with a request over the limit is refused with 413, the request and the limit', async () => {
    const params = { ...BASE, system: 'x'.repeat(1000) };
    expect(messageErrorOf(await create([{ custom_id: 'a', params }]))).toEqual(
      messageRefusal(413, 'requests.0: A request may have at most 1000 bytes'),
    );
  });

  it('with a body over the limit of files is refused with 413 and the limit', async () => {
    const requests = Array.from({ length: 100 }, (_, n) => {
      return { custom_id: `r${n}`, params: { ...BASE, system: 'x'.repeat(500) } };
    });
    expect(messageErrorOf(await create(requests))).toMatchObject({
      ...messageRefusal(413, ''),
      message: expect.stringContaining('20000 bytes'),
    });
  });

  it('that announces more than 256 MB is refused with 413 before it is sent', async () => {
    const limit = 256 * 1024 * 1024;
    const headers = { ...VERSION, 'x-api-key': KEY, 'content-length': String(limit + 1) };
    const { promise, resolve, reject } = Promise.withResolvers<[number | undefined, string]>();
    const request = sendRequest(`${service.url}${BATCHES}`, { method: 'POST', headers }, (response) => {
      response.once('data', (data: Buffer) => resolve([response.statusCode, data.toString()]));
    });
    request.once('error', reject).flushHeaders();
    const [status, text] = await promise;
    request.destroy();
    expect([status, JSON.parse(text)]).toMatchObject([
      413,
      {
        type: 'error',
        error: { type: 'request_too_large', message: expect.stringContaining(`${limit} bytes`) },
      },
    ]);
  });
});

describe('the id of a batch', () => {
  it.each(CALLS)('that is unknown, or of another kind, is not found: %s …%s', async (method, suffix) => {
    const { id: own } = await service.anthropic.messages.batches.create({
      requests: [{ custom_id: 'a', params: BASE }],
    });
    const { id: other } = await service.submit(['{"custom_id":"a"}']);
    const ids = [
      UNKNOWN,
      'msgbatch_x',
      'x',
      own.replace('msgbatch_', 'batch_'),
      own.toUpperCase(),
      other,
      other.replace('batch_', 'msgbatch_'),
      await service.upload('{}\n'),
    ];
    for (const id of ids) {
      expect(messageErrorOf(await call(`${BATCHES}/${id}${suffix}`, { method }))).toEqual(notFound(id));
    }
  });

  it.each(['after_id', 'before_id'])('as %s of a list is not found either', async (name) => {
    for (const id of [UNKNOWN, 'x', 'batch_x', 'file-x']) {
      expect(messageErrorOf(await call(`${BATCHES}?${name}=${id}`))).toEqual(notFound(id));
    }
  });

  it('of another owner is not found, and neither is it listed', async () => {
    const { id } = await service.anthropic.messages.batches.create({
      requests: [{ custom_id: 'a', params: BASE }],
    });
    const { batches } = (await clientOf({ owner: 'other' })).messages;
    expect((await batches.list()).data).toEqual([]);
    const message = `No Message Batch found with id '${id}'.`;
    for (const run of [() => batches.retrieve(id), () => batches.cancel(id), () => batches.delete(id)]) {
      await expect(run()).rejects.toMatchObject({ status: 404, apiMessage: message });
    }
  });

  it('opens no batch of the other API', async () => {
    const { status, json } = await service.call(`/v1/batches/${UNKNOWN}`);
    expect([status, json]).toMatchObject([400, { error: { param: 'batch_id', code: 'invalid_value' } }]);
  });
});

describe('a list', () => {
  it.each([
    ['limit=0', 'limit: Input should be greater than or equal to 1'],
    ['limit=-1', 'limit: Input should be greater than or equal to 1'],
    ['limit=1001', 'limit: Input should be less than or equal to 1000'],
    ['limit=abc', 'limit: Input should be a valid integer'],
    ['limit=1.5', 'limit: Input should be a valid integer'],
    ['before_id=a&after_id=b', 'before_id: Only one of before_id and after_id can be given'],
  ])('refuses %s', async (query, message) => {
    expect(messageErrorOf(await call(`${BATCHES}?${query}`))).toEqual(messageRefusal(400, message));
  });

  it.each(['limit=1', 'limit=1000', 'limit=', 'after_id=', 'before_id=', 'unknown=1'])(
    'takes %s',
    async (query) => {
      expect((await call(`${BATCHES}?${query}`)).status).toBe(200);
    },
  );
});

describe('a batch that has ended', () => {
  it('is not canceled', async () => {
    const { batches } = service.anthropic.messages;
    const { id } = await batches.create({ requests: [{ custom_id: 'a', params: BASE }] });
    await expect.poll(async () => (await batches.retrieve(id)).processing_status).toBe('ended');
    expect(messageErrorOf(await call(`${BATCHES}/${id}/cancel`, { method: 'POST' }))).toEqual(
      messageRefusal(400, `Message Batch '${id}' cannot be canceled: its processing has ended.`),
    );
  });
});

describe('a request', () => {
  const ROUTES = [
    ['POST', BATCHES],
    ['GET', BATCHES],
    ...CALLS.map(([method, suffix]) => [method, `${BATCHES}/${UNKNOWN}${suffix}`] as const),
    ['POST', '/v1/messages'],
    ['GET', '/v1/messages/unknown'],
  ] as const;

  it.each(ROUTES)('without a key is refused: %s %s', async (method, path) => {
    const response = await fetch(service.url + path, { method, headers: VERSION });
    const text = await response.text();
    const { status, headers } = response;
    expect(messageErrorOf({ status, headers, text, json: JSON.parse(text) })).toEqual(
      messageRefusal(401, 'x-api-key header is required'),
    );
  });

  it.each(ROUTES)('with a wrong key is refused: %s %s', async (method, path) => {
    for (const headers of [{ authorization: 'Bearer wrong' }, { 'x-api-key': 'wrong' }]) {
      expect(messageErrorOf(await call(path, { method, headers }))).toEqual(
        messageRefusal(401, 'invalid x-api-key'),
      );
    }
  });

  it.each([
    ['POST', '/v1/messages'],
    ['POST', '/v1/messages/count_tokens'],
    ['PUT', BATCHES],
    ['POST', `${BATCHES}/${UNKNOWN}`],
    ['GET', `${BATCHES}/${UNKNOWN}/cancel`],
    ['GET', `${BATCHES}/${UNKNOWN}/unknown`],
    ['GET', `${BATCHES}/%ff`],
  ])('to an unknown route is answered in the envelope: %s %s', async (method, path) => {
    expect(messageErrorOf(await call(path, { method }))).toEqual(
      messageRefusal(404, `Invalid URL (${method} ${path})`),
    );
  });

  it.each(['2023-01-01', '2026-10-22', 'latest'])('in the version %s is refused', async (version) => {
    expect(messageErrorOf(await call(BATCHES, { headers: { 'anthropic-version': version } }))).toEqual(
      messageRefusal(400, 'anthropic-version: Input should be one of 2023-06-01, 2026-10-21'),
    );
  });

  it('without a version is refused', async () => {
    expect(messageErrorOf(await service.call(BATCHES))).toEqual(
      messageRefusal(400, 'anthropic-version: header is required'),
    );
  });
});

describe('the SDK', () => {
  const { BadRequestError, AuthenticationError, PermissionDeniedError, NotFoundError, APIError } = Anthropic;
  const batches = () => service.anthropic.messages.batches;
  const stranger = () =>
    new Anthropic({ baseURL: service.url, apiKey: 'wrong', authToken: null, maxRetries: 0 });
  const large = { custom_id: 'a', params: { ...BASE, system: 'x'.repeat(1000) } };

  it.each([
    [BadRequestError, 400, 'invalid_request_error', () => batches().create({ requests: [] })],
    [AuthenticationError, 401, 'authentication_error', () => stranger().messages.batches.list()],
    [NotFoundError, 404, 'not_found_error', () => batches().retrieve(UNKNOWN)],
    [NotFoundError, 404, 'not_found_error', () => batches().results(UNKNOWN)],
    [APIError, 413, 'request_too_large', () => batches().create({ requests: [large] })],
    [
      PermissionDeniedError,
      403,
      'permission_error',
      async () => {
        const { messages } = await clientOf({ owner: 'limited', endpoints: ['/v1/responses'] });
        return await messages.batches.create({ requests: [{ custom_id: 'a', params: BASE }] });
      },
    ],
  ] as const)('throws its %o with the status %i', async (errorClass, status, type, run) => {
    const error: unknown = await Promise.resolve(run()).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(errorClass);
    expect(error).toMatchObject({
      status,
      type,
      apiMessage: expect.any(String),
      requestID: expect.stringMatching(/^req_[0-9a-f]{32}$/),
    });
  });
});
