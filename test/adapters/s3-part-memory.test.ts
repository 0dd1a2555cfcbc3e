import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createS3BlobStore } from '../../src/adapters/s3/index.ts';
import type { Bucket, S3BlobStoreOptions } from '../../src/adapters/s3/index.ts';
import { PartMemory } from '../../src/adapters/s3/part-memory.ts';
import type { BlobStore, BlobWriter } from '../../src/engine/ports.ts';

const KB = 1024;
const PART = 256 * KB;
const NEVER_MS = 1_000_000;
const LOST = { code: 'EBUSY' };

/** A bucket that keeps what is written; `beforePart` is waited for by each part. */
function bucketInMemory(beforePart: () => Promise<void> = async () => {}) {
  const objects = new Map<string, Buffer>();
  const parts = new Map<number, Buffer>();
  let uploads = 0;
  let sending = 0;
  const bucket: Partial<Bucket> = {
    async put(name, body) {
      objects.set(name, Buffer.from(body));
    },
    async delete(names) {
      for (const name of names) objects.delete(name);
    },
    beginUpload: async () => String(++uploads),
    async putPart(_name, uploadId, number, body) {
      sending += body.length;
      await beforePart();
      sending -= body.length;
      parts.set(Number(uploadId) * 1000 + number, Buffer.from(body));
      return { PartNumber: number, ETag: '' };
    },
    async completeUpload(name, uploadId, stored) {
      const bytes = stored.map(({ PartNumber }) => parts.get(Number(uploadId) * 1000 + PartNumber));
      objects.set(name, Buffer.concat(bytes as Buffer[]));
    },
    abortUpload: async () => {},
  };
  return { bucket: bucket as Bucket, objects, bytesSending: () => sending };
}

function openBlobs(bucket: Bucket, options: Partial<S3BlobStoreOptions>): BlobStore {
  return createS3BlobStore({ bucket, partBytes: PART, patienceMs: NEVER_MS, ...options });
}

async function begin(blobs: BlobStore, bytes: Uint8Array): Promise<BlobWriter> {
  const writer = await blobs.create();
  await writer.write(bytes);
  return writer;
}

async function publish(writer: BlobWriter): Promise<string> {
  const { key } = await writer.seal();
  await writer.publish();
  return `blobs/${key}`;
}

/** Counts what has resolved. */
function counted(promises: readonly Promise<unknown>[]): () => number {
  let done = 0;
  for (const promise of promises) void promise.then(() => done++);
  return () => done;
}

describe('the memory of uploads to S3', () => {
  it('is shared: with many writers no more is held than all may, and all come to their end', async () => {
    const gate = Promise.withResolvers<void>();
    const { bucket, objects, bytesSending } = bucketInMemory(() => gate.promise);
    const blobs = openBlobs(bucket, { memoryBytes: 4 * PART });
    const blobBytes = Array.from({ length: 10 }, () => randomBytes(5 * PART + 100 * KB));
    let taken = 0;
    const names = blobBytes.map(async (bytes) => {
      const writer = await blobs.create();
      for (let at = 0; at < bytes.length; at += 64 * KB) {
        await writer.write(bytes.subarray(at, at + 64 * KB));
        taken += Math.min(64 * KB, bytes.length - at);
      }
      return await publish(writer);
    });
    await expect.poll(bytesSending).toBe(4 * PART);
    expect(taken).toBeLessThanOrEqual(4 * PART + 10 * 64 * KB);
    gate.resolve();
    for (const [i, name] of (await Promise.all(names)).entries()) {
      expect(objects.get(name)?.equals(blobBytes[i] as Buffer)).toBe(true);
    }
  });

  it('is given in the order in which it is asked for, and back where a blob is published or discarded', async () => {
    const { bucket } = bucketInMemory();
    const blobs = openBlobs(bucket, { memoryBytes: PART });
    const first = await begin(blobs, randomBytes(100 * KB));
    const small = await begin(blobs, randomBytes(64 * KB));
    const waiting = Array.from({ length: 2 }, () => begin(blobs, randomBytes(100 * KB)));
    const done = counted(waiting);
    await publish(small);
    expect(done()).toBe(0);
    await publish(first);
    const second = await waiting[0];
    expect(done()).toBe(1);
    await second?.discard();
    await publish((await waiting[1]) as BlobWriter);
  });

  it('is taken from a blob that comes too slowly when others have waited for it', async () => {
    const { bucket, objects } = bucketInMemory();
    const blobs = openBlobs(bucket, { memoryBytes: 2 * PART, patienceMs: 50 });
    const bytes = randomBytes(100 * KB);
    const slow = await begin(blobs, bytes);
    const sealed = await begin(blobs, bytes);
    await sealed.seal();
    const others = [await begin(blobs, bytes), await begin(blobs, bytes)];
    await expect(slow.write(Buffer.from('more'))).rejects.toMatchObject(LOST);
    await expect(sealed.publish()).rejects.toMatchObject(LOST);
    await Promise.all([slow.discard(), sealed.discard()]);
    const names = await Promise.all(others.map(publish));
    expect([...objects.keys()].toSorted()).toEqual(names.toSorted());
  });

  it('is not taken from a part that is on its way, however long that takes', async () => {
    const gate = Promise.withResolvers<void>();
    const { bucket, objects, bytesSending } = bucketInMemory(() => gate.promise);
    const blobs = openBlobs(bucket, { memoryBytes: 2 * PART, patienceMs: 50 });
    const bytes = randomBytes(PART + 1);
    const sending = await begin(blobs, bytes);
    await expect.poll(bytesSending).toBe(PART);
    const younger = await begin(blobs, bytes.subarray(0, PART));
    const waiting = await begin(blobs, bytes.subarray(0, PART));
    await expect(younger.write(Buffer.from('more'))).rejects.toMatchObject(LOST);
    gate.resolve();
    for (const writer of [sending, waiting]) expect(objects.has(await publish(writer))).toBe(true);
  });

  it('is waited for by none of the blobs that the process makes itself, nor taken from them', async () => {
    const { bucket, objects } = bucketInMemory();
    const blobs = openBlobs(bucket, { memoryBytes: PART, patienceMs: 1 });
    const bytes = randomBytes(3 * PART);
    const own = [await blobs.create({ isOwn: true }), await blobs.create({ isOwn: true })];
    for (const writer of own) await writer.write(bytes);
    const waiting = begin(blobs, bytes);
    for (const writer of own) expect(objects.get(await publish(writer))?.equals(bytes)).toBe(true);
    expect(objects.get(await publish(await waiting))?.equals(bytes)).toBe(true);
  });

  it('has room for a part that is larger than all of it, once nobody else has any', async () => {
    const memory = new PartMemory({ bytes: 10, patienceMs: NEVER_MS });
    const first = await memory.take(4, () => {});
    const large = memory.take(20, () => {});
    const done = counted([large]);
    const second = memory.take(1, () => {});
    expect(memory.hasRoom(6)).toBe(true);
    expect(done()).toBe(0);
    first.release();
    first.release();
    (await large).release();
    (await second).release();
    expect(memory.hasRoom(10)).toBe(true);
  });
});
