import { describe, expect, it } from 'vitest';
import {
  BOUNDARY,
  createTestApp,
  expectNothingLeft,
  errorOf,
  fileParts,
  FORM_TYPE,
  formBytes,
  JSONL,
  refusal,
  uploadOf,
} from '../helpers/http-app.ts';
import type { FormPart, TestApp } from '../helpers/http-app.ts';
import { aboveMaximum, belowMinimum, invalidValue, missing, wrongType } from './refusals.ts';

async function upload(testApp: TestApp, parts: readonly FormPart[]) {
  return await testApp.call(uploadOf(parts));
}

interface Refusal {
  readonly message: string;
  readonly param?: string;
  readonly code?: string;
}

const [purpose, file] = fileParts() as [FormPart, FormPart];
const anchor = (content: string) => ({ name: 'expires_after[anchor]', content });
const seconds = (content: string) => ({ name: 'expires_after[seconds]', content });
const expiring = (text: string) => [purpose, file, anchor('created_at'), seconds(text)];
const manyFields = Array.from({ length: 33 }, (_, i) => ({ name: `f${i}`, content: '' }));
const NOT_JSONL = 'Invalid file format for Batch API. Must be .jsonl';

describe('POST /v1/files refuses', () => {
  it.each<[string, FormPart[], Refusal]>([
    ['no file', [purpose], missing('file')],
    ['no purpose', [file], missing('purpose')],
    ['an empty batch file', fileParts({ content: '' }), { message: NOT_JSONL }],
    [
      'a batch file whose first line is not JSON',
      fileParts({ content: 'hello\n{}\n' }),
      { message: NOT_JSONL },
    ],
    [
      'a file that is a field',
      [purpose, { name: 'file', content: JSONL }],
      wrongType('file', 'a file', 'a string'),
    ],
    [
      'a bad purpose',
      fileParts({ purpose: 'batch_output' }),
      {
        message:
          "'batch_output' is not one of ['fine-tune', 'assistants', 'batch', 'user_data', 'vision', 'evals'] - 'purpose'",
        param: 'purpose',
      },
    ],
    [
      'two files',
      [purpose, file, file],
      { message: "Invalid 'file': the form has more than one file.", param: 'file', code: 'invalid_value' },
    ],
    [
      'a file under another name',
      [purpose, { ...file, name: 'data' }],
      {
        ...missing('file'),
        message: "Missing required parameter: 'file'. The form has a file in the part 'data' instead.",
      },
    ],
    [
      'an unknown anchor',
      [purpose, file, anchor('last_active_at'), seconds('3600')],
      invalidValue('expires_after.anchor', 'last_active_at', "'created_at'"),
    ],
    ['an anchor without seconds', [purpose, file, anchor('created_at')], missing('expires_after.seconds')],
    ['seconds without an anchor', [purpose, file, seconds('3600')], missing('expires_after.anchor')],
    [
      'seconds that are text',
      expiring('1 hour'),
      wrongType('expires_after.seconds', 'an integer', 'a string'),
    ],
    ['too few seconds', expiring('3599'), belowMinimum('expires_after.seconds', 3600, 3599)],
    ['too many seconds', expiring('2592001'), aboveMaximum('expires_after.seconds', 2_592_000, 2_592_001)],
    [
      'an overlong field',
      [{ name: 'purpose', content: 'x'.repeat(20_000) }, file],
      {
        message: "Invalid 'purpose': string too long. Expected a field with at most 16384 bytes.",
        param: 'purpose',
        code: 'string_above_max_length',
      },
    ],
    [
      'a field declared to be JSON that is not',
      [purpose, { name: 'x', type: 'application/json', content: '{' }, file],
      { message: 'The form has a field that is declared to be JSON and is not.' },
    ],
    [
      'a purpose that is an object',
      [{ name: 'purpose', type: 'application/json', content: '{"a":1}' }, file],
      wrongType('purpose', 'a string', 'an object'),
    ],
    ['too many fields', [...manyFields, purpose, file], { message: 'The form has more than 32 fields.' }],
  ])('%s', async (_case, parts, error) => {
    const testApp = createTestApp();
    expect(errorOf(await upload(testApp, parts))).toEqual(refusal(400, error));
    await expectNothingLeft(testApp);
  });

  it.each(['__proto__', 'constructor', 'toString'])('a field or file named %s, harmlessly', async (name) => {
    const testApp = createTestApp();
    for (const part of [
      { name, content: 'x' },
      { ...file, name },
    ]) {
      const response = await upload(testApp, [part, purpose, file]);
      expect(errorOf(response)).toEqual(
        refusal(400, { message: 'The form has a field whose name is not allowed.' }),
      );
    }
    expect(testApp.open.writers).toBe(0);
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });

  it('a file over the limit', async () => {
    const testApp = createTestApp({ settings: { maxFileBytes: 100 } });
    const response = await upload(testApp, fileParts({ content: `"${'x'.repeat(200)}"` }));
    expect(errorOf(response)).toEqual(
      refusal(413, {
        message: 'The file is larger than the limit of 100 bytes (at least 202 bytes were sent).',
        param: 'file',
      }),
    );
    await expectNothingLeft(testApp);
  });

  it('a batch file over its own limit', async () => {
    const testApp = createTestApp({ settings: { maxBatchBytes: 100 } });
    const response = await upload(testApp, fileParts({ content: `"${'x'.repeat(200)}"` }));
    expect(errorOf(response)).toEqual(
      refusal(413, {
        message:
          "The file is larger than the limit for purpose 'batch': 202 bytes, but at most 100 are allowed.",
        param: 'file',
      }),
    );
    await expectNothingLeft(testApp);
  });

  it('a request whose length is over the limit', async () => {
    const testApp = createTestApp({ settings: { maxFileBytes: 100 } });
    const response = await testApp.call({
      ...uploadOf(fileParts({ content: Buffer.alloc(1024 * 1024 + 100) })),
    });
    expect(response.statusCode).toBe(413);
    expect(response.body).toContain('the request has');
    await expectNothingLeft(testApp);
  });

  it.each([
    undefined,
    'application/json',
    'application/octet-stream',
    'multipart/mixed; boundary=b',
    'nonsense',
  ])('a body of type %s', async (type) => {
    const { call } = createTestApp();
    const headers = type === undefined ? {} : { 'content-type': type };
    const response = await call({ method: 'POST', url: '/v1/files', headers, payload: '{}' });
    expect(errorOf(response)).toEqual(
      refusal(400, {
        message: 'Send the file as a form, with the header Content-Type: multipart/form-data.',
      }),
    );
  });

  it.each(['multipart/form-data', 'multipart/form-data; boundary=', 'multipart/form-data; boundary=other'])(
    'a form with the type %s',
    async (type) => {
      const testApp = createTestApp();
      const response = await testApp.call({ ...uploadOf(fileParts()), headers: { 'content-type': type } });
      expect(response.statusCode).toBe(400);
      await expectNothingLeft(testApp);
    },
  );

  it.each(['multipart/form-data; boundary=', 'multipart/form-data; boundary=""; charset=utf-8'])(
    'a form whose parts begin with two dashes alone, by the type %s',
    async (type) => {
      const testApp = createTestApp();
      const response = await testApp.call({
        ...uploadOf(fileParts()),
        payload: formBytes(fileParts()).toString().replaceAll(BOUNDARY, ''),
        headers: { 'content-type': type },
      });
      const message = 'The form has an empty boundary in its Content-Type.';
      expect(errorOf(response)).toEqual(refusal(400, { message }));
    },
  );

  it('an empty body', async () => {
    const { call } = createTestApp();
    const response = await call({ method: 'POST', url: '/v1/files', headers: { 'content-type': FORM_TYPE } });
    expect(errorOf(response)).toEqual(
      refusal(400, {
        message: "Missing required parameter: 'file'.",
        param: 'file',
        code: 'missing_required_parameter',
      }),
    );
  });

  it('a form that ends too early, wherever it is cut', async () => {
    const testApp = createTestApp();
    const { payload, ...rest } = uploadOf(fileParts());
    const whole = payload as Buffer;
    // The last line break of a form is decoration.
    for (let length = 1; length < whole.length - 2; length++) {
      const response = await testApp.call({ ...rest, payload: whole.subarray(0, length) });
      expect({ length, status: response.statusCode }).toEqual({ length, status: 400 });
    }
    await expectNothingLeft(testApp);
  });

  it('no damaged form with an error of its own', async () => {
    const testApp = createTestApp();
    const { payload, ...rest } = uploadOf(fileParts());
    const whole = payload as Buffer;
    for (let at = 0; at < whole.length; at++) {
      for (const byte of [0x00, 0x0a, 0x22, 0xff]) {
        const damaged = Buffer.from(whole);
        damaged[at] = byte;
        const response = await testApp.call({ ...rest, payload: damaged });
        expect([200, 400], `byte ${at} as ${byte}: ${response.body}`).toContain(response.statusCode);
      }
    }
    expect(testApp.open.writers).toBe(0);
  });
});
