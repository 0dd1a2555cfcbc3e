/** What this service adds to batches: deletes, retries, creates that can be repeated. */
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import {
  aboveMaximum,
  belowMinimum,
  errorOf,
  invalidValue,
  line,
  refusal,
  thrownBy,
  useService,
  wrongType,
} from './service.ts';
import type { Refusal } from './service.ts';
import { BATCH_KEYS, batchObject } from './shapes.ts';

/** How the model server treats lines that say `bad`. Others get an answer. */
let badLines: 'fail' | 'hang' | 'answer' = 'fail';
const service = useService({ COMPLETION_WINDOWS: '1h,7d' }, (request) => {
  if (badLines === 'answer' || !request.body.includes('bad')) return {};
  return badLines === 'hang' ? 'hang' : { status: 400, body: { error: 'bad' } };
});
const WINDOWS = "'24h', '1h', and '7d'";
const UNKNOWN = `batch_${'0'.repeat(32)}`;
const BODY = {
  input_file_id: 'file-unknown',
  endpoint: '/v1/chat/completions',
  completion_window: '24h',
} as const;
const NOT_FOUND = refusal(404, `No batch found with id '${UNKNOWN}'.`);
const MALFORMED = refusal(
  400,
  "Invalid 'batch_id': 'file-x'. Expected an ID that begins with 'batch'.",
  'batch_id',
  'invalid_value',
);

/** An ended batch of three lines, of which two failed. */
async function halfFailed(options: object = {}): Promise<OpenAI.Batch> {
  badLines = 'fail';
  return await service.end((await service.submit([line('bad 1'), line('good'), line('bad 2')], options)).id);
}

/** A batch that runs until it is cancelled. */
async function running(): Promise<string> {
  badLines = 'hang';
  const { id } = await service.submit([line('bad')]);
  await expect.poll(async () => (await service.client.batches.retrieve(id)).status).toBe('in_progress');
  return id;
}

async function allBatches(): Promise<readonly string[]> {
  return (await service.client.batches.list({ limit: 100 })).data.map(({ id }) => id);
}

describe('a delete', () => {
  it.each([
    ['no body', {}],
    ['a JSON type and no body', { headers: { 'content-type': 'application/json' } }],
  ])('removes an ended batch, and leaves its files, with %s', async (_name, init) => {
    const { id, output_file_id: output, error_file_id: errors } = await halfFailed();
    const { status, json } = await service.call(`/v1/batches/${id}`, { method: 'DELETE', ...init });
    expect([status, json]).toEqual([200, { object: 'batch', id, deleted: true }]);
    await expect(service.client.batches.retrieve(id)).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    expect(await allBatches()).not.toContain(id);
    for (const file of [output, errors]) await service.client.files.retrieve(file ?? '');
  });

  it('of a live batch is refused, and the SDK does not try it again', async () => {
    const id = await running();
    const answer = await service.call(`/v1/batches/${id}`, { method: 'DELETE' });
    expect(errorOf(answer)).toEqual(refusal(409, "Cannot delete a batch with status 'in_progress'."));
    expect(answer.headers.get('x-should-retry')).toBe('false');
    await service.client.batches.cancel(id);
  });

  it.each([
    [UNKNOWN, NOT_FOUND],
    ['file-x', MALFORMED],
  ])('of %s is refused', async (id, expected) => {
    expect(errorOf(await service.call(`/v1/batches/${id}`, { method: 'DELETE' }))).toEqual(expected);
  });
});

