import { createHash } from 'node:crypto';
import type { BlobRef } from '../../engine/files/file.ts';
import { BlobMissingError } from '../../engine/errors.ts';
import type { BlobStore, BlobWriter } from '../../engine/ports.ts';

/** Blobs are streamed in buffers of this size. */
const READ_BYTES = 64 * 1024;

/** Blobs in memory. All bytes are copied on their way in and out. Reads of a range beyond the blob's end reject. */
export function createMemoryBlobStore(): BlobStore {
  const blobs = new Map<string, Buffer>();

  function find(key: string): Buffer {
    const blob = blobs.get(key);
    if (blob === undefined) throw new BlobMissingError(key);
    return blob;
  }

  return {
    create: async () => createWriter(blobs),
    async *read(key, range) {
      const blob = find(key);
      const end = range?.end ?? blob.length;
      for (let start = range?.start ?? 0; start < end; start += READ_BYTES) {
        yield copyRange(blob, key, start, Math.min(start + READ_BYTES, end));
      }
    },
    readRange: async (key, start, length) => copyRange(find(key), key, start, start + length),
    async delete(key) {
      blobs.delete(key);
    },
    async *list() {
      yield* blobs.keys();
    },
    removeAbandoned: async () => 0,
  };
}

function createWriter(blobs: Map<string, Buffer>): BlobWriter {
  let state: 'open' | 'sealed' | 'published' | 'discarded' = 'open';
  let parts: Buffer[] = [];
  let blob = Buffer.alloc(0);
  let key = '';

  function expect(expected: typeof state): void {
    if (state !== expected) throw new Error(`The blob is ${state}; for this it must be ${expected}.`);
  }

  return {
    async write(bytes) {
      expect('open');
      parts.push(Buffer.from(bytes));
    },
    async seal(): Promise<BlobRef> {
      expect('open');
      state = 'sealed';
      blob = Buffer.concat(parts);
      parts = [];
      key = createHash('sha256').update(blob).digest('hex');
      return { key, bytes: blob.length };
    },
    async publish() {
      expect('sealed');
      state = 'published';
      blobs.set(key, blob);
    },
    async discard() {
      state = 'discarded';
      parts = [];
    },
  };
}

function copyRange(blob: Buffer, key: string, start: number, end: number): Buffer {
  if (end > blob.length) throw new Error(`blob ${key} ends at byte ${blob.length}, before byte ${end}`);
  return Buffer.from(blob.subarray(start, end));
}
