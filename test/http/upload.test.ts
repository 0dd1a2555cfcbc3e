import { describe, expect, it } from 'vitest';
import { createTestApp, errorOf, refusal, fileParts, JSONL, uploadOf } from '../helpers/http-app.ts';
import type { FormPart, TestApp } from '../helpers/http-app.ts';

const NOW = Date.UTC(2026, 0, 1);
const FILE_KEYS = [
  'object',
  'id',
  'purpose',
  'filename',
  'bytes',
  'created_at',
  'expires_at',
  'status',
  'status_details',
];

interface FileObject {
  readonly id: string;
  readonly filename: string;
  readonly created_at: number;
  readonly expires_at: number | null;
}

async function upload(testApp: TestApp, parts: readonly FormPart[]) {
  return await testApp.call(uploadOf(parts));
}

async function storedName(filename: string): Promise<string> {
  const response = await upload(createTestApp(), fileParts({ filename }));
  expect(response.statusCode).toBe(200);
  return response.json<FileObject>().filename;
}

describe('POST /v1/files', () => {
  it('answers the File object, its keys in order', async () => {
    const testApp = createTestApp();
    const response = await upload(testApp, fileParts());
    expect(response.statusCode).toBe(200);
    expect(response.headers['content-type']).toBe('application/json');
    const file = response.json<FileObject>();
    expect(Object.keys(file)).toEqual(FILE_KEYS);
    expect(file).toEqual({
      object: 'file',
      id: expect.stringMatching(/^file-[A-Za-z0-9]{22}$/),
      purpose: 'batch',
      filename: 'input.jsonl',
      bytes: JSONL.length,
      created_at: expect.any(Number),
      expires_at: file.created_at + 30 * 86_400,
      status: 'processed',
      status_details: null,
    });
    expect(Math.abs(file.created_at - Date.now() / 1000)).toBeLessThan(60);
    expect(file.created_at).toBeGreaterThan(NOW / 1000);
  });

  it('takes the parts in any order', async () => {
    for (const parts of [fileParts(), fileParts().toReversed()]) {
      expect((await upload(createTestApp(), parts)).statusCode).toBe(200);
    }
  });

  it('keeps files of other purposes for ever', async () => {
    const response = await upload(createTestApp(), fileParts({ purpose: 'user_data', content: 'any bytes' }));
    expect(response.json<FileObject>().expires_at).toBeNull();
  });

  it.each([
    ['expires_after[anchor]', 'expires_after[seconds]'],
    ['expires_after.anchor', 'expires_after.seconds'],
  ])('reads the expiry from %s and %s, before or after the file', async (anchor, seconds) => {
    const expiry = [
      { name: anchor, content: 'created_at' },
      { name: seconds, content: '3600' },
    ];
    for (const parts of [
      [...expiry, ...fileParts()],
      [...fileParts(), ...expiry],
    ]) {
      const file = (await upload(createTestApp(), parts)).json<FileObject>();
      expect(file.expires_at).toBe(file.created_at + 3600);
    }
  });

  it('ignores fields that it does not know', async () => {
    const parts = [{ name: 'colour', content: 'blue' }, ...fileParts(), { name: 'é[]', content: '' }];
    expect((await upload(createTestApp(), parts)).statusCode).toBe(200);
  });

  it('accepts raw bytes without an extension', async () => {
    expect(await storedName('upload')).toBe('upload');
  });

  it.each([
    ['../../etc/passwd', 'passwd'],
    ['C:\\temp\\input.jsonl', 'input.jsonl'],
    ['', 'upload'],
    ['..', 'upload'],
    ['a\u0000b\u0007.jsonl', 'ab.jsonl'],
    ['日本語 🎉.jsonl', '日本語 🎉.jsonl'],
    ['say \\"hi\\".jsonl', 'say "hi".jsonl'],
  ])('stores the file name %j as %j', async (given, stored) => {
    expect(await storedName(given)).toBe(stored);
  });

  it('cuts a long file name', async () => {
    expect(await storedName('n'.repeat(10_000))).toBe('n'.repeat(255));
  });

  it('ends a file name at a line break', async () => {
    expect(await storedName('a\r\nX-Evil: 1')).toBe('a');
  });
});

describe('POST /v1/files where storage fails', () => {
  const full = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
  const broken = Object.assign(new Error('i/o error at /secret/path'), { code: 'EIO' });

  it('says that the disk is full', async () => {
    const testApp = createTestApp({ blobs: () => ({ create: () => Promise.reject(full) }) });
    const response = await upload(testApp, fileParts());
    expect(errorOf(response)).toEqual(
      refusal(507, {
        message: 'The server has no space left to store this.',
        type: 'server_error',
      }),
    );
  });

  it('asks to try again later, and logs the reason under the id of the request', async () => {
    const testApp = createTestApp({ store: () => ({ insertFile: () => Promise.reject(broken) }) });
    const response = await upload(testApp, fileParts());
    expect(errorOf(response)).toEqual(
      refusal(503, {
        message: 'The server could not store or read its data. Try again later.',
        type: 'server_error',
      }),
    );
    expect(Number(response.headers['retry-after'])).toBeGreaterThanOrEqual(1);
    const line = testApp.logLines.find((candidate) => candidate.includes('i/o error'));
    expect(line).toContain(response.headers['x-request-id']);
  });

  it('reveals nothing of an unexpected error', async () => {
    const testApp = createTestApp();
    testApp.engine.files.receive = () => Promise.reject(new TypeError('cannot read properties of secret'));
    const response = await upload(testApp, fileParts());
    expect(errorOf(response)).toEqual(
      refusal(500, {
        message:
          'The server had an unexpected error. Its log tells more, under the x-request-id of this answer.',
        type: 'server_error',
      }),
    );
    expect(testApp.logLines.join('')).toContain('cannot read properties of secret');
  });
});
