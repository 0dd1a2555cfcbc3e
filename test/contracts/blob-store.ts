import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { BlobRef } from '../../src/engine/files/file.ts';
import { BlobMissingError } from '../../src/engine/errors.ts';
import type { BlobStore, BlobWriter } from '../../src/engine/ports.ts';

interface OpenedBlobStore {
  readonly blobs: BlobStore;
  close(): Promise<void>;
}

/** Opens an empty store of one's own. */
type OpenBlobStore = () => Promise<OpenedBlobStore>;

const MB = 1024 * 1024;

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

const MISSING = sha256Of(Buffer.from('never stored'));

async function writeAll(blobs: BlobStore, parts: readonly Uint8Array[]): Promise<BlobWriter> {
  const writer = await blobs.create();
  for (const part of parts) await writer.write(part);
  return writer;
}

async function put(blobs: BlobStore, ...parts: readonly Uint8Array[]): Promise<BlobRef> {
  const writer = await writeAll(blobs, parts);
  const ref = await writer.seal();
  await writer.publish();
  return ref;
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(source));
}

async function listed(blobs: BlobStore): Promise<string[]> {
  return (await Array.fromAsync(blobs.list())).toSorted();
}

function blobTest(open: OpenBlobStore) {
  return test.extend('blobs', async ({ onTestFinished }): Promise<BlobStore> => {
    const opened = await open();
    onTestFinished(() => opened.close());
    return opened.blobs;
  });
}

type BlobIt = ReturnType<typeof blobTest>;

/** What every BlobStore must do. `sharesKeys`: equal blobs share a key, which only a store that one process owns may do. */
export function describeBlobStoreContract(
  name: string,
  open: OpenBlobStore,
  { sharesKeys = true }: { readonly sharesKeys?: boolean } = {},
): void {
  const it = blobTest(open);
  describe(`${name} keeps the contract of a BlobStore`, () => {
    describeWriting(it, (bytes) => (sharesKeys ? sha256Of(bytes) : ANY_KEY));
    if (sharesKeys) describeSharing(it);
    else describeNotSharing(it);
    describeDiscarding(it);
    describeReading(it);
    describeRemoving(it);
  });
}

const ANY_KEY = expect.stringMatching(/^[0-9a-f]{64}$/) as string;

function describeWriting(it: BlobIt, keyOf: (bytes: Uint8Array) => string): void {
  it('answers the key and length of what was written, in whatever pieces', async ({ blobs }) => {
    const bytes = randomBytes(3 * MB + 17);
    const ends = [0, 200_000, 400_000, 400_001, 400_001, 2 * MB, 2 * MB + 300_000, bytes.length];
    const pieces = ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end));
    const ref = await put(blobs, ...pieces);
    expect(ref).toEqual({ key: keyOf(bytes), bytes: bytes.length });
    expect((await collect(blobs.read(ref.key))).equals(bytes)).toBe(true);
  });

  it('stores a blob of no bytes', async ({ blobs }) => {
    const ref = await put(blobs);
    expect(ref).toEqual({ key: keyOf(Buffer.alloc(0)), bytes: 0 });
    expect(await Array.fromAsync(blobs.read(ref.key))).toEqual([]);
    expect(await blobs.readRange(ref.key, 0, 0)).toEqual(Buffer.alloc(0));
  });

  it('leaves a buffer to its owner when the write has resolved', async ({ blobs }) => {
    const writer = await blobs.create();
    const reused = Buffer.alloc(1000);
    const expected: Buffer[] = [];
    for (let i = 0; i < 2000; i++) {
      reused.fill(i % 251);
      expected.push(Buffer.from(reused));
      await writer.write(reused);
    }
    reused.fill(0);
    const { key } = await writer.seal();
    await writer.publish();
    expect((await collect(blobs.read(key))).equals(Buffer.concat(expected))).toBe(true);
  });

  it('shows a blob to nobody before it is published', async ({ blobs }) => {
    const writer = await writeAll(blobs, [Buffer.from('hidden')]);
    const { key } = await writer.seal();
    await expect(collect(blobs.read(key))).rejects.toThrow(BlobMissingError);
    await expect(blobs.readRange(key, 0, 1)).rejects.toThrow(BlobMissingError);
    expect(await listed(blobs)).toEqual([]);
    await writer.publish();
    expect(await blobs.readRange(key, 0, 6)).toEqual(Buffer.from('hidden'));
    expect(await listed(blobs)).toEqual([key]);
  });

  it('refuses steps out of their order', async ({ blobs }) => {
    const writer = await writeAll(blobs, [Buffer.from('x')]);
    await expect(writer.publish()).rejects.toThrow(/is open/);
    const { key } = await writer.seal();
    await expect(writer.write(Buffer.from('y'))).rejects.toThrow(/is sealed/);
    await expect(writer.seal()).rejects.toThrow(/is sealed/);
    await writer.publish();
    await expect(writer.publish()).rejects.toThrow(/is published/);
    expect(await listed(blobs)).toEqual([key]);
  });
}

