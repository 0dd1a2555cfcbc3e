import { createHash } from 'node:crypto';
import type { BlobRef } from '../../engine/files/file.ts';
import { BlobMissingError } from '../../engine/errors.ts';
import type { BlobStore, BlobWriter } from '../../engine/ports.ts';

/** Blobs are streamed in buffers of this size. */
const READ_BYTES = 64 * 1024;

/** Blobs in memory. All bytes are copied on their way in and out. Reads of a range beyond the blob's end reject. */
export function createMemoryBlobStore(): BlobStore {
  const blobs = new Map<string, Buffer>();

  function find(sha256: string): Buffer {
    const blob = blobs.get(sha256);
    if (blob === undefined) throw new BlobMissingError(sha256);
    return blob;
  }

  return {
    create: async () => createWriter(blobs),
    async *read(sha256, range) {
      const blob = find(sha256);
      const end = range?.end ?? blob.length;
      for (let start = range?.start ?? 0; start < end; start += READ_BYTES) {
        yield copyRange(blob, sha256, start, Math.min(start + READ_BYTES, end));
      }
    },
    readRange: async (sha256, start, length) => copyRange(find(sha256), sha256, start, start + length),
    async delete(sha256) {
      blobs.delete(sha256);
    },
    async *list() {
      yield* blobs.keys();
    },
  };
}

function createWriter(blobs: Map<string, Buffer>): BlobWriter {
  let state: 'open' | 'sealed' | 'published' | 'discarded' = 'open';
  let parts: Buffer[] = [];
  let blob = Buffer.alloc(0);
  let sha256 = '';

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
      sha256 = createHash('sha256').update(blob).digest('hex');
      return { sha256, bytes: blob.length };
    },
    async publish() {
      expect('sealed');
      state = 'published';
      blobs.set(sha256, blob);
    },
    async discard() {
      state = 'discarded';
      parts = [];
    },
  };
}

function copyRange(blob: Buffer, sha256: string, start: number, end: number): Buffer {
  if (end > blob.length) throw new Error(`blob ${sha256} ends at byte ${blob.length}, before byte ${end}`);
  return Buffer.from(blob.subarray(start, end));
}
