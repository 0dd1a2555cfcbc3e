import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createTestApp, errorOf, refusal, uploadFile } from '../helpers/http-app.ts';
import type { TestApp } from '../helpers/http-app.ts';

const CONTENT = '0123456789';
const ETAG = `"${createHash('sha256').update(CONTENT).digest('hex')}"`;

async function stored(options: Parameters<typeof uploadFile>[1] = {}): Promise<TestApp & { url: string }> {
  const testApp = createTestApp();
  const id = await uploadFile(testApp, { purpose: 'user_data', content: CONTENT, ...options });
  return { ...testApp, url: `/v1/files/${id}/content` };
}

describe('GET /v1/files/{id}/content', () => {
  it('answers the bytes as they are', async () => {
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7) % 256));
    const { call, url, open } = await stored({ content: bytes, filename: 'input.jsonl' });
    const response = await call({ url, headers: { accept: 'application/binary' } });
    expect(response.statusCode).toBe(200);
    expect(response.rawPayload.equals(bytes)).toBe(true);
    expect(response.headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-length': '300000',
      'content-disposition': 'attachment; filename="input.jsonl"',
      'accept-ranges': 'bytes',
      'x-content-type-options': 'nosniff',
    });
    expect(open.reads).toBe(0);
  });

  it('answers an empty file', async () => {
    const { call, url } = await stored({ content: '' });
    const response = await call({ url });
    expect([response.statusCode, response.body, response.headers['content-length']]).toEqual([200, '', '0']);
  });

  it('names a file beyond ASCII in both forms', async () => {
    const { call, url } = await stored({ filename: 'naïve.jsonl' });
    expect((await call({ url })).headers['content-disposition']).toBe(
      `attachment; filename="na_ve.jsonl"; filename*=UTF-8''na%C3%AFve.jsonl`,
    );
  });

  it('answers HEAD with the headers alone, and reads nothing', async () => {
    const { call, url, engine } = await stored();
    engine.files.read = () => {
      throw new Error('HEAD needs no bytes');
    };
    const response = await call({ method: 'HEAD', url });
    expect([
      response.statusCode,
      response.body,
      response.headers['content-length'],
      response.headers.etag,
    ]).toEqual([200, '', '10', ETAG]);
    const part = await call({ method: 'HEAD', url, headers: { range: 'bytes=2-4' } });
    expect([part.statusCode, part.headers['content-length']]).toEqual([200, '10']);
  });

  it.each([
    ['bytes=0-3', '0123', 'bytes 0-3/10'],
    ['bytes=7-', '789', 'bytes 7-9/10'],
    ['bytes=-2', '89', 'bytes 8-9/10'],
    ['bytes=0-100', CONTENT, 'bytes 0-9/10'],
  ])('answers the range %s', async (range, body, contentRange) => {
    const { call, url } = await stored();
    const response = await call({ url, headers: { range } });
    expect([response.statusCode, response.body]).toEqual([206, body]);
    expect(response.headers['content-range']).toBe(contentRange);
    expect(response.headers['content-length']).toBe(String(body.length));
  });

  it.each(['bytes=0-1,3-4', 'bytes=4-2', 'lines=1-2', 'nonsense'])('ignores the range %s', async (range) => {
    const { call, url } = await stored();
    const response = await call({ url, headers: { range } });
    expect([response.statusCode, response.body, response.headers['content-range']]).toEqual([
      200,
      CONTENT,
      undefined,
    ]);
  });

  it('refuses a range outside the file', async () => {
    const { call, url } = await stored();
    const response = await call({ url, headers: { range: 'bytes=10-' } });
    expect(errorOf(response)).toEqual(
      refusal(416, { message: 'The requested range lies outside the file, which has 10 bytes.' }),
    );
    expect(response.headers['content-range']).toBe('bytes */10');
    expect(response.headers['content-disposition']).toBeUndefined();
  });

  it('goes on with a download only where the file is still the same', async () => {
    const { call, url } = await stored();
    const same = await call({ url, headers: { range: 'bytes=5-', 'if-range': ETAG } });
    expect([same.statusCode, same.body]).toEqual([206, '56789']);
    for (const ifRange of ['"other"', `W/${ETAG}`, new Date().toUTCString()]) {
      const other = await call({ url, headers: { range: 'bytes=5-', 'if-range': ifRange } });
      expect([other.statusCode, other.body]).toEqual([200, CONTENT]);
    }
  });

  it('spares the client the bytes that it has', async () => {
    const { call, url } = await stored();
    for (const tags of [ETAG, `W/${ETAG}`, `"other", ${ETAG}`, '*']) {
      const response = await call({ url, headers: { 'if-none-match': tags } });
      expect([response.statusCode, response.body, response.headers.etag]).toEqual([304, '', ETAG]);
    }
    expect((await call({ url, headers: { 'if-none-match': '"other"' } })).statusCode).toBe(200);
  });

  it('answers missing bytes with an error that has none of the file’s headers', async () => {
    const { call, url, engine, logLines } = await stored();
    for await (const hash of engine.context.blobs.list()) await engine.context.blobs.delete(hash);
    const response = await call({ url, headers: { range: 'bytes=2-4' } });
    expect(errorOf(response)).toEqual(
      refusal(503, {
        message: 'The server could not store or read its data. Try again later.',
        type: 'server_error',
      }),
    );
    for (const name of ['content-disposition', 'content-range', 'accept-ranges', 'etag']) {
      expect(response.headers[name]).toBeUndefined();
    }
    expect(response.headers['content-length']).toBe(String(Buffer.byteLength(response.body)));
    expect(logLines.join('')).toContain('is missing');
  });
});
