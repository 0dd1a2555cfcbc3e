/** Uploads in parts: what is refused of a create, a part and a complete. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  aboveMaximum,
  belowMinimum,
  errorOf,
  form,
  invalidValue,
  missing,
  refusal,
  useService,
  wrongType,
} from './service.ts';
import type { Refusal } from './service.ts';
import { BODY, uploadCalls } from './upload-calls.ts';

const service = useService({ MAX_UPLOAD_BYTES: '200000000', MAX_BATCH_BYTES: '100000000' });
const { begin, add, withParts } = uploadCalls(service);
const PART_LIMIT = 64 * 1024 * 1024;

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
    expect(errorOf(await service.post('/v1/uploads', { ...BODY, ...fields }))).toEqual(expected);
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
    expect(errorOf(await service.post(`/v1/uploads/${id}/complete`, body(partIds)))).toEqual(
      expected(partIds),
    );
  });

  it('with a part of another upload is refused', async () => {
    const [one, other] = [await withParts('ab'), await withParts('cd')];
    const body = { part_ids: [...one.partIds, ...other.partIds] };
    expect(errorOf(await service.post(`/v1/uploads/${one.id}/complete`, body))).toEqual(
      partIdsAre(`'${other.partIds[0]}' is not a part of this upload`),
    );
  });

  it('to a batch file looks at its first line', async () => {
    const { id } = await begin({ purpose: 'batch', bytes: 4 });
    const body = { part_ids: [await add(id, 'a,b\n')] };
    expect(errorOf(await service.post(`/v1/uploads/${id}/complete`, body))).toEqual(
      refusal(400, 'Invalid file format for Batch API. Must be .jsonl'),
    );
  });
});
