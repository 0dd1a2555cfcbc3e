/** Uploads in parts: each call, each field, each refusal. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import {
  aboveMaximum,
  belowMinimum,
  errorOf,
  form,
  invalidValue,
  line,
  missing,
  refusal,
  useService,
  wrongType,
} from './service.ts';
import type { Refusal } from './service.ts';
import { fileObject, uploadObject, uploadPartObject } from './shapes.ts';

const service = useService({ MAX_UPLOAD_BYTES: '200000000', MAX_BATCH_BYTES: '100000000' });
const HOUR = 3600;
const DAY = 86_400;
const BODY = { filename: 'x.jsonl', purpose: 'user_data', bytes: 4, mime_type: 'text/jsonl' } as const;
const PART_LIMIT = 64 * 1024 * 1024;

const bytesOf = (text: string | Uint8Array) => OpenAI.toFile(Buffer.from(text), 'part');
const begin = (fields: Partial<OpenAI.UploadCreateParams> = {}) =>
  service.client.uploads.create({ ...BODY, ...fields });
const add = async (id: string, text: string | Uint8Array) =>
  (await service.client.uploads.parts.create(id, { data: await bytesOf(text) })).id;
const post = (path: string, json?: unknown) => service.call(path, { method: 'POST', json });

/** A pending upload of four bytes, and parts of it with these. */
async function withParts(...texts: readonly string[]) {
  const { id } = await begin();
  const partIds: string[] = [];
  for (const text of texts) partIds.push(await add(id, text));
  return { id, partIds };
}

/** An hour is not waited for: its end is set to a moment ago. */
async function expired(): Promise<string> {
  const { id } = await begin();
  const db = new Database(join(service.dataDir, 'database.db'), { fileMustExist: true });
  db.prepare('update uploads set expires_at = ? where id = ?').run(Date.now() - 1, id);
  db.close();
  return id;
}

async function completed(): Promise<string> {
  const { id, partIds } = await withParts('abcd');
  await service.client.uploads.complete(id, { part_ids: partIds });
  return id;
}

async function cancelled(): Promise<string> {
  const { id } = await begin();
  await service.client.uploads.cancel(id);
  return id;
}

