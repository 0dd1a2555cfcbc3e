import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../helpers/fake-clock.ts';
import {
  API_KEY,
  createTestApp,
  errorOf,
  expectNothingLeft,
  FORM_TYPE,
  formBytes,
  refusal,
} from '../helpers/http-app.ts';
import type { FormPart } from '../helpers/http-app.ts';
import { chunk, listen, openRawClient, rawErrorOf, requestHead } from './raw-client.ts';
import { aboveMaximum, belowMinimum, invalidValue, missing, wrongType } from './refusals.ts';
import { addedParts, createdUpload, PARTS, postJson, postPart, UPLOAD } from './upload-calls.ts';
import type { UploadObject } from './upload-calls.ts';

const WHOLE = PARTS.join('');
const UPLOAD_KEYS = [
  'id',
  'object',
  'bytes',
  'created_at',
  'filename',
  'purpose',
  'status',
  'expires_at',
  'file',
];
const data: FormPart = { name: 'data', filename: 'blob', content: '{}' };

interface Refusal {
  readonly message: string;
  readonly param?: string;
  readonly code?: string;
}

describe('POST /v1/uploads', () => {
  it('answers the Upload object, its keys in order', async () => {
    const clock = createFakeClock();
    const upload = await createdUpload(createTestApp({ clock }), { filename: '../a/input.jsonl' });
    expect(Object.keys(upload)).toEqual(UPLOAD_KEYS);
    expect(upload).toEqual({
      id: expect.stringMatching(/^upload_[0-9a-f]{32}$/),
      object: 'upload',
      bytes: 21,
      created_at: clock.now() / 1000,
      filename: 'input.jsonl',
      purpose: 'batch',
      status: 'pending',
      expires_at: clock.now() / 1000 + 3600,
      file: null,
    });
  });

  it.each<[string, unknown, Refusal]>([
    ['nothing', undefined, missing('filename')],
    ['no filename', { ...UPLOAD, filename: undefined }, missing('filename')],
    ['no purpose', { ...UPLOAD, purpose: undefined }, missing('purpose')],
    ['no bytes', { ...UPLOAD, bytes: undefined }, missing('bytes')],
    ['no mime_type', { ...UPLOAD, mime_type: undefined }, missing('mime_type')],
    ['bytes as text', { ...UPLOAD, bytes: '21' }, wrongType('bytes', 'an integer', 'a string')],
    ['half a byte', { ...UPLOAD, bytes: 0.5 }, wrongType('bytes', 'an integer', 'a number')],
    ['negative bytes', { ...UPLOAD, bytes: -1 }, belowMinimum('bytes', 0, -1)],
    [
      'more than 8 GiB',
      { ...UPLOAD, purpose: 'user_data', bytes: 8 * 1024 ** 3 + 1 },
      aboveMaximum('bytes', 8 * 1024 ** 3, 8 * 1024 ** 3 + 1),
    ],
    [
      'more than a batch may have',
      { ...UPLOAD, bytes: 209_715_201 },
      {
        ...aboveMaximum('bytes', 0, 0),
        message:
          "Invalid 'bytes': integer above maximum value for purpose 'batch'. Expected a value <= 209715200, but got 209715201 instead.",
      },
    ],
    [
      'a bad purpose',
      { ...UPLOAD, purpose: 'batch_output' },
      {
        message:
          "'batch_output' is not one of ['fine-tune', 'assistants', 'batch', 'user_data', 'vision', 'evals'] - 'purpose'",
        param: 'purpose',
      },
    ],
    [
      'an expiry without seconds',
      { ...UPLOAD, expires_after: { anchor: 'created_at' } },
      missing('expires_after.seconds'),
    ],
    [
      'an unknown anchor',
      { ...UPLOAD, expires_after: { anchor: 'now', seconds: 3600 } },
      invalidValue('expires_after.anchor', 'now', "'created_at'"),
    ],
    [
      'too few seconds',
      { ...UPLOAD, expires_after: { anchor: 'created_at', seconds: 3599 } },
      belowMinimum('expires_after.seconds', 3600, 3599),
    ],
  ])('refuses %s', async (_case, body, error) => {
    expect(errorOf(await postJson(createTestApp(), '', body))).toEqual(refusal(400, error));
  });
});