function describeSharing(it: BlobIt): void {
  it('stores equal content once, however often it is published', async ({ blobs }) => {
    const first = await put(blobs, Buffer.from('same'));
    const second = await put(blobs, Buffer.from('sa'), Buffer.from('me'));
    expect(second).toEqual(first);
    expect(await listed(blobs)).toEqual([first.key]);
    expect(await collect(blobs.read(first.key))).toEqual(Buffer.from('same'));
  });

  it('lets many write the same content at once', async ({ blobs }) => {
    const bytes = randomBytes(2 * MB + 1);
    const refs = await Promise.all(Array.from({ length: 8 }, () => put(blobs, bytes)));
    expect(new Set(refs.map((ref) => ref.key))).toEqual(new Set([sha256Of(bytes)]));
    expect(await listed(blobs)).toEqual([sha256Of(bytes)]);
    expect((await collect(blobs.read(sha256Of(bytes)))).equals(bytes)).toBe(true);
  });
}

function describeNotSharing(it: BlobIt): void {
  it('gives equal content a key of its own each time, so that whoever deletes one leaves the others', async ({
    blobs,
  }) => {
    const refs = await Promise.all(Array.from({ length: 8 }, () => put(blobs, Buffer.from('same'))));
    const keys = refs.map((ref) => ref.key);
    expect(new Set(keys).size).toBe(8);
    expect(await listed(blobs)).toEqual(keys.toSorted());
    await blobs.delete(keys.pop() as string);
    for (const key of keys) expect(await collect(blobs.read(key))).toEqual(Buffer.from('same'));
  });
}

function describeDiscarding(it: BlobIt): void {
  it('leaves nothing of a blob that is discarded, at whichever step', async ({ blobs }) => {
    const fresh = await blobs.create();
    const written = await writeAll(blobs, [randomBytes(MB + 1)]);
    const sealed = await writeAll(blobs, [Buffer.from('sealed')]);
    const { key } = await sealed.seal();
    for (const writer of [fresh, written, sealed]) {
      await writer.discard();
      await writer.discard();
      await expect(writer.write(Buffer.from('more'))).rejects.toThrow(/is discarded/);
      await expect(writer.publish()).rejects.toThrow(/is discarded/);
    }
    expect(await listed(blobs)).toEqual([]);
    await expect(blobs.readRange(key, 0, 1)).rejects.toThrow(BlobMissingError);
  });

  it('can be told to discard while another step is under way', async ({ blobs }) => {
    const writing = await blobs.create();
    const write = writing.write(randomBytes(4 * MB));
    const sealing = await writeAll(blobs, [randomBytes(4 * MB)]);
    const seal = sealing.seal();
    await Promise.all([writing.discard(), sealing.discard(), write, seal]);
    expect(await listed(blobs)).toEqual([]);
  });

  it('keeps a blob that is published, or was before, when its writer is discarded', async ({ blobs }) => {
    const { key } = await put(blobs, Buffer.from('kept'));
    const equal = await writeAll(blobs, [Buffer.from('kept')]);
    await equal.seal();
    await equal.discard();
    const late = await writeAll(blobs, [Buffer.from('kept')]);
    const { key: lateKey } = await late.seal();
    const publish = late.publish();
    await late.discard();
    await publish;
    await late.discard();
    expect(await collect(blobs.read(key))).toEqual(Buffer.from('kept'));
    expect(await collect(blobs.read(lateKey))).toEqual(Buffer.from('kept'));
  });
}