describe('an upload', () => {
  it('begins as a pending Upload object that lasts an hour, its keys in order', async () => {
    const upload = await begin();
    const { mime_type: _notShown, ...shown } = BODY;
    expect(uploadObject.parse(upload)).toMatchObject(shown);
    expect(Object.keys(upload)).toEqual(Object.keys(uploadObject.shape));
    expect(upload).toMatchObject({
      status: 'pending',
      file: null,
      expires_at: upload.created_at + HOUR,
    });
  });

  it.each(['assistants', 'batch', 'fine-tune', 'vision', 'user_data', 'evals'] as const)(
    'is taken for the purpose %s',
    async (purpose) => {
      expect((await begin({ purpose })).purpose).toBe(purpose);
    },
  );

  it('gets its parts, each with its keys in order', async () => {
    const { id } = await begin();
    const part = await service.client.uploads.parts.create(id, { data: await bytesOf('ab') });
    expect(uploadPartObject.parse(part).upload_id).toBe(id);
    expect(Object.keys(part)).toEqual(Object.keys(uploadPartObject.shape));
  });

  it('is completed to a File with the bytes of its parts', async () => {
    const { id, partIds } = await withParts('ab', 'cd');
    const upload = await service.client.uploads.complete(id, { part_ids: partIds });
    expect(uploadObject.parse(upload)).toMatchObject({ id, status: 'completed', bytes: 4 });
    expect(Object.keys(upload)).toEqual(Object.keys(uploadObject.shape));
    const file = fileObject.parse(upload.file);
    expect(Object.keys(upload.file ?? {})).toEqual(Object.keys(fileObject.shape));
    expect(file).toMatchObject({ purpose: 'user_data', filename: 'x.jsonl', bytes: 4, expires_at: null });
    expect(await service.client.files.retrieve(file.id)).toEqual(upload.file);
    expect(await (await service.client.files.content(file.id)).text()).toBe('abcd');
  });

  it('has its bytes in the order of part_ids, not of the calls', async () => {
    const { id, partIds } = await withParts('cd', 'ab');
    const { file } = await service.client.uploads.complete(id, { part_ids: partIds.toReversed() });
    expect(await (await service.client.files.content(file?.id ?? '')).text()).toBe('abcd');
  });

  it('takes parts that come at the same time, and a batch reads its file', async () => {
    const whole = Buffer.from(
      Array.from({ length: 40 }, (_, i) => `${JSON.stringify(line(`l${i}`))}\n`).join(''),
    );
    const { id } = await begin({ purpose: 'batch', bytes: whole.length });
    const size = Math.ceil(whole.length / 8);
    const partIds = await Promise.all(
      Array.from({ length: 8 }, (_, i) => add(id, whole.subarray(i * size, (i + 1) * size))),
    );
    const { file } = await service.client.uploads.complete(id, {
      part_ids: partIds,
      md5: createHash('md5').update(whole).digest('hex'),
    });
    const { created_at: createdAt, expires_at: expiresAt } = fileObject.parse(file);
    expect(expiresAt).toBe(createdAt + 30 * DAY);
    const batch = await service.client.batches.create({
      input_file_id: file?.id ?? '',
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
    });
    expect(await service.end(batch.id)).toMatchObject({
      status: 'completed',
      request_counts: { total: 40, completed: 40, failed: 0 },
    });
  });

  it('leaves out parts that are not named, as one that was sent twice', async () => {
    const { id, partIds } = await withParts('abcd', 'abcd');
    const { file } = await service.client.uploads.complete(id, { part_ids: partIds.slice(1) });
    expect(file?.bytes).toBe(4);
  });

  it('of no bytes needs no parts', async () => {
    const { id } = await begin({ bytes: 0 });
    expect((await service.client.uploads.complete(id, { part_ids: [] })).file?.bytes).toBe(0);
  });

  it.each(['lower', 'upper'])('takes an md5 in %s case', async (letters) => {
    const { id, partIds } = await withParts('abcd');
    const md5 = createHash('md5').update('abcd').digest('hex');
    const given = letters === 'upper' ? md5.toUpperCase() : md5;
    const upload = await service.client.uploads.complete(id, { part_ids: partIds, md5: given });
    expect(upload.status).toBe('completed');
  });

  it('gives its file the expiry that it was begun with', async () => {
    const { id } = await begin({ expires_after: { anchor: 'created_at', seconds: 7200 } });
    const { file } = await service.client.uploads.complete(id, { part_ids: [await add(id, 'abcd')] });
    expect(file?.expires_at).toBe((file?.created_at ?? 0) + 7200);
  });

  it.each([
    ['no body', {}],
    ['a JSON type and no body', { headers: { 'content-type': 'application/json' } }],
    ['a body', { json: { unknown: 1 } }],
  ])('is cancelled with %s', async (_name, init) => {
    const { id } = await begin();
    const { status, json } = await service.call(`/v1/uploads/${id}/cancel`, { method: 'POST', ...init });
    expect(status).toBe(200);
    expect(uploadObject.parse(json)).toMatchObject({ id, status: 'cancelled', file: null });
  });

  it('stays pending where it could not be completed', async () => {
    const { id, partIds } = await withParts('ab');
    await expect(service.client.uploads.complete(id, { part_ids: partIds })).rejects.toBeInstanceOf(
      OpenAI.BadRequestError,
    );
    partIds.push(await add(id, 'cd'));
    expect((await service.client.uploads.complete(id, { part_ids: partIds })).status).toBe('completed');
  });
});

