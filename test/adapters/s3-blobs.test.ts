import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { describe, expect, it, onTestFinished } from 'vitest';
import { toStorageError } from '../../src/adapters/s3/errors.ts';
import { createS3BlobStore, createS3ResultObjects } from '../../src/adapters/s3/index.ts';
import type { Bucket } from '../../src/adapters/s3/index.ts';
import { BlobMissingError, storageError } from '../../src/engine/errors.ts';
import type { BlobStore, BlobWriter } from '../../src/engine/ports.ts';
import { describeBlobStoreContract } from '../contracts/blob-store.ts';
import { describeOnS3, S3_CONNECTION } from '../helpers/s3-gateway.ts';
import type { TestS3 } from '../helpers/s3-gateway.ts';
import { startTcpProxy } from '../helpers/tcp-proxy.ts';
import type { Fate } from '../helpers/tcp-proxy.ts';

const MB = 1024 * 1024;
/** The smallest parts that S3 takes. */
const PART = 5 * MB;

async function sealed(
  blobs: BlobStore,
  parts: readonly Uint8Array[],
): Promise<{ writer: BlobWriter; key: string }> {
  const writer = await blobs.create();
  for (const part of parts) await writer.write(part);
  return { writer, key: (await writer.seal()).key };
}

async function put(blobs: BlobStore, ...parts: readonly Uint8Array[]): Promise<string> {
  const { writer, key } = await sealed(blobs, parts);
  await writer.publish();
  return key;
}

async function digest(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const bytes of source) hash.update(bytes);
  return hash.digest('hex');
}

async function uploadsOf(bucket: Bucket): Promise<string[]> {
  return (await Array.fromAsync(bucket.listUploads(''))).map(({ name }) => name);
}

async function objectsOf(bucket: Bucket): Promise<string[]> {
  return (await Array.fromAsync(bucket.list(''))).map(({ name }) => name);
}

interface Judges {
  /** Of the first bytes of a request, and of what follows. */
  readonly request?: (request: string) => Fate;
  readonly answer?: (bytes: Buffer) => Fate;
  readonly maxAttempts?: number;
}

/** A bucket behind a proxy whose requests fail quickly where they fail, and the same one without it. */
async function openBehindProxy(s3: TestS3, { request = () => 'pass', answer, maxAttempts = 2 }: Judges) {
  const target = { host: s3.host, port: s3.port };
  const proxy = await startTcpProxy(target, (bytes) => request(bytes.toString('latin1')), answer);
  onTestFinished(() => proxy.close());
  const prefix = randomUUID();
  const endpoint = `http://127.0.0.1:${proxy.port}`;
  const cut = await s3.open({ prefix, endpoint, idleTimeoutMs: 300, maxAttempts });
  return { cut, whole: await s3.open({ prefix }) };
}

