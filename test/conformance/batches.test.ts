/** Batches: each call, each field, each state, each refusal of a request. */
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { errorOf, limitRefusals, line, missing, refusal, useService, wrongType } from './service.ts';
import { BATCH_KEYS, batchObject, listOf } from './shapes.ts';

const service = useService();
const BODY = { input_file_id: 'file-unknown', endpoint: '/v1/chat/completions', completion_window: '24h' };
const DAY = 86_400;

const create = (json: unknown) => service.call('/v1/batches', { method: 'POST', json });

const ENDPOINTS = [
  '/v1/chat/completions',
  '/v1/responses',
  '/v1/embeddings',
  '/v1/completions',
  '/v1/moderations',
  '/v1/images/generations',
  '/v1/images/edits',
  '/v1/videos',
];

describe('a create', () => {
  it('answers the whole object, with its keys in order and nothing set that is not known', async () => {
    const batch = await service.client.batches.create({
      ...BODY,
      completion_window: '24h',
      endpoint: '/v1/embeddings',
    });
    batchObject.parse(batch);
    expect(Object.keys(batch)).toEqual(BATCH_KEYS);
    expect(batch).toMatchObject({
      endpoint: '/v1/embeddings',
      model: null,
      errors: null,
      status: 'validating',
      output_file_id: null,
      error_file_id: null,
      in_progress_at: null,
      expires_at: batch.created_at + DAY,
      request_counts: { total: 0, completed: 0, failed: 0 },
      usage: { input_tokens: 0, output_tokens: 0, total_tokens: 0 },
      metadata: null,
    });
    // The first eight digits are the time.
    expect(Number.parseInt(batch.id.slice(6, 14), 16)).toBe(batch.created_at);
  });

  it.each(ENDPOINTS)('takes the endpoint %s', async (endpoint) => {
    const { status, json } = await create({ ...BODY, endpoint });
    expect(status).toBe(200);
    expect(batchObject.parse(json).endpoint).toBe(endpoint);
  });

  it.each([
    ['null', null],
    ['no pair', {}],
    ['16 pairs', Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`k${i}`, 'v']))],
    ['the longest pair', { ['k'.repeat(64)]: 'v'.repeat(512) }],
    ['letters of all kinds', { ключ: '値 💡', '': '' }],
  ])('takes metadata: %s', async (_name, metadata) => {
    const { status, json } = await create({ ...BODY, metadata });
    expect(status).toBe(200);
    expect(batchObject.parse(json).metadata).toEqual(metadata);
  });

  it.each([3600, 2_592_000])('takes an expiry of its output of %i seconds', async (seconds) => {
    const { id } = await service.submit([line('a')], {
      output_expires_after: { anchor: 'created_at', seconds },
    });
    const { output_file_id: fileId } = await service.end(id);
    const file = await service.client.files.retrieve(fileId ?? '');
    expect(file.expires_at).toBe(file.created_at + seconds);
  });

  it('ignores unknown fields', async () => {
    expect((await create({ ...BODY, unknown: { deep: [1] }, model: 'x' })).status).toBe(200);
  });

  const quoted = ENDPOINTS.map((endpoint) => `'${endpoint}'`);
  const supported = `${quoted.slice(0, -1).join(', ')}, and ${quoted.at(-1)}`;
  it.each<[string, unknown, ReturnType<typeof refusal>]>([
    ['nothing', {}, missing('input_file_id')],
    ['no endpoint', { ...BODY, endpoint: undefined }, missing('endpoint')],
    ['no window', { ...BODY, completion_window: undefined }, missing('completion_window')],
    [
      'another endpoint',
      { ...BODY, endpoint: '/v1/other' },
      refusal(
        400,
        `Invalid value: '/v1/other'. Supported values are: ${supported}.`,
        'endpoint',
        'invalid_value',
      ),
    ],
    [
      'another window',
      { ...BODY, completion_window: '1h' },
      refusal(400, "Invalid value: '1h'. Supported values are: '24h'.", 'completion_window', 'invalid_value'),
    ],
    [
      'an id that is a number',
      { ...BODY, input_file_id: 1 },
      wrongType('input_file_id', 'a string', 'an integer'),
    ],
    ['metadata that is a list', { ...BODY, metadata: [] }, wrongType('metadata', 'an object', 'an array')],
    [
      'metadata with a list in it',
      { ...BODY, metadata: { tags: ['a'] } },
      wrongType('metadata.tags', 'a string', 'an array'),
    ],
    [
      'metadata with a number in it',
      { ...BODY, metadata: { n: 1 } },
      wrongType('metadata.n', 'a string', 'an integer'),
    ],
    [
      '17 pairs',
      { ...BODY, metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, 'v'])) },
      refusal(
        400,
        "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but got 17 properties instead.",
        'metadata',
        'object_above_max_properties',
      ),
    ],
    [
      'a value of 513 characters',
      { ...BODY, metadata: { k: 'v'.repeat(513) } },
      refusal(
        400,
        "Invalid 'metadata.k': string too long. Expected a string with maximum length 512, but got a string with length 513 instead.",
        'metadata.k',
        'string_above_max_length',
      ),
    ],
    [
      'a key of 65 characters',
      { ...BODY, metadata: { ['k'.repeat(65)]: 'v' } },
      refusal(
        400,
        "Invalid 'metadata': string too long. Expected a string with maximum length 64, but got a string with length 65 instead.",
        'metadata',
        'string_above_max_length',
      ),
    ],
    [
      'an expiry as text',
      { ...BODY, output_expires_after: { anchor: 'created_at', seconds: '3600' } },
      wrongType('output_expires_after.seconds', 'an integer', 'a string'),
    ],
    [
      'an expiry that is too short',
      { ...BODY, output_expires_after: { anchor: 'created_at', seconds: 3599 } },
      refusal(
        400,
        "Invalid 'output_expires_after.seconds': integer below minimum value. Expected a value >= 3600, but got 3599 instead.",
        'output_expires_after.seconds',
        'integer_below_min_value',
      ),
    ],
    [
      'a priority of 101',
      { ...BODY, priority: 101 },
      refusal(
        400,
        "Invalid 'priority': integer above maximum value. Expected a value <= 100, but got 101 instead.",
        'priority',
        'integer_above_max_value',
      ),
    ],
  ])('with a fault is refused: %s', async (_fault, body, expected) => {
    expect(errorOf(await create(body))).toEqual(expected);
  });

  it.each([
    ['half an object', '{"input_file_id":', 'application/json'],
    ['no JSON', 'input_file_id=x', 'application/x-www-form-urlencoded'],
    ['text', JSON.stringify(BODY), 'text/plain'],
  ])('whose body is %s is refused', async (_name, body, type) => {
    const answer = await service.call('/v1/batches', {
      method: 'POST',
      body,
      headers: { 'content-type': type },
    });
    expect(errorOf(answer)).toMatchObject({
      status: 400,
      message: expect.stringMatching(/^We could not parse the JSON body of your request\./),
    });
  });
});