describe('a retry', () => {
  const retry = (id: string, body?: unknown) => service.post(`/v1/batches/${id}/retry`, body);

  it('is a new batch of the lines that failed, which tells where it comes from', async () => {
    const old = await halfFailed({ metadata: { team: 'x' }, priority: 5 });
    badLines = 'answer';
    const { status, json } = await retry(old.id);
    expect(status).toBe(200);
    const created = batchObject.parse(json);
    expect(Object.keys(json as object)).toEqual([...BATCH_KEYS, 'priority']);
    expect(created).toMatchObject({
      status: 'validating',
      endpoint: old.endpoint,
      completion_window: old.completion_window,
      metadata: { team: 'x', retry_of: old.id },
      priority: 5,
    });
    expect(created.id).not.toBe(old.id);
    const { output_file_id: output, request_counts: counts } = await service.end(created.id);
    expect(counts).toEqual({ total: 2, completed: 2, failed: 0 });
    const text = await (await service.client.files.content(output ?? '')).text();
    const ids = text
      .trim()
      .split('\n')
      .map((result) => (JSON.parse(result) as { custom_id: string }).custom_id);
    expect(ids).toEqual(['bad 1', 'bad 2']);
    // The old one is as it was.
    expect(await service.client.batches.retrieve(old.id)).toEqual(old);
  });

  it('runs what a cancel has kept from running', async () => {
    const id = await running();
    await service.client.batches.cancel(id);
    await service.end(id);
    badLines = 'answer';
    const created = batchObject.parse((await retry(id)).json);
    expect((await service.end(created.id)).request_counts).toEqual({ total: 1, completed: 1, failed: 0 });
  });

  it('may have metadata, window and priority of its own', async () => {
    const old = await halfFailed({ metadata: { team: 'x' } });
    const fields = { metadata: { team: 'y' }, completion_window: '1h', priority: -5 };
    const batch = batchObject.parse((await retry(old.id, { ...fields, unknown: 1 })).json);
    expect(batch).toMatchObject({ ...fields, metadata: { team: 'y', retry_of: old.id } });
    expect(batch.expires_at).toBe(batch.created_at + 3600);
  });

  it.each([
    [UNKNOWN, NOT_FOUND],
    ['file-x', MALFORMED],
  ])('of %s is refused', async (id, expected) => {
    expect(errorOf(await retry(id))).toEqual(expected);
  });

  it('of a live batch is refused, and the SDK does not try it again', async () => {
    const id = await running();
    const answer = await retry(id);
    expect(errorOf(answer)).toEqual(refusal(409, "Cannot retry a batch with status 'in_progress'."));
    expect(answer.headers.get('x-should-retry')).toBe('false');
    await service.client.batches.cancel(id);
  });

  it('of a batch without failed lines is refused', async () => {
    const { id } = await service.end((await service.submit([line('good')])).id);
    const message = `The batch '${id}' has no failed lines to retry.`;
    expect(errorOf(await retry(id))).toEqual(refusal(400, message, 'batch_id', 'invalid_value'));
  });

  it('of a batch that failed its validation is refused', async () => {
    const { id } = await service.end((await service.submit(['{"custom_id":"a"}'])).id);
    expect(errorOf(await retry(id))).toMatchObject({
      status: 400,
      message: expect.stringContaining(`The batch '${id}' failed its validation`),
      param: 'batch_id',
    });
  });

  it.each(['input', 'error'] as const)('of a batch whose %s file is gone is refused', async (kind) => {
    const batch = await halfFailed();
    const file = (kind === 'input' ? batch.input_file_id : batch.error_file_id) ?? '';
    await service.client.files.delete(file);
    const message = `The ${kind} file '${file}' of the batch '${batch.id}' was deleted or has expired, so its failed lines cannot be retried.`;
    expect(errorOf(await retry(batch.id))).toEqual(refusal(404, message, `${kind}_file_id`));
  });

  const pairs = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 'v']));
  const tooMany = (count: number) =>
    refusal(
      400,
      `Invalid 'metadata': too many properties. A retry adds 'retry_of', so expected an object with at most 15 others, but got ${count} instead.`,
      'metadata',
      'object_above_max_properties',
    );
  it.each<[string, object, Refusal]>([
    ['no room for retry_of', { metadata: pairs(16) }, tooMany(16)],
    ['17 pairs of metadata', { metadata: pairs(17) }, tooMany(17)],
    ['metadata that is a list', { metadata: [] }, wrongType('metadata', 'an object', 'an array')],
    [
      'metadata with a number in it',
      { metadata: { n: 1 } },
      wrongType('metadata.n', 'a string', 'an integer'),
    ],
    [
      'a value of 513 characters',
      { metadata: { k: 'v'.repeat(513) } },
      refusal(
        400,
        "Invalid 'metadata.k': string too long. Expected a string with maximum length 512, but got a string with length 513 instead.",
        'metadata.k',
        'string_above_max_length',
      ),
    ],
    ['another window', { completion_window: '2h' }, invalidValue('completion_window', '2h', WINDOWS)],
    [
      'a window that is a number',
      { completion_window: 24 },
      wrongType('completion_window', 'a string', 'an integer'),
    ],
    ['a priority of 101', { priority: 101 }, aboveMaximum('priority', 100, 101)],
    ['a priority as a string', { priority: '1' }, wrongType('priority', 'an integer', 'a string')],
    [
      'a webhook_url that is a number',
      { webhook_url: 1 },
      wrongType('webhook_url', 'a string', 'an integer'),
    ],
  ])('with %s is refused, and creates nothing', async (_fault, body, expected) => {
    const { id } = await halfFailed();
    const before = await allBatches();
    expect(errorOf(await retry(id, body))).toEqual(expected);
    expect(await allBatches()).toEqual(before);
  });
});