describeOnS3('on S3,', (s3) => {
  describeBlobStoreContract(
    'the S3 blob store',
    async () => {
      const bucket = await s3.open();
      return { blobs: createS3BlobStore({ bucket, listedAfterMs: 0 }), close: async () => {} };
    },
    { sharesKeys: false },
  );

  describe('a large blob', () => {
    it('goes in parts, of which nobody sees any before it is published', async () => {
      const bucket = await s3.open();
      const blobs = createS3BlobStore({ bucket, partBytes: PART, listedAfterMs: 0 });
      const bytes = randomBytes(3 * PART + 1);
      const { writer, key } = await sealed(blobs, [bytes.subarray(0, 7 * MB), bytes.subarray(7 * MB)]);
      expect(await uploadsOf(bucket)).toEqual([`blobs/${key}`]);
      expect(await objectsOf(bucket)).toEqual([]);
      await writer.publish();
      expect(await uploadsOf(bucket)).toEqual([]);
      expect(await digest(blobs.read(key))).toBe(await digest([bytes]));
      expect((await blobs.readRange(key, PART - 1, 3)).equals(bytes.subarray(PART - 1, PART + 2))).toBe(true);
    });

    it.each([PART, 2 * PART])('of exactly %d bytes is whole', async (length) => {
      const blobs = createS3BlobStore({ bucket: await s3.open(), partBytes: PART });
      const bytes = randomBytes(length);
      const key = await put(blobs, bytes);
      expect((await blobs.readRange(key, 0, length)).equals(bytes)).toBe(true);
      await expect(blobs.readRange(key, 0, length + 1)).rejects.toThrow(`ends at byte ${length}`);
    });

    it('leaves no upload when it is discarded, at whichever step', async () => {
      const bucket = await s3.open();
      const blobs = createS3BlobStore({ bucket, partBytes: PART });
      const bytes = randomBytes(2 * PART + 1);
      const { writer } = await sealed(blobs, [bytes]);
      const writing = await blobs.create();
      const write = writing.write(bytes);
      await expect.poll(() => uploadsOf(bucket)).toHaveLength(2);
      await Promise.all([writer.discard(), writing.discard(), write]);
      await writer.discard();
      expect(await uploadsOf(bucket)).toEqual([]);
      expect(await objectsOf(bucket)).toEqual([]);
    });

    it('that nobody goes on with is removed after a day, and not published then', async () => {
      const bucket = await s3.open();
      const young = createS3BlobStore({ bucket, partBytes: PART });
      const { writer } = await sealed(young, [randomBytes(PART + 1)]);
      expect(await young.removeAbandoned()).toBe(0);
      expect(await uploadsOf(bucket)).toHaveLength(1);
      const old = createS3BlobStore({ bucket, partBytes: PART, writeMs: 0 });
      expect(await old.removeAbandoned()).toBe(1);
      expect(await uploadsOf(bucket)).toEqual([]);
      await expect(writer.publish()).rejects.toMatchObject({ code: expect.stringMatching(/^ES3/) });
      const { writer: late } = await sealed(old, [Buffer.from('late')]);
      await expect(late.publish()).rejects.toMatchObject({ code: 'ETIMEDOUT' });
      expect(await objectsOf(bucket)).toEqual([]);
    });

    it('is published though the answer to its completion is lost', async () => {
      let isCompleting = false;
      let lost = 0;
      const { cut, whole } = await openBehindProxy(s3, {
        request(text) {
          if (/^[A-Z]+ \//.test(text)) isCompleting = /^POST .*uploadId=/.test(text);
          return 'pass';
        },
        answer() {
          if (!isCompleting) return 'pass';
          lost++;
          return 'cut before';
        },
      });
      const bytes = randomBytes(PART + 1);
      const key = await put(createS3BlobStore({ bucket: cut, partBytes: PART }), bytes);
      expect(lost).toBeGreaterThan(1);
      expect(await digest(createS3BlobStore({ bucket: whole }).read(key))).toBe(await digest([bytes]));
    });
  });

  describe('a blob', () => {
    it('is listed two days after it was stored, by the clock of the store', async () => {
      const bucket = await s3.open();
      await put(createS3BlobStore({ bucket }), Buffer.from('young'));
      expect(await Array.fromAsync(createS3BlobStore({ bucket }).list())).toEqual([]);
      const [{ ageMs } = { ageMs: Number.NaN }] = await Array.fromAsync(bucket.list(''));
      expect(ageMs).toBeGreaterThan(0);
      expect(ageMs).toBeLessThan(60_000);
    });

    it('has no name but a key, and other objects are passed over', async () => {
      const bucket = await s3.open();
      const blobs = createS3BlobStore({ bucket, listedAfterMs: 0 });
      await bucket.put('blobs/README', Buffer.from('x'));
      expect(await Array.fromAsync(blobs.list())).toEqual([]);
      for (const name of ['../secret', '', 'A'.repeat(64)]) {
        await expect(blobs.readRange(name, 0, 0)).rejects.toThrow(/is not the key of a blob/);
        await expect(blobs.delete(name)).rejects.toThrow(/is not the key of a blob/);
      }
    });

    it('is not shown by a put that failed, whatever the store made of it', async () => {
      const { cut, whole } = await openBehindProxy(s3, {
        request: (text) => (text.startsWith('PUT ') ? 'cut after' : 'pass'),
        // A second one may come after the removal.
        maxAttempts: 1,
      });
      const { writer } = await sealed(createS3BlobStore({ bucket: cut }), [Buffer.from('lost')]);
      await expect(writer.publish()).rejects.toMatchObject({ code: expect.stringMatching(/^E/) });
      await expect.poll(() => objectsOf(whole)).toHaveLength(1);
      await writer.discard();
      expect(await objectsOf(whole)).toEqual([]);
    });

    it('is listed in pages, and can be deleted a thousand at a time', async () => {
      const bucket = await s3.open();
      const names = Array.from({ length: 1100 }, (_, i) => `many/${i}`);
      for (let i = 0; i < names.length; i += 50) {
        await Promise.all(names.slice(i, i + 50).map((name) => bucket.put(name, Buffer.alloc(1))));
      }
      expect(new Set(await objectsOf(bucket))).toEqual(new Set(names));
      await bucket.delete([...names, 'many/missing']);
      expect(await objectsOf(bucket)).toEqual([]);
    });
  });

  describe('a reader', () => {
    it('goes on where it was when the connection is cut', async () => {
      let left = Infinity;
      let cuts = 0;
      const { cut, whole } = await openBehindProxy(s3, {
        answer(bytes) {
          left -= bytes.length;
          if (left > 0) return 'pass';
          left = MB;
          cuts++;
          return 'cut after';
        },
      });
      const bytes = randomBytes(8 * MB);
      const key = await put(createS3BlobStore({ bucket: whole }), bytes);
      const blobs = createS3BlobStore({ bucket: cut });
      left = MB;
      const read = await Array.fromAsync(blobs.read(key, { start: 5, end: bytes.length }));
      expect(Buffer.concat(read).equals(bytes.subarray(5))).toBe(true);
      expect((await blobs.readRange(key, 1, 7 * MB)).equals(bytes.subarray(1, 1 + 7 * MB))).toBe(true);
      expect(cuts).toBeGreaterThan(10);
    });

    it('hears of it where the store falls silent, also in the middle of a blob', async () => {
      let isSilent = false;
      const judge = (): Fate => (isSilent ? 'lose' : 'pass');
      const { cut, whole } = await openBehindProxy(s3, { request: judge, answer: judge });
      const key = await put(createS3BlobStore({ bucket: whole }), randomBytes(20 * MB));
      const reading = createS3BlobStore({ bucket: cut }).read(key)[Symbol.asyncIterator]();
      await reading.next();
      isSilent = true;
      const rest = Array.fromAsync({ [Symbol.asyncIterator]: () => reading });
      await expect(rest).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    });

    it('gives up where a body breaks off again and again', async () => {
      const broken = (): Readable => Readable.from([], { objectMode: false });
      const bucket = { ...(await s3.open()), get: async () => ({ body: broken(), size: MB }) };
      const blobs = createS3BlobStore({ bucket });
      await expect(blobs.readRange('0'.repeat(64), 0, MB)).rejects.toMatchObject({ code: 'ECONNRESET' });
    });

    it('may pause for longer than a connection may be idle', async () => {
      const { cut } = await openBehindProxy(s3, {});
      const blobs = createS3BlobStore({ bucket: cut });
      const bytes = randomBytes(20 * MB);
      const key = await put(blobs, bytes);
      let isClosed = false;
      const get: Bucket['get'] = async (...args) => {
        const opened = await cut.get(...args);
        if (opened !== null && 'body' in opened) opened.body.once('close', () => (isClosed = true));
        return opened;
      };
      const read: Uint8Array[] = [];
      for await (const buffer of createS3BlobStore({ bucket: { ...cut, get } }).read(key)) {
        if (read.length === 0) await expect.poll(() => isClosed).toBe(true);
        read.push(buffer);
      }
      expect(Buffer.concat(read).equals(bytes)).toBe(true);
    });

    it('may stop early', async () => {
      const blobs = createS3BlobStore({ bucket: await s3.open() });
      const key = await put(blobs, randomBytes(4 * MB));
      for await (const buffer of blobs.read(key)) if (buffer.length > 0) break;
      expect(await blobs.readRange(key, 0, 0)).toEqual(Buffer.alloc(0));
    });
  });

  it('a store that stops answering ends each call with an error that the engine knows', async () => {
    let isSilent = false;
    const { cut, whole } = await openBehindProxy(s3, { request: () => (isSilent ? 'lose' : 'pass') });
    const blobs = createS3BlobStore({ bucket: cut, partBytes: PART });
    const small = await sealed(blobs, [Buffer.from('small')]);
    const large = await sealed(blobs, [randomBytes(PART + 1)]);
    const growing = await blobs.create();
    await growing.write(randomBytes(PART));
    isSilent = true;
    const calls = [
      small.writer.publish(),
      large.writer.publish(),
      growing.write(Buffer.from('x')),
      blobs.readRange(small.key, 0, 1),
      blobs.delete(small.key),
      Array.fromAsync(blobs.read(small.key)),
      Array.fromAsync(blobs.list()),
      blobs.removeAbandoned(),
    ];
    for (const end of await Promise.allSettled(calls)) {
      expect(end).toMatchObject({ status: 'rejected', reason: { code: 'ETIMEDOUT' } });
    }
    isSilent = false;
    await Promise.all([small.writer.discard(), large.writer.discard(), growing.discard()]);
    expect(await objectsOf(whole)).toEqual([]);
    expect(await uploadsOf(whole)).toEqual([]);
  });
});

describe('an error of S3', () => {
  const answered = (name: string, httpStatusCode: number): Error =>
    Object.assign(new Error('told'), {
      name,
      $metadata: { httpStatusCode, requestId: 'r1' },
      StringToSign: 'secret',
    });

  it.each([
    [answered('QuotaExceeded', 403), 'ENOSPC', 'out_of_space'],
    [answered('XMinioStorageFull', 507), 'ENOSPC', 'out_of_space'],
    [answered('Other', 507), 'ENOSPC', 'out_of_space'],
    [answered('SlowDown', 503), 'ES3SLOWDOWN', 'unavailable'],
    [answered('AccessDenied', 403), 'ES3ACCESSDENIED', 'unavailable'],
    [Object.assign(new Error('late'), { name: 'TimeoutError' }), 'ETIMEDOUT', 'unavailable'],
    [Object.assign(new Error(''), { code: 'ECONNREFUSED' }), 'ECONNREFUSED', 'unavailable'],
  ])('%s has the code %s, and is %s for clients', (error, code, meaning) => {
    const known = toStorageError(error) as Error;
    expect(known).toMatchObject({ code });
    expect(storageError(known)).toMatchObject({ code: meaning });
    expect(JSON.stringify(Object.entries(known)) + known.message).not.toContain('secret');
  });

  it('passes unchanged where it is a fault of this program', () => {
    const error = new TypeError('x');
    expect(toStorageError(error)).toBe(error);
  });
});

describeOnS3('opening a bucket', (s3) => {
  it.each([
    ['the bucket is missing', { bucket: 'missing' }, 'NoSuchBucket'],
    [
      'the key is unknown',
      { credentials: { accessKeyId: 'nobody', secretAccessKey: 'verysecret' } },
      'InvalidAccessKeyId',
    ],
    [
      'the secret is wrong',
      { credentials: { ...S3_CONNECTION.credentials, secretAccessKey: 'verysecret' } },
      'SignatureDoesNotMatch',
    ],
    ['nobody listens', { endpoint: 'http://127.0.0.1:1', maxAttempts: 1 }, 'ECONNREFUSED'],
  ])('rejects where %s, and says so', async (_case, options, message) => {
    const error = await s3.open(options).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ message: expect.stringContaining(message) });
    expect(String(error)).not.toContain('verysecret');
  });
});

describeOnS3('results in S3', (s3) => {
  it('are put, read in ranges, and deleted many at a time', async () => {
    const results = createS3ResultObjects({ bucket: await s3.open() });
    await results.put('batch_1/1', [Buffer.from('ab'), Buffer.alloc(0), Buffer.from('cd')]);
    await results.put('batch_1/2', [Buffer.from('ef')]);
    expect((await results.readRange('batch_1/1', 1, 2)).toString()).toBe('bc');
    await expect(results.readRange('batch_1/1', 1, 4)).rejects.toThrow('batch_1/1 ends at byte 4');
    await results.delete([]);
    await results.delete(['batch_1/1', 'batch_1/2', 'batch_1/3']);
    await results.delete(['batch_1/3']);
    await expect(results.readRange('batch_1/1', 0, 1)).rejects.toThrow(BlobMissingError);
    await expect(results.put('../x', [])).rejects.toThrow(/is no name/);
  });
});