describe('a create', () => {
  const PURPOSES = "['fine-tune', 'assistants', 'batch', 'user_data', 'vision', 'evals']";
  const expiring = (fields: object) => ({
    expires_after: { anchor: 'created_at', seconds: 3600, ...fields },
  });
  it.each<[string, object, Refusal]>([
    ['no filename', { filename: undefined }, missing('filename')],
    ['no purpose', { purpose: undefined }, missing('purpose')],
    ['no bytes', { bytes: undefined }, missing('bytes')],
    ['no mime_type', { mime_type: undefined }, missing('mime_type')],
    ['bytes as a string', { bytes: '4' }, wrongType('bytes', 'an integer', 'a string')],
    ['bytes with a fraction', { bytes: 4.5 }, wrongType('bytes', 'an integer', 'a number')],
    ['bytes of null', { bytes: null }, wrongType('bytes', 'an integer', 'null')],
    ['a negative number of bytes', { bytes: -1 }, belowMinimum('bytes', 0, -1)],
    ['bytes over the limit', { bytes: 200_000_001 }, aboveMaximum('bytes', 200_000_000, 200_000_001)],
    [
      'bytes over the limit of a batch',
      { purpose: 'batch', bytes: 100_000_001 },
      refusal(
        400,
        "Invalid 'bytes': integer above maximum value for purpose 'batch'. Expected a value <= 100000000, but got 100000001 instead.",
        'bytes',
        'integer_above_max_value',
      ),
    ],
    ['a filename that is a number', { filename: 1 }, wrongType('filename', 'a string', 'an integer')],
    ['a purpose that is a list', { purpose: ['batch'] }, wrongType('purpose', 'a string', 'an array')],
    ['a mime_type that is an object', { mime_type: {} }, wrongType('mime_type', 'a string', 'an object')],
    [
      'an unknown purpose',
      { purpose: 'other' },
      refusal(400, `'other' is not one of ${PURPOSES} - 'purpose'`, 'purpose'),
    ],
    [
      'a purpose that only results have',
      { purpose: 'batch_output' },
      refusal(400, `'batch_output' is not one of ${PURPOSES} - 'purpose'`, 'purpose'),
    ],
    ['an expiry without seconds', expiring({ seconds: undefined }), missing('expires_after.seconds')],
    [
      'an expiry as a string',
      expiring({ seconds: '3600' }),
      wrongType('expires_after.seconds', 'an integer', 'a string'),
    ],
    [
      'an expiry that is too short',
      expiring({ seconds: 3599 }),
      belowMinimum('expires_after.seconds', 3600, 3599),
    ],
    [
      'an expiry that is too long',
      expiring({ seconds: 2_592_001 }),
      aboveMaximum('expires_after.seconds', 2_592_000, 2_592_001),
    ],
    [
      'an expiry from another anchor',
      expiring({ anchor: 'now' }),
      invalidValue('expires_after.anchor', 'now', "'created_at'"),
    ],
  ])('with %s is refused', async (_fault, fields, expected) => {
    expect(errorOf(await post('/v1/uploads', { ...BODY, ...fields }))).toEqual(expected);
  });
});

describe('a part', () => {
  const part = (id: string, fields: Readonly<Record<string, string | Blob>>) =>
    service.call(`/v1/uploads/${id}/parts`, { method: 'POST', body: form(fields) });

  it.each<[string, Readonly<Record<string, string | Blob>>, Refusal]>([
    ['without data', { other: 'x' }, missing('data')],
    ['whose data is a field', { data: 'abcd' }, wrongType('data', 'a file', 'a string')],
    [
      'under another name',
      { file: new Blob(['abcd']) },
      refusal(
        400,
        "Missing required parameter: 'data'. The form has a file in the part 'file' instead.",
        'data',
        'missing_required_parameter',
      ),
    ],
    [
      'with more bytes than the upload was created for',
      { data: new Blob(['abcde']) },
      refusal(
        400,
        "Invalid 'data': with this part the upload would have 5 bytes, but it was created for 4 bytes.",
        'data',
        'invalid_value',
      ),
    ],
  ])('%s is refused', async (_fault, fields, expected) => {
    const { id } = await begin();
    expect(errorOf(await part(id, fields))).toEqual(expected);
  });

  it('is as large as 64 MiB at the most', async () => {
    const { id } = await begin({ bytes: 2 * PART_LIMIT });
    expect(errorOf(await part(id, { data: new Blob([new Uint8Array(PART_LIMIT + 1)]) }))).toMatchObject({
      status: 400,
      message: expect.stringContaining(`larger than the limit of ${PART_LIMIT} bytes`),
      param: 'data',
      code: 'invalid_value',
    });
  });

  it.each(['application/json', 'application/octet-stream', 'text/plain'])(
    'of the content type %s is refused',
    async (type) => {
      const { id } = await begin();
      const answer = await service.call(`/v1/uploads/${id}/parts`, {
        method: 'POST',
        headers: { 'content-type': type },
        body: '{}',
      });
      expect(errorOf(answer)).toEqual(
        refusal(400, 'Send the part as a form, with the header Content-Type: multipart/form-data.'),
      );
    },
  );
});