describe('an input file', () => {
  it('that is unknown is accepted, and the batch fails as the official API has it', async () => {
    const { id } = await service.client.batches.create({
      ...BODY,
      completion_window: '24h',
      endpoint: '/v1/responses',
    });
    const batch = await service.end(id);
    expect(batchObject.parse(batch)).toMatchObject({
      status: 'failed',
      failed_at: expect.any(Number),
      errors: {
        data: [
          {
            code: 'invalid_request',
            param: 'file_id',
            line: null,
            message: 'Cannot find file file-unknown, or organization default does not have access to it.',
          },
        ],
      },
    });
  });

  it('of another purpose makes the batch fail, and says so', async () => {
    const id = await service.upload('{}', 'user_data');
    const batch = await service.client.batches.create({
      ...BODY,
      completion_window: '24h',
      endpoint: '/v1/responses',
      input_file_id: id,
    });
    expect((await service.end(batch.id)).errors?.data?.[0]?.message).toContain("purpose 'user_data'");
  });
});

describe('a batch', () => {
  it('goes through its states, with a time for each', async () => {
    const created = await service.submit([line('a'), line('b')], { metadata: { team: 'x' } });
    expect(created.status).toBe('validating');
    const batch = await service.end(created.id);
    batchObject.parse(batch);
    expect(batch).toMatchObject({
      status: 'completed',
      model: 'm',
      request_counts: { total: 2, completed: 2, failed: 0 },
      usage: { input_tokens: 4, output_tokens: 6, total_tokens: 10 },
      metadata: { team: 'x' },
      error_file_id: null,
      failed_at: null,
      cancelled_at: null,
    });
    const times = [batch.created_at, batch.in_progress_at, batch.finalizing_at, batch.completed_at];
    expect(times.every((time) => typeof time === 'number')).toBe(true);
    expect(times).toEqual(times.toSorted((a = 0, b = 0) => a - b));
    // It never changes again.
    expect(await service.client.batches.retrieve(created.id)).toEqual(batch);
  });

  it.each<[string, string, ReturnType<typeof refusal>]>([
    [
      'GET',
      '/v1/batches/x-1',
      refusal(
        400,
        "Invalid 'batch_id': 'x-1'. Expected an ID that begins with 'batch'.",
        'batch_id',
        'invalid_value',
      ),
    ],
    ['GET', '/v1/batches/batch_unknown', refusal(404, "No batch found with id 'batch_unknown'.")],
    ['POST', '/v1/batches/batch_unknown/cancel', refusal(404, "No batch found with id 'batch_unknown'.")],
    ['GET', '/v1/batches/batch_unknown/results', refusal(404, "No batch found with id 'batch_unknown'.")],
    ['GET', '/v1/batches/batch_unknown/events', refusal(404, "No batch found with id 'batch_unknown'.")],
  ])('that is unknown: %s %s', async (method, path, expected) => {
    expect(errorOf(await service.call(path, { method }))).toEqual(expected);
  });

  it('that is completed cannot be cancelled, and clients are told not to try again', async () => {
    const { id } = await service.submit([line('a')]);
    await service.end(id);
    const answer = await service.call(`/v1/batches/${id}/cancel`, { method: 'POST' });
    expect(errorOf(answer)).toEqual(refusal(409, "Cannot cancel a batch with status 'completed'."));
    expect(answer.headers.get('x-should-retry')).toBe('false');
    await expect(service.client.batches.cancel(id)).rejects.toBeInstanceOf(OpenAI.ConflictError);
  });

  it('that failed cannot be cancelled either', async () => {
    const { id } = await service.client.batches.create({
      ...BODY,
      completion_window: '24h',
      endpoint: '/v1/responses',
    });
    await service.end(id);
    expect(errorOf(await service.call(`/v1/batches/${id}/cancel`, { method: 'POST' }))).toEqual(
      refusal(409, "Cannot cancel a batch with status 'failed'."),
    );
  });

  it('that was cancelled can be cancelled again, also with a JSON type and no body', async () => {
    const created = await service.submit(Array.from({ length: 3000 }, (_, i) => line(`l${i}`)));
    const cancelling = await service.client.batches.cancel(created.id);
    expect(batchObject.parse(cancelling).status).toMatch(/^cancell(ing|ed)$/);
    expect(cancelling.cancelling_at).toEqual(expect.any(Number));
    const cancelled = await service.end(created.id);
    expect(cancelled.status).toBe('cancelled');
    const again = await service.call(`/v1/batches/${created.id}/cancel`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
    });
    expect([again.status, again.json]).toEqual([200, cancelled]);
  });
});

