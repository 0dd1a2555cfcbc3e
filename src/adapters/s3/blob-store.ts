import type { BlobStore } from '../../engine/ports.ts';
import { createBlobWriter } from './blob-writer.ts';
import type { Bucket } from './bucket.ts';
import { blobName, blobOfName, BLOBS } from './names.ts';
import { openObject, readObject } from './object-reader.ts';
import { PartGate } from './part-gate.ts';
import { PartMemory } from './part-memory.ts';

/** Blobs are streamed in buffers of this size. */
const READ_BYTES = 64 * 1024;
/** The least that S3 takes. Larger parts went no faster (8 and 16 MiB against Ceph), and each blob being received holds some. */
const PART_BYTES = 5 * 1024 * 1024;
/** Parts in flight of all blobs together. */
const PARTS_IN_FLIGHT = 16;
/** For the parts of all blobs that are being received, in flight or not: some fifty. */
const MEMORY_BYTES = 256 * 1024 * 1024;
/** So a client that sends 175 KB/s is never given up, and one that waits is not yet cut off as idle. */
const PATIENCE_MS = 30_000;
const DAY_MS = 24 * 3_600_000;

export interface S3BlobStoreOptions {
  readonly bucket: Bucket;
  /** Blobs of up to so many bytes (at least 5 MiB, the default) are held until they are published and put at once; larger ones go in parts of that size. */
  readonly partBytes?: number | undefined;
  /** What the writers may hold together, beside 64 KiB each; default 256 MiB. Those of `isOwn` may take a part more each. */
  readonly memoryBytes?: number | undefined;
  /** Who has waited so long for memory gets that of a client whose part took as long; milliseconds, default 30 s. */
  readonly patienceMs?: number | undefined;
  /** A blob must be published in this time, or is abandoned; milliseconds, default 24 hours. */
  readonly writeMs?: number | undefined;
  /**
   * How old a blob must be to be listed; milliseconds. Default: `writeMs` and 24 hours, for its age may count from when it was
   * begun, and its row may come some time after it was published.
   */
  readonly listedAfterMs?: number | undefined;
}

/**
 * Blobs as objects of random names, which any number of processes may share. A blob is there from one request on: a single put,
 * or the completion of a multipart upload.
 */
export function createS3BlobStore(options: S3BlobStoreOptions): BlobStore {
  const { bucket, partBytes = PART_BYTES, writeMs = DAY_MS, listedAfterMs = writeMs + DAY_MS } = options;
  const { memoryBytes = MEMORY_BYTES, patienceMs = PATIENCE_MS } = options;
  const gate = new PartGate(PARTS_IN_FLIGHT);
  const memory = new PartMemory({ bytes: memoryBytes, patienceMs });
  const refOf = (key: string) => ({ bucket, name: blobName(key), label: key });

  return {
    create: async ({ isOwn = false } = {}) =>
      createBlobWriter({ bucket, gate, memory, isOwn, partBytes, lifeMs: writeMs }),
    async *read(key, range) {
      const reader = await openObject(refOf(key), range);
      try {
        while (reader.left > 0) {
          // A new one each time, for the consumer may keep it.
          const buffer = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, reader.left));
          await reader.fill(buffer);
          yield buffer;
        }
      } finally {
        reader.close();
      }
    },
    readRange: async (key, start, length) => await readObject(refOf(key), start, length),
    delete: async (key) => await bucket.delete([blobName(key)]),
    async *list() {
      for await (const { name, ageMs } of bucket.list(BLOBS)) {
        const key = blobOfName(name);
        if (key !== null && isOlder(ageMs, listedAfterMs)) yield key;
      }
    },
    async removeAbandoned() {
      let removed = 0;
      for await (const { name, uploadId, ageMs } of bucket.listUploads(BLOBS)) {
        if (!isOlder(ageMs, writeMs)) continue;
        await bucket.abortUpload(name, uploadId);
        removed++;
      }
      return removed;
    },
  };
}

/** What has no date may be under way: where a store gives none, it is the store's to remove what was abandoned. */
function isOlder(ageMs: number | null, limitMs: number): boolean {
  return ageMs !== null && ageMs >= limitMs;
}