describe('POST /v1/uploads/{id}/parts', () => {
  it('answers the part, its keys in order, whatever other fields there are', async () => {
    const clock = createFakeClock();
    const testApp = createTestApp({ clock });
    const { id } = await createdUpload(testApp);
    const fields = [{ name: 'colour', content: 'blue' }, data, { name: 'é[]', content: '' }];
    const response = await postPart(testApp, id, fields);
    expect(response.statusCode).toBe(200);
    const part = response.json<object>();
    expect(Object.keys(part)).toEqual(['id', 'object', 'created_at', 'upload_id']);
    expect(part).toEqual({
      id: expect.stringMatching(/^part_[0-9a-f]{32}$/),
      object: 'upload.part',
      created_at: clock.now() / 1000,
      upload_id: id,
    });
  });

  it.each<[string, FormPart[], Refusal]>([
    ['no data', [], missing('data')],
    ['data that is a field', [{ name: 'data', content: '{}' }], wrongType('data', 'a file', 'a string')],
    [
      'two files',
      [data, data],
      { message: "Invalid 'data': the form has more than one file.", param: 'data', code: 'invalid_value' },
    ],
    [
      'a file under another name',
      [{ ...data, name: 'file' }],
      {
        ...missing('data'),
        message: "Missing required parameter: 'data'. The form has a file in the part 'file' instead.",
      },
    ],
    [
      'more than was declared',
      [{ ...data, content: 'x'.repeat(22) }],
      {
        message:
          "Invalid 'data': with this part the upload would have 22 bytes, but it was created for 21 bytes.",
        param: 'data',
        code: 'invalid_value',
      },
    ],
  ])('refuses %s, and leaves nothing behind', async (_case, form, error) => {
    const testApp = createTestApp();
    const { id } = await createdUpload(testApp);
    expect(errorOf(await postPart(testApp, id, form))).toEqual(refusal(400, error));
    await expectNothingLeft(testApp);
  });

  it('refuses what would exceed the declared bytes together with the others', async () => {
    const testApp = createTestApp();
    const { id } = await createdUpload(testApp);
    await addedParts(testApp, id);
    expect(errorOf(await postPart(testApp, id, 'x'))).toEqual(
      refusal(400, {
        message:
          "Invalid 'data': with this part the upload would have 22 bytes, but it was created for 21 bytes.",
        param: 'data',
        code: 'invalid_value',
      }),
    );
  });

  it('refuses a part above 64 MB before its body comes', async () => {
    const testApp = createTestApp();
    const client = await openRawClient(await listen(testApp.app));
    const headers = { 'content-type': FORM_TYPE, 'content-length': '99000000' };
    await client.send(requestHead('POST /v1/uploads/upload_x/parts', headers));
    await expect.poll(() => client.received()).toContain('}}');
    expect(rawErrorOf(client)).toEqual(
      refusal(400, {
        message:
          "Invalid 'data': the part is larger than the limit of 67108864 bytes (the request has 99000000 bytes).",
        param: 'data',
        code: 'invalid_value',
      }),
    );
  });

  it('refuses a body that is no form, and a form that is cut off', async () => {
    const testApp = createTestApp();
    const { id } = await createdUpload(testApp);
    const url = `/v1/uploads/${id}/parts`;
    const headers = { 'content-type': 'application/json' };
    const message = 'Send the part as a form, with the header Content-Type: multipart/form-data.';
    const noForm = await testApp.call({ method: 'POST', url, headers, payload: '{}' });
    expect(errorOf(noForm)).toEqual(refusal(400, { message }));
    const whole = formBytes([data]);
    for (let length = 1; length < whole.length - 2; length++) {
      const payload = whole.subarray(0, length);
      const response = await testApp.call({
        method: 'POST',
        url,
        headers: { 'content-type': FORM_TYPE },
        payload,
      });
      expect({ length, status: response.statusCode }).toEqual({ length, status: 400 });
    }
    await expectNothingLeft(testApp);
  });

  it('leaves nothing behind where the client goes away in the middle', async () => {
    const testApp = createTestApp();
    const { id } = await createdUpload(testApp);
    const client = await openRawClient(await listen(testApp.app));
    const headers = { 'content-type': FORM_TYPE, 'transfer-encoding': 'chunked' };
    await client.send(requestHead(`POST /v1/uploads/${id}/parts`, headers));
    await client.send(chunk(formBytes([data]).subarray(0, -20)));
    await expect.poll(() => testApp.open.writers).toBe(1);
    client.socket.destroy();
    await expectNothingLeft(testApp);
  });
});