describe('a complete', () => {
  const partIdsAre = (reason: string) =>
    refusal(400, `Invalid 'part_ids': ${reason}.`, 'part_ids', 'invalid_value');
  const md5 = (text: string) => createHash('md5').update(text).digest('hex');

  it.each<[string, (ids: readonly string[]) => object, (ids: readonly string[]) => Refusal]>([
    ['no part_ids', () => ({}), () => missing('part_ids')],
    [
      'one id in place of a list',
      ([id]) => ({ part_ids: id }),
      () => wrongType('part_ids', 'an array', 'a string'),
    ],
    [
      'an id that is a number',
      ([id]) => ({ part_ids: [id, 1] }),
      () => wrongType('part_ids.1', 'a string', 'an integer'),
    ],
    [
      'no part',
      () => ({ part_ids: [] }),
      () => partIdsAre('the parts have 0 bytes, but the upload was created for 4 bytes'),
    ],
    [
      'too few parts',
      ([id]) => ({ part_ids: [id] }),
      () => partIdsAre('the parts have 2 bytes, but the upload was created for 4 bytes'),
    ],
    [
      'a part named twice',
      ([id]) => ({ part_ids: [id, id] }),
      ([id]) => partIdsAre(`'${id}' is named more than once`),
    ],
    [
      'an unknown part',
      ([id]) => ({ part_ids: [id, 'part_unknown'] }),
      () => partIdsAre("'part_unknown' is not a part of this upload"),
    ],
    [
      'the md5 of something else',
      (ids) => ({ part_ids: ids, md5: md5('dcba') }),
      () =>
        refusal(
          400,
          `Invalid 'md5': the parts have '${md5('abcd')}', but '${md5('dcba')}' was given.`,
          'md5',
          'invalid_value',
        ),
    ],
    [
      'an md5 that is none',
      (ids) => ({ part_ids: ids, md5: 'abc' }),
      () =>
        refusal(400, "Invalid 'md5': expected 32 hexadecimal digits, but got 'abc'.", 'md5', 'invalid_value'),
    ],
    [
      'an md5 that is a number',
      (ids) => ({ part_ids: ids, md5: 1 }),
      () => wrongType('md5', 'a string', 'an integer'),
    ],
  ])('with %s is refused', async (_fault, body, expected) => {
    const { id, partIds } = await withParts('ab', 'cd');
    expect(errorOf(await post(`/v1/uploads/${id}/complete`, body(partIds)))).toEqual(expected(partIds));
  });

  it('with a part of another upload is refused', async () => {
    const [one, other] = [await withParts('ab'), await withParts('cd')];
    const body = { part_ids: [...one.partIds, ...other.partIds] };
    expect(errorOf(await post(`/v1/uploads/${one.id}/complete`, body))).toEqual(
      partIdsAre(`'${other.partIds[0]}' is not a part of this upload`),
    );
  });

  it('to a batch file looks at its first line', async () => {
    const { id } = await begin({ purpose: 'batch', bytes: 4 });
    const body = { part_ids: [await add(id, 'a,b\n')] };
    expect(errorOf(await post(`/v1/uploads/${id}/complete`, body))).toEqual(
      refusal(400, 'Invalid file format for Batch API. Must be .jsonl'),
    );
  });
});

describe('a call on an upload that', () => {
  const CALLS: [verb: string, call: (id: string) => Promise<unknown>][] = [
    ['add a part to', (id) => add(id, 'abcd')],
    ['complete', (id) => service.client.uploads.complete(id, { part_ids: [] })],
    ['cancel', (id) => service.client.uploads.cancel(id)],
  ];
  const thrownBy = async (call: Promise<unknown>) => {
    const error: unknown = await call.catch((thrown: unknown) => thrown);
    return error as InstanceType<typeof OpenAI.APIError>;
  };

  it.each(CALLS)('is completed is refused, and names the file: %s', async (verb, call) => {
    const error = await thrownBy(call(await completed()));
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error.message).toMatch(
      new RegExp(`Cannot ${verb} an upload with status 'completed'\\. Its file is 'file-\\w+'\\.$`),
    );
  });

  it.each(CALLS)('is cancelled is refused: %s', async (verb, call) => {
    const error = await thrownBy(call(await cancelled()));
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error.message).toMatch(new RegExp(`Cannot ${verb} an upload with status 'cancelled'\\.$`));
  });

  it.each(CALLS)('has expired is answered 410: %s', async (_verb, call) => {
    const id = await expired();
    const error = await thrownBy(call(id));
    expect(error.status).toBe(410);
    expect(error.message).toContain(`The upload '${id}' has expired at `);
  });

  it.each(CALLS)('is unknown is answered 404: %s', async (_verb, call) => {
    for (const id of ['upload_unknown', 'x', await service.upload('{}\n')]) {
      const error = await thrownBy(call(id));
      expect(error).toBeInstanceOf(OpenAI.NotFoundError);
      expect(error.error).toEqual({
        message: `No such Upload object: ${id}`,
        type: 'invalid_request_error',
        param: 'id',
        code: null,
      });
    }
  });
});
