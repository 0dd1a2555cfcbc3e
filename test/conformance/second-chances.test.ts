/** Deletes and retries of batches, which this service adds. */
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { aboveMaximum, errorOf, invalidValue, line, refusal, useService, wrongType } from './service.ts';
import type { Refusal } from './service.ts';
import { BATCH_KEYS, batchObject } from './shapes.ts';

/** How the model server treats lines that say `bad`. Others get an answer. */
let badLines: 'fail' | 'hang' | 'answer' = 'fail';
const service = useService({ COMPLETION_WINDOWS: '1h' }, (request) => {
  if (badLines === 'answer' || !request.body.includes('bad')) return {};
  return badLines === 'hang' ? 'hang' : { status: 400, body: { error: 'bad' } };
});
const UNKNOWN = `batch_${'0'.repeat(32)}`;
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
    [
      'another window',
      { completion_window: '2h' },
      invalidValue('completion_window', '2h', "'24h' and '1h'"),
    ],
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

  it('with an Idempotency-Key happens once', async () => {
    const { id } = await halfFailed();
    const once = () => service.post(`/v1/batches/${id}/retry`, undefined, { 'idempotency-key': 'retry' });
    const [first, again] = [await once(), await once()];
    expect([first.status, again.status]).toEqual([200, 200]);
    expect(again.text).toBe(first.text);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
  });
});