describe('POST /v1/uploads/{id}/complete', () => {
  it('answers the Upload with its File, which is like any other', async () => {
    const testApp = createTestApp();
    const { id } = await createdUpload(testApp, { expires_after: { anchor: 'created_at', seconds: 7200 } });
    const part_ids = await addedParts(testApp, id);
    const md5 = createHash('md5').update(WHOLE).digest('hex');
    const response = await postJson(testApp, `/${id}/complete`, { part_ids, md5 });
    expect(response.statusCode).toBe(200);
    const upload = response.json<UploadObject>();
    expect(Object.keys(upload)).toEqual(UPLOAD_KEYS);
    expect(upload).toMatchObject({ id, object: 'upload', status: 'completed', bytes: 21 });
    const { file } = upload;
    expect(file).toMatchObject({ object: 'file', filename: 'input.jsonl', purpose: 'batch', bytes: 21 });
    expect(file?.['expires_at']).toBe((file?.['created_at'] as number) + 7200);
    const url = `/v1/files/${file?.id}`;
    expect((await testApp.call({ url })).json()).toEqual(file);
    expect((await testApp.call({ url: `${url}/content` })).body).toBe(WHOLE);
    expect(testApp.open).toEqual({ writers: 0, reads: 0 });
    expect(await testApp.countBlobs()).toBe(1);
  });

  it('takes an md5 of null as none', async () => {
    const testApp = createTestApp();
    const { id } = await createdUpload(testApp);
    const body = { part_ids: await addedParts(testApp, id), md5: null };
    expect((await postJson(testApp, `/${id}/complete`, body)).statusCode).toBe(200);
  });

  it.each<[string, (ids: string[]) => object | undefined, (ids: string[]) => Refusal]>([
    ['no body', () => undefined, () => missing('part_ids')],
    ['no part_ids', () => ({}), () => missing('part_ids')],
    [
      'part_ids that are text',
      () => ({ part_ids: 'x' }),
      () => wrongType('part_ids', 'an array', 'a string'),
    ],
    [
      'an id that is none',
      () => ({ part_ids: [5] }),
      () => wrongType('part_ids.0', 'a string', 'an integer'),
    ],
    [
      'an md5 that is none',
      (part_ids) => ({ part_ids, md5: 'abc' }),
      () => invalid('md5', "expected 32 hexadecimal digits, but got 'abc'"),
    ],
    [
      'another md5',
      (part_ids) => ({ part_ids, md5: '0'.repeat(32) }),
      () => {
        const found = createHash('md5').update(WHOLE).digest('hex');
        return invalid('md5', `the parts have '${found}', but '${'0'.repeat(32)}' was given`);
      },
    ],
    [
      'too few parts',
      (ids) => ({ part_ids: ids.slice(1) }),
      () => invalid('part_ids', 'the parts have 8 bytes, but the upload was created for 21 bytes'),
    ],
    [
      'no parts',
      () => ({ part_ids: [] }),
      () => invalid('part_ids', 'the parts have 0 bytes, but the upload was created for 21 bytes'),
    ],
    [
      'a part twice',
      (ids) => ({ part_ids: [...ids, ids[0]] }),
      (ids) => invalid('part_ids', `'${ids[0]}' is named more than once`),
    ],
    [
      'an unknown part',
      (ids) => ({ part_ids: [...ids, 'part_x'] }),
      () => invalid('part_ids', "'part_x' is not a part of this upload"),
    ],
  ])('refuses %s, and the upload stays pending', async (_case, body, error) => {
    const testApp = createTestApp();
    const { id } = await createdUpload(testApp);
    const ids = await addedParts(testApp, id);
    const refused = await postJson(testApp, `/${id}/complete`, body(ids));
    expect(errorOf(refused)).toEqual(refusal(400, error(ids)));
    expect(testApp.open).toEqual({ writers: 0, reads: 0 });
    expect((await postJson(testApp, `/${id}/complete`, { part_ids: ids })).statusCode).toBe(200);
  });

  it('refuses a part of another upload', async () => {
    const testApp = createTestApp();
    const [first, second] = [await createdUpload(testApp), await createdUpload(testApp)];
    const part_ids = await addedParts(testApp, first.id);
    expect(errorOf(await postJson(testApp, `/${second.id}/complete`, { part_ids }))).toEqual(
      refusal(400, invalid('part_ids', `'${part_ids[0]}' is not a part of this upload`)),
    );
  });

  it('refuses a batch file whose first line is not JSON', async () => {
    const testApp = createTestApp();
    const { id } = await createdUpload(testApp, { bytes: 5 });
    const { id: partId } = (await postPart(testApp, id, 'hello')).json<{ id: string }>();
    expect(errorOf(await postJson(testApp, `/${id}/complete`, { part_ids: [partId] }))).toEqual(
      refusal(400, { message: 'Invalid file format for Batch API. Must be .jsonl' }),
    );
  });

  it('takes as long as it takes, although nothing moves on the connection', async () => {
    const { testApp, reading, gate } = heldReads();
    const { id } = await createdUpload(testApp);
    const part_ids = await addedParts(testApp, id);
    const sockets: Socket[] = [];
    testApp.app.server.on('connection', (socket: Socket) => sockets.push(socket));
    const port = await listen(testApp.app);
    const answer = fetch(`http://127.0.0.1:${port}/v1/uploads/${id}/complete`, {
      method: 'POST',
      headers: { authorization: `Bearer ${API_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify({ part_ids }),
    });
    await reading.promise;
    for (const socket of sockets) socket.emit('timeout');
    gate.resolve();
    expect((await answer).status).toBe(200);
  });

  it('is given up where the service stops, and asks to try again later', async () => {
    const { testApp, reading, gate } = heldReads();
    const { id } = await createdUpload(testApp);
    const answer = postJson(testApp, `/${id}/complete`, { part_ids: await addedParts(testApp, id) });
    await reading.promise;
    await listen(testApp.app);
    const closed = testApp.app.close();
    await expect.poll(() => testApp.app.server.listening).toBe(false);
    gate.resolve();
    const response = await answer;
    await closed;
    expect(errorOf(response)).toEqual(
      refusal(503, { message: 'The service is stopping. Try again later.', type: 'server_error' }),
    );
    expect(response.headers['retry-after']).toBe('5');
    expect(testApp.open).toEqual({ writers: 0, reads: 0 });
    const { store, clock } = testApp.engine.context;
    expect((await store.getUpload('default', id, clock.now()))?.status).toBe('pending');
  });
});

describe('POST /v1/uploads/{id}/cancel', () => {
  it.each([{}, { 'content-type': 'application/json' }])(
    'answers the cancelled Upload and removes its parts, with the headers %j',
    async (headers) => {
      const testApp = createTestApp();
      const upload = await createdUpload(testApp);
      await addedParts(testApp, upload.id);
      const response = await testApp.call({
        method: 'POST',
        url: `/v1/uploads/${upload.id}/cancel`,
        headers,
      });
      expect(response.statusCode).toBe(200);
      expect(response.json()).toEqual({ ...upload, status: 'cancelled' });
      await expectNothingLeft(testApp);
    },
  );
});

/** The calls on an upload, and what the refusal of one that has ended calls them. */
const CALLS = [
  ['parts', 'add a part to'],
  ['complete', 'complete'],
  ['cancel', 'cancel'],
] as const;

describe.each(CALLS)('POST /v1/uploads/{id}/%s', (call, verb) => {
  async function post(testApp: ReturnType<typeof createTestApp>, id: string) {
    if (call === 'parts') return await postPart(testApp, id, '{}');
    return await postJson(testApp, `/${id}/${call}`, { part_ids: [] });
  }

  it('does not know an unknown upload', async () => {
    for (const id of ['upload_unknown', 'file-x', `upload_${'0'.repeat(5000)}`]) {
      expect(errorOf(await post(createTestApp(), id))).toEqual(
        refusal(404, { message: `No such Upload object: ${id}`, param: 'id' }),
      );
    }
  });

  it('does not know another owner’s upload', async () => {
    const testApp = createTestApp();
    const { id } = await testApp.engine.uploads.create({ ...UPLOAD, owner: 'other' });
    expect(errorOf(await post(testApp, id))).toEqual(
      refusal(404, { message: `No such Upload object: ${id}`, param: 'id' }),
    );
  });

  it('refuses an expired upload with 410', async () => {
    const clock = createFakeClock(Date.UTC(2026, 0, 1));
    const testApp = createTestApp({ clock });
    const { id } = await createdUpload(testApp);
    clock.advance(3_600_000);
    const message = `The upload '${id}' has expired at 2026-01-01T01:00:00.000Z. Create a new one.`;
    expect(errorOf(await post(testApp, id))).toEqual(refusal(410, { message }));
  });

  it('refuses a completed upload, and names its file', async () => {
    const testApp = createTestApp();
    const { id } = await createdUpload(testApp);
    const part_ids = await addedParts(testApp, id);
    const completed = await postJson(testApp, `/${id}/complete`, { part_ids });
    const fileId = completed.json<UploadObject>().file?.id;
    const message = `Cannot ${verb} an upload with status 'completed'. Its file is '${fileId}'.`;
    expect(errorOf(await post(testApp, id))).toEqual(refusal(400, { message }));
  });

  it('refuses a cancelled upload', async () => {
    const testApp = createTestApp();
    const { id } = await createdUpload(testApp);
    await postJson(testApp, `/${id}/cancel`, {});
    const message = `Cannot ${verb} an upload with status 'cancelled'.`;
    expect(errorOf(await post(testApp, id))).toEqual(refusal(400, { message }));
  });

  it('needs a key', async () => {
    const url = `/v1/uploads/upload_x/${call}`;
    const response = await createTestApp().app.inject({ method: 'POST', url });
    expect(response.statusCode).toBe(401);
  });
});

function invalid(param: string, reason: string): Refusal {
  return { message: `Invalid '${param}': ${reason}.`, param, code: 'invalid_value' };
}

/** An app whose reads of blobs wait for `gate`; `reading` tells of the first one. */
function heldReads() {
  const gate = Promise.withResolvers<void>();
  const reading = Promise.withResolvers<void>();
  const testApp = createTestApp({
    blobs: (blobs) => ({
      async *read(key, range) {
        reading.resolve();
        await gate.promise;
        yield* blobs.read(key, range);
      },
    }),
  });
  return { testApp, reading, gate };
}