describe('a create with an Idempotency-Key', () => {
  const create = (key: string, body: object = BODY) =>
    service.post('/v1/batches', body, { 'idempotency-key': key });

  it('is answered the same again, also when the batch has ended', async () => {
    const first = await create('same');
    expect(first.headers.get('idempotent-replayed')).toBeNull();
    const batch = batchObject.parse(first.json);
    await service.end(batch.id);
    const again = await create('same');
    expect([again.status, again.text]).toEqual([200, first.text]);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect((await allBatches()).filter((id) => id === batch.id)).toHaveLength(1);
  });

  it('may be sent by the SDK, which gets the same batch', async () => {
    const headers = { 'Idempotency-Key': 'by-the-SDK' };
    const ids = [1, 2].map(async () => (await service.client.batches.create(BODY, { headers })).id);
    expect(new Set(await Promise.all(ids)).size).toBe(1);
  });

  it.each<[string, object]>([
    ['another file', { input_file_id: 'file-other' }],
    ['metadata', { metadata: { a: 'b' } }],
    ['a priority', { priority: 1 }],
  ])('that was used for another request is refused: %s', async (name, fields) => {
    const key = `other-${name.replaceAll(' ', '-')}`;
    await create(key);
    const headers = { 'Idempotency-Key': key };
    const call = service.client.post('/batches', { body: { ...BODY, ...fields }, headers });
    const error = await thrownBy(call);
    expect(error).toBeInstanceOf(OpenAI.ConflictError);
    expect(error.error).toEqual({
      message: `The Idempotency-Key '${key}' was used with another request within the last 24 hours.`,
      type: 'invalid_request_error',
      param: 'Idempotency-Key',
      code: null,
    });
    expect(error.headers?.get('x-should-retry')).toBe('false');
  });

  it('takes the same values in another order for the same request', async () => {
    const first = await create('order');
    const body = Object.fromEntries(Object.entries(BODY).toReversed());
    expect((await create('order', body)).text).toBe(first.text);
  });

  it('that was refused is not remembered', async () => {
    expect((await create('refused', { ...BODY, endpoint: '/v1/x' })).status).toBe(400);
    const { status, headers } = await create('refused');
    expect([status, headers.get('idempotent-replayed')]).toEqual([200, null]);
  });

  it.each([
    ['an empty key', ''],
    ['a blank in its key', 'a b'],
    ['a key of 256 characters', 'x'.repeat(256)],
  ])('with %s is refused', async (_fault, key) => {
    expect(errorOf(await create(key))).toEqual(
      refusal(
        400,
        "Invalid 'Idempotency-Key': expected 1 to 255 visible ASCII characters.",
        'Idempotency-Key',
        'invalid_value',
      ),
    );
  });

  it('may be a retry', async () => {
    const { id } = await halfFailed();
    const retry = () => service.post(`/v1/batches/${id}/retry`, undefined, { 'idempotency-key': 'retry' });
    const first = await retry();
    const again = await retry();
    expect([first.status, again.status]).toEqual([200, 200]);
    expect(again.text).toBe(first.text);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
  });
});

describe('a priority', () => {
  it.each([-100, 100])('of %i is taken, and shown', async (priority) => {
    const { json } = await service.post('/v1/batches', { ...BODY, priority });
    expect(batchObject.parse(json).priority).toBe(priority);
  });

  it.each([0, null])('of %j is the usual one, and not shown', async (priority) => {
    const { status, json } = await service.post('/v1/batches', { ...BODY, priority });
    expect([status, Object.keys(json as object)]).toEqual([200, BATCH_KEYS]);
  });

  it.each<[unknown, Refusal]>([
    [-101, belowMinimum('priority', -100, -101)],
    ['5', wrongType('priority', 'an integer', 'a string')],
    [1.5, wrongType('priority', 'an integer', 'a number')],
    [true, wrongType('priority', 'an integer', 'a boolean')],
    [[1], wrongType('priority', 'an integer', 'an array')],
    [{}, wrongType('priority', 'an integer', 'an object')],
  ])('of %j is refused', async (priority, expected) => {
    expect(errorOf(await service.post('/v1/batches', { ...BODY, priority }))).toEqual(expected);
  });
});

describe('a completion window', () => {
  it.each([
    ['24h', 86_400],
    ['1h', 3600],
    ['7d', 604_800],
  ])('of %s that the settings allow lasts as long', async (window, seconds) => {
    const { json } = await service.post('/v1/batches', { ...BODY, completion_window: window });
    const batch = batchObject.parse(json);
    expect(batch).toMatchObject({ completion_window: window, expires_at: batch.created_at + seconds });
  });

  it.each(['2h', '1H', '60m', ''])("of '%s' that they do not allow is refused", async (window) => {
    expect(errorOf(await service.post('/v1/batches', { ...BODY, completion_window: window }))).toEqual(
      invalidValue('completion_window', window, WINDOWS),
    );
  });

  it('of a number is refused', async () => {
    expect(errorOf(await service.post('/v1/batches', { ...BODY, completion_window: 24 }))).toEqual(
      wrongType('completion_window', 'a string', 'an integer'),
    );
  });
});

describe('a webhook_url', () => {
  it('is refused where the service has nothing to sign with', async () => {
    const body = { ...BODY, webhook_url: 'https://hooks.example.com/' };
    expect(errorOf(await service.post('/v1/batches', body))).toEqual(
      refusal(
        400,
        "Invalid 'webhook_url': this server has no WEBHOOK_SIGNING_SECRET to sign webhooks with.",
        'webhook_url',
        'invalid_value',
      ),
    );
  });
});