function describeReading(it: BlobIt): void {
  it('streams and reads any range', async ({ blobs }) => {
    const bytes = randomBytes(3 * MB + 5);
    const { key } = await put(blobs, bytes);
    const ranges = [
      [0, 0],
      [0, 1],
      [7, 7],
      [MB - 1, MB + 1],
      [1, 3 * MB],
      [3 * MB, bytes.length],
      [bytes.length - 1, bytes.length],
      [bytes.length, bytes.length],
      [0, bytes.length],
    ] as const;
    for (const [start, end] of ranges) {
      const expected = bytes.subarray(start, end);
      expect((await collect(blobs.read(key, { start, end }))).equals(expected), `${start}–${end}`).toBe(true);
      expect((await blobs.readRange(key, start, end - start)).equals(expected), `${start}–${end}`).toBe(true);
    }
  });

  it('rejects a range beyond the end rather than answer fewer bytes', async ({ blobs }) => {
    const { key } = await put(blobs, Buffer.from('0123456789'));
    await expect(blobs.readRange(key, 0, 11)).rejects.toThrow(/ends at byte 10/);
    await expect(blobs.readRange(key, 10, 1)).rejects.toThrow(/ends at byte 10/);
    await expect(collect(blobs.read(key, { start: 5, end: 11 }))).rejects.toThrow(/ends at byte 10/);
  });

  it('rejects with BlobMissingError on the first read of what is not there', async ({ blobs }) => {
    const reading = blobs.read(MISSING)[Symbol.asyncIterator]();
    await expect(reading.next()).rejects.toThrow(BlobMissingError);
    const nothing = blobs.read(MISSING, { start: 0, end: 0 })[Symbol.asyncIterator]();
    await expect(nothing.next()).rejects.toThrow(BlobMissingError);
    await expect(blobs.readRange(MISSING, 0, 0)).rejects.toThrow(BlobMissingError);
  });

  it('takes and gives back 20 MB as a stream of buffers that are neither small nor large', async ({
    blobs,
  }) => {
    const part = randomBytes(64 * 1024);
    const writer = await blobs.create();
    const written = createHash('sha256');
    for (let i = 0; i < 320; i++) {
      part.writeUInt32LE(i);
      written.update(part);
      await writer.write(part);
    }
    const { key, bytes } = await writer.seal();
    await writer.publish();
    const read = createHash('sha256');
    let buffers = 0;
    let largest = 0;
    let total = 0;
    for await (const buffer of blobs.read(key)) {
      read.update(buffer);
      buffers++;
      largest = Math.max(largest, buffer.length);
      total += buffer.length;
    }
    expect([total, bytes]).toEqual([20 * MB, 20 * MB]);
    expect(buffers).toBeLessThanOrEqual(640);
    expect(largest).toBeLessThanOrEqual(64 * 1024);
    expect(read.digest('hex')).toBe(written.digest('hex'));
  });

  it('hands out buffers that the reader may keep and change', async ({ blobs }) => {
    const bytes = randomBytes(2 * MB);
    const { key } = await put(blobs, bytes);
    for await (const buffer of blobs.read(key)) buffer.fill(0);
    (await blobs.readRange(key, 0, 100)).fill(0);
    expect((await collect(blobs.read(key))).equals(bytes)).toBe(true);
  });
}

function describeRemoving(it: BlobIt): void {
  it('lists exactly the published blobs', async ({ blobs }) => {
    const refs = await Promise.all(
      Array.from({ length: 50 }, (_, i) => put(blobs, Buffer.from(`blob ${i}`))),
    );
    const unfinished = await writeAll(blobs, [Buffer.from('unfinished')]);
    expect(await listed(blobs)).toEqual(refs.map((ref) => ref.key).toSorted());
    await unfinished.discard();
  });

  it('can delete while it lists', async ({ blobs }) => {
    for (let i = 0; i < 50; i++) await put(blobs, Buffer.from(`blob ${i}`));
    let seen = 0;
    for await (const key of blobs.list()) {
      await blobs.delete(key);
      seen++;
    }
    expect(seen).toBe(50);
    expect(await listed(blobs)).toEqual([]);
  });

  it('deletes a blob, and takes one that is missing as deleted', async ({ blobs }) => {
    const { key } = await put(blobs, Buffer.from('gone'));
    const kept = await put(blobs, Buffer.from('kept'));
    await blobs.delete(key);
    await blobs.delete(key);
    await blobs.delete(MISSING);
    await expect(blobs.readRange(key, 0, 1)).rejects.toThrow(BlobMissingError);
    expect(await listed(blobs)).toEqual([kept.key]);
    const again = await put(blobs, Buffer.from('gone'));
    expect(await blobs.readRange(again.key, 0, 4)).toEqual(Buffer.from('gone'));
  });

  it('never passes a part of a blob off as the whole when it is deleted during reads', async ({ blobs }) => {
    const bytes = randomBytes(6 * MB);
    const { key } = await put(blobs, bytes);
    const begun = Array.from({ length: 4 }, () => blobs.read(key)[Symbol.asyncIterator]());
    const firsts = await Promise.all(begun.map((reading) => reading.next()));
    const later = Array.from({ length: 4 }, () => collect(blobs.read(key)));
    const [ends] = await Promise.all([
      Promise.allSettled([
        ...begun.map(async (reading, i) => {
          const rest = await collect({ [Symbol.asyncIterator]: () => reading });
          return Buffer.concat([firsts[i]?.value as Uint8Array, rest]);
        }),
        ...later,
      ]),
      blobs.delete(key),
    ]);
    for (const end of ends) expect(end.status === 'rejected' || end.value.equals(bytes)).toBe(true);
  });
}