describe('the list of batches', () => {
  it('is a whole envelope, newest first, 20 unless asked otherwise', async () => {
    for (let i = 0; i < 25; i++) await create(BODY);
    const list = listOf(batchObject).parse((await service.call('/v1/batches')).json);
    expect(list.data).toHaveLength(20);
    expect(list.has_more).toBe(true);
    const data = list.data as OpenAI.Batch[];
    expect([list.first_id, list.last_id]).toEqual([data[0]?.id, data.at(-1)?.id]);
    const times = data.map(({ created_at: at }) => at);
    expect(times).toEqual(times.toSorted((a, b) => b - a));
  });

  it('is paged by the SDK over 250 batches', async () => {
    const known: string[] = [];
    for await (const { id } of service.client.batches.list({ limit: 100 })) known.push(id);
    for (let i = known.length; i < 250; i++) await create(BODY);
    const all: string[] = [];
    for await (const { id } of service.client.batches.list({ limit: 33 })) all.push(id);
    expect(new Set(all).size).toBeGreaterThanOrEqual(250);
    expect(all.slice(-known.length)).toEqual(known);
  });

  it.each<[string, ReturnType<typeof refusal>]>([
    ...limitRefusals(100),
    ['after=batch_unknown', refusal(404, "No batch found with id 'batch_unknown'.")],
  ])('refuses %s', async (query, expected) => {
    expect(errorOf(await service.call(`/v1/batches?${query}`))).toEqual(expected);
  });
});
