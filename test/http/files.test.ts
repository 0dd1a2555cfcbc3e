import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../helpers/fake-clock.ts';
import {
  createTestApp,
  errorOf,
  refusal,
  JSONL,
  KEY_OWNER,
  uploadFile,
  uploadOf,
  fileParts,
} from '../helpers/http-app.ts';
import type { TestApp } from '../helpers/http-app.ts';
import { bytesOf, CHAT } from '../helpers/test-engine.ts';

interface List {
  readonly object: string;
  readonly data: readonly { readonly id: string }[];
  readonly first_id: string | null;
  readonly last_id: string | null;
  readonly has_more: boolean;
}

function notFound(id: string) {
  return { message: `No such File object: ${id}`, param: 'id' };
}

async function foreignFile({ engine }: TestApp): Promise<string> {
  const options = { owner: 'someone else', filename: 'f', purpose: 'user_data', source: bytesOf('x') };
  return (await engine.files.upload(options)).id;
}

async function list({ call }: TestApp, query = ''): Promise<List> {
  const response = await call({ url: `/v1/files${query}` });
  expect(response.statusCode).toBe(200);
  return response.json<List>();
}

async function ids(testApp: TestApp, query = ''): Promise<string[]> {
  return (await list(testApp, query)).data.map((file) => file.id);
}

describe('GET /v1/files', () => {
  it('answers the whole envelope, also of nothing', async () => {
    const testApp = createTestApp();
    const empty = { object: 'list', data: [], first_id: null, last_id: null, has_more: false };
    expect(await list(testApp)).toEqual(empty);
    expect(Object.keys(await list(testApp))).toEqual(Object.keys(empty));
  });

  it('lists newest first, or oldest first, page by page', async () => {
    const testApp = createTestApp();
    const first = await uploadFile(testApp);
    const second = await uploadFile(testApp, { purpose: 'user_data' });
    const third = await uploadFile(testApp);
    await foreignFile(testApp);
    expect(await ids(testApp)).toEqual([third, second, first]);
    expect(await ids(testApp, '?order=asc')).toEqual([first, second, third]);
    const page = await list(testApp, '?limit=2');
    expect([page.first_id, page.last_id, page.has_more]).toEqual([third, second, true]);
    const rest = await list(testApp, `?limit=2&after=${second}`);
    expect([rest.first_id, rest.last_id, rest.has_more]).toEqual([first, first, false]);
    expect(await ids(testApp, '?purpose=user_data')).toEqual([second]);
    expect(await ids(testApp, '?purpose=batch_output')).toEqual([]);
  });

  it('lists File objects', async () => {
    const testApp = createTestApp();
    const uploaded = (await testApp.call(uploadOf(fileParts()))).json<object>();
    expect((await list(testApp)).data).toEqual([uploaded]);
  });

  it('finds nothing of a purpose that no file here can have', async () => {
    const testApp = createTestApp();
    await uploadFile(testApp);
    expect(await ids(testApp, '?purpose=assistants_output')).toEqual([]);
  });

  it('takes empty values and unknown names for not given', async () => {
    const testApp = createTestApp();
    const id = await uploadFile(testApp);
    expect(await ids(testApp, '?after=&limit=&order=&purpose=&x=1&__proto__=y')).toEqual([id]);
  });

  it.each([
    [
      'limit=0',
      'limit',
      'integer_below_min_value',
      "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got 0 instead.",
    ],
    [
      'limit=10001',
      'limit',
      'integer_above_max_value',
      "Invalid 'limit': integer above maximum value. Expected a value <= 10000, but got 10001 instead.",
    ],
    [
      'limit=ten',
      'limit',
      'invalid_type',
      "Invalid type for 'limit': expected an integer, but got a string instead.",
    ],
    [
      'limit=1&limit=2',
      'limit',
      'invalid_type',
      "Invalid type for 'limit': expected a string, but got an array instead.",
    ],
    ['order=up', 'order', 'invalid_value', "Invalid value: 'up'. Supported values are: 'asc' and 'desc'."],
  ])('refuses ?%s', async (query, param, code, message) => {
    expect(errorOf(await createTestApp().call({ url: `/v1/files?${query}` }))).toEqual(
      refusal(400, { message, param, code }),
    );
  });

  it('does not know another owner’s file to go on from', async () => {
    const testApp = createTestApp();
    for (const after of ['file-unknown', await foreignFile(testApp)]) {
      expect(errorOf(await testApp.call({ url: `/v1/files?after=${after}` }))).toEqual(
        refusal(404, notFound(after)),
      );
    }
  });
});

describe('GET /v1/files/{id}', () => {
  it('answers what the upload answered', async () => {
    const { call } = createTestApp();
    const uploaded = (await call(uploadOf(fileParts()))).json<{ id: string }>();
    expect((await call({ url: `/v1/files/${uploaded.id}` })).json<unknown>()).toEqual(uploaded);
  });

  it.each(['GET', 'DELETE'] as const)(
    '%s does not find unknown, expired and other owners’ files',
    async (method) => {
      const clock = createFakeClock();
      const testApp = createTestApp({ clock });
      const expired = await uploadFile(testApp);
      clock.advance(30 * 86_400_000);
      for (const id of ['file-unknown', 'x'.repeat(5000), '%20', expired, await foreignFile(testApp)]) {
        const response = await testApp.call({ method, url: `/v1/files/${id}` });
        expect(errorOf(response)).toEqual(refusal(404, notFound(decodeURIComponent(id))));
      }
      expect(errorOf(await testApp.call({ url: `/v1/files/${expired}/content` }))).toEqual(
        refusal(404, notFound(expired)),
      );
    },
  );
});

describe('DELETE /v1/files/{id}', () => {
  it('deletes the file and its bytes', async () => {
    const testApp = createTestApp();
    const id = await uploadFile(testApp);
    const response = await testApp.call({ method: 'DELETE', url: `/v1/files/${id}` });
    expect([response.statusCode, response.json<unknown>()]).toEqual([
      200,
      { object: 'file', id, deleted: true },
    ]);
    expect(await testApp.countBlobs()).toBe(0);
    expect(errorOf(await testApp.call({ url: `/v1/files/${id}` }))).toEqual(refusal(404, notFound(id)));
  });

  it('minds no body', async () => {
    const testApp = createTestApp();
    for (const [type, payload] of [
      ['application/json', ''],
      ['application/json', '{ not json'],
      ['nonsense', 'x'],
    ] as const) {
      const url = `/v1/files/${await uploadFile(testApp)}`;
      const response = await testApp.call({
        method: 'DELETE',
        url,
        headers: { 'content-type': type },
        payload,
      });
      expect(response.statusCode).toBe(200);
    }
  });

  it('refuses while a batch reads the file, and asks the client not to retry', async () => {
    const testApp = createTestApp();
    const id = await uploadFile(testApp, { content: JSONL });
    const batch = await testApp.engine.batches.create({
      owner: KEY_OWNER,
      inputFileId: id,
      endpoint: CHAT,
      completionWindow: '24h',
    });
    const response = await testApp.call({ method: 'DELETE', url: `/v1/files/${id}` });
    expect(errorOf(response)).toEqual(
      refusal(409, {
        message: `The file '${id}' is the input of batch '${batch.id}', which has not ended. Cancel the batch or wait for its end before deleting the file.`,
        param: 'id',
      }),
    );
    expect(response.headers['x-should-retry']).toBe('false');
  });
});
