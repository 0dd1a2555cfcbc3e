/** Files: each call, each field, each refusal. */
import { ReadableStream } from 'node:stream/web';
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { errorOf, form, limitRefusals, line, refusal, useService } from './service.ts';
import { deletedFile, fileObject, listOf } from './shapes.ts';

const service = useService({ MAX_FILE_BYTES: '100000' });
const GOOD = `${JSON.stringify(line('a'))}\n`;
const DAY = 86_400;

const post = (fields: Readonly<Record<string, string | Blob>>, order?: readonly string[]) =>
  service.call('/v1/files', { method: 'POST', body: form(fields, order) });

const named = (name: string, text = GOOD) => OpenAI.toFile(Buffer.from(text), name);

describe('an upload', () => {
  it.each(['assistants', 'batch', 'fine-tune', 'vision', 'user_data', 'evals'] as const)(
    'for the purpose %s is a File object',
    async (purpose) => {
      const file = await service.client.files.create({ file: await named('x.jsonl'), purpose });
      expect(fileObject.parse(file)).toMatchObject({ purpose, filename: 'x.jsonl', bytes: GOOD.length });
      expect(Object.keys(file)).toEqual(Object.keys(fileObject.shape));
      expect(file.expires_at).toBe(purpose === 'batch' ? file.created_at + 30 * DAY : null);
    },
  );

  it.each([
    ['the file first, as the Node SDK sends it', ['file', 'purpose']],
    ['the file last, as the Python SDK sends it', ['purpose', 'file']],
  ])('takes %s', async (_name, order) => {
    const answer = await post({ file: new Blob([GOOD]), purpose: 'batch' }, order);
    expect(answer.status).toBe(200);
    fileObject.parse(answer.json);
  });

  it('takes a name without extension, as raw bytes from Python have it', async () => {
    const file = await service.client.files.create({ file: await named('upload'), purpose: 'batch' });
    expect(file.filename).toBe('upload');
  });

  it('takes a stream without a length', async () => {
    const body = new Response(ReadableStream.from([Buffer.from(GOOD), Buffer.from(GOOD)]));
    expect((await service.client.files.create({ file: body, purpose: 'batch' })).bytes).toBe(2 * GOOD.length);
  });

  it.each([3600, 2_592_000])(
    'expires %i seconds after its creation where that is asked for',
    async (seconds) => {
      const file = await service.client.files.create({
        file: await named('x.jsonl'),
        purpose: 'user_data',
        expires_after: { anchor: 'created_at', seconds },
      });
      expect(file.expires_at).toBe(file.created_at + seconds);
    },
  );

  it('takes field names with dots for those with brackets', async () => {
    const answer = await post({
      purpose: 'batch',
      'expires_after.anchor': 'created_at',
      'expires_after.seconds': '7200',
      file: new Blob([GOOD]),
    });
    const file = fileObject.parse(answer.json);
    expect(file.expires_at).toBe(file.created_at + 7200);
  });

  it('for a batch looks at the first line only', async () => {
    const file = await service.client.files.create({
      file: await named('x.jsonl', `${GOOD}not json\n`),
      purpose: 'batch',
    });
    expect(file.status).toBe('processed');
  });

  const NOT_JSONL = 'Invalid file format for Batch API. Must be .jsonl';
  const PURPOSES = "['fine-tune', 'assistants', 'batch', 'user_data', 'vision', 'evals']";
  const file = (text = GOOD): Blob => new Blob([text]);
  it.each<[string, Readonly<Record<string, string | Blob>>, ReturnType<typeof refusal>]>([
    ['empty file for a batch', { purpose: 'batch', file: file('') }, refusal(400, NOT_JSONL)],
    ['first line that is not JSON', { purpose: 'batch', file: file('a,b\n1,2\n') }, refusal(400, NOT_JSONL)],
    [
      'unknown purpose',
      { purpose: 'other', file: file() },
      refusal(400, `'other' is not one of ${PURPOSES} - 'purpose'`, 'purpose'),
    ],
    [
      'purpose that only results have',
      { purpose: 'batch_output', file: file() },
      refusal(400, `'batch_output' is not one of ${PURPOSES} - 'purpose'`, 'purpose'),
    ],
    [
      'missing file',
      { purpose: 'batch' },
      refusal(400, "Missing required parameter: 'file'.", 'file', 'missing_required_parameter'),
    ],
    [
      'missing purpose',
      { file: file() },
      refusal(400, "Missing required parameter: 'purpose'.", 'purpose', 'missing_required_parameter'),
    ],
    [
      'expiry that is too short',
      {
        purpose: 'batch',
        'expires_after[anchor]': 'created_at',
        'expires_after[seconds]': '3599',
        file: file(),
      },
      refusal(
        400,
        "Invalid 'expires_after.seconds': integer below minimum value. Expected a value >= 3600, but got 3599 instead.",
        'expires_after.seconds',
        'integer_below_min_value',
      ),
    ],
    [
      'expiry that is too long',
      {
        purpose: 'batch',
        'expires_after[anchor]': 'created_at',
        'expires_after[seconds]': '2592001',
        file: file(),
      },
      refusal(
        400,
        "Invalid 'expires_after.seconds': integer above maximum value. Expected a value <= 2592000, but got 2592001 instead.",
        'expires_after.seconds',
        'integer_above_max_value',
      ),
    ],
    [
      'expiry from another anchor',
      { purpose: 'batch', 'expires_after[anchor]': 'now', 'expires_after[seconds]': '3600', file: file() },
      refusal(
        400,
        "Invalid value: 'now'. Supported values are: 'created_at'.",
        'expires_after.anchor',
        'invalid_value',
      ),
    ],
  ])('with a fault is refused: %s', async (_fault, fields, expected) => {
    expect(errorOf(await post(fields))).toEqual(expected);
  });

  it('over the limit is refused with 413, the limit and the size', async () => {
    const text = 'x'.repeat(150_000);
    await expect(
      service.client.files.create({ file: await named('x', text), purpose: 'user_data' }),
    ).rejects.toMatchObject({ status: 413, message: expect.stringMatching(/100000 bytes.*15\d{4} bytes/) });
  });

  it.each(['application/json', 'text/plain'])('of the content type %s is refused', async (type) => {
    const answer = await service.call('/v1/files', {
      method: 'POST',
      headers: { 'content-type': type },
      body: '{}',
    });
    expect(errorOf(answer)).toMatchObject({
      status: 400,
      message: expect.stringContaining('multipart/form-data'),
    });
  });
});

