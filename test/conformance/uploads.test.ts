/** Uploads in parts: each call, each field, each state. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { ReadableStream } from 'node:stream/web';
import Database from 'better-sqlite3';
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { line, thrownBy, useService } from './service.ts';
import { fileObject, uploadObject, uploadPartObject } from './shapes.ts';
import { BODY, partOf, uploadCalls } from './upload-calls.ts';

const service = useService();
const { begin, add, withParts } = uploadCalls(service);
const HOUR = 3600;
const DAY = 86_400;

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
    const part = await service.client.uploads.parts.create(id, { data: await partOf('ab') });
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

  it('takes a part that is a stream without a length', async () => {
    const { id } = await begin();
    const data = new Response(ReadableStream.from([Buffer.from('ab'), Buffer.from('cd')]));
    const part = await service.client.uploads.parts.create(id, { data });
    const { file } = await service.client.uploads.complete(id, { part_ids: [part.id] });
    expect(file?.bytes).toBe(4);
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

describe('a call on an upload that', () => {
  const CALLS: [verb: string, call: (id: string) => Promise<unknown>][] = [
    ['add a part to', (id) => add(id, 'abcd')],
    ['complete', (id) => service.client.uploads.complete(id, { part_ids: [] })],
    ['cancel', (id) => service.client.uploads.cancel(id)],
  ];
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