describe('a file', () => {
  it('is retrieved, downloaded as it was sent, and deleted', async () => {
    const id = await service.upload(GOOD);
    fileObject.parse(await service.client.files.retrieve(id));
    const content = await service.client.files.content(id);
    expect(await content.text()).toBe(GOOD);
    expect(content.headers.get('content-type')).toBe('application/octet-stream');
    expect(content.headers.get('content-disposition')).toBe('attachment; filename="input.jsonl"');
    expect(deletedFile.parse(await service.client.files.delete(id)).id).toBe(id);
    await expect(service.client.files.retrieve(id)).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });

  it('is processed at once for the helper that waits for that', async () => {
    const id = await service.upload(GOOD);
    expect((await service.client.files.waitForProcessing(id)).status).toBe('processed');
  });

  it.each([
    ['GET', '/v1/files/file-unknown'],
    ['DELETE', '/v1/files/file-unknown'],
    ['GET', '/v1/files/file-unknown/content'],
  ])('that is unknown: %s %s', async (method, path) => {
    expect(errorOf(await service.call(path, { method }))).toEqual(
      refusal(404, 'No such File object: file-unknown', 'id'),
    );
  });

  it('that a live batch reads is not deleted, and the answer names the batch', async () => {
    const { id, input_file_id: fileId } = await service.submit([line('a')]);
    const { status, text } = await service.call(`/v1/files/${fileId}`, { method: 'DELETE' });
    // It may have ended by then.
    if (status === 409) expect(text).toContain(id);
    await service.end(id);
    expect((await service.client.files.delete(fileId)).deleted).toBe(true);
  });
});

describe('the list of files', () => {
  it('is a whole envelope, newest first', async () => {
    const ids = [await service.upload(GOOD, 'evals'), await service.upload(GOOD, 'evals')];
    const { json } = await service.call('/v1/files?purpose=evals');
    const list = listOf(fileObject).parse(json);
    expect(list.data.slice(0, 2).map((file) => (file as OpenAI.FileObject).id)).toEqual(ids.toReversed());
    expect(list.first_id).toBe(ids[1]);
  });

  it('is empty with ids of null', async () => {
    const { json } = await service.call('/v1/files?purpose=fine-tune-results');
    expect(json).toEqual({ object: 'list', data: [], first_id: null, last_id: null, has_more: false });
  });

  it.each(['asc', 'desc'] as const)('is paged by the SDK over 250 files, %s', async (order) => {
    const known = (await service.client.files.list({ purpose: 'vision' })).data.length;
    if (known < 250) {
      await Promise.all(Array.from({ length: 250 - known }, () => service.upload(GOOD, 'vision')));
    }
    const all: OpenAI.FileObject[] = [];
    for await (const file of service.client.files.list({ purpose: 'vision', limit: 40, order }))
      all.push(file);
    expect(new Set(all.map(({ id }) => id)).size).toBe(250);
    const times = all.map(({ created_at: at }) => at);
    expect(times).toEqual(times.toSorted((a, b) => (order === 'asc' ? a - b : b - a)));
  });

  it.each<[string, ReturnType<typeof refusal>]>([
    ...limitRefusals(10_000),
    [
      'order=up',
      refusal(400, "Invalid value: 'up'. Supported values are: 'asc' and 'desc'.", 'order', 'invalid_value'),
    ],
    ['after=file-unknown', refusal(404, 'No such File object: file-unknown', 'id')],
  ])('refuses %s', async (query, expected) => {
    expect(errorOf(await service.call(`/v1/files?${query}`))).toEqual(expected);
  });

  it.each(['limit=1', 'limit=10000', 'limit=', 'purpose=', 'order=asc', 'unknown=1'])(
    'takes %s',
    async (query) => {
      expect((await service.call(`/v1/files?${query}`)).status).toBe(200);
    },
  );
});
