import { randomBytes } from 'node:crypto';
import { BlobSteps } from '../../engine/files/blob-steps.ts';
import type { BlobRef } from '../../engine/files/file.ts';
import type { BlobWriter } from '../../engine/ports.ts';
import type { Bucket } from './bucket.ts';
import { MultipartUpload } from './multipart.ts';
import { blobName } from './names.ts';
import { PartBuffer, SMALL_BYTES } from './part-buffer.ts';
import type { PartGate } from './part-gate.ts';
import type { PartClaim, PartMemory } from './part-memory.ts';

/** S3 takes so many parts of one object. */
const MAX_PARTS = 10_000;
/**
 * From this part on they are four times as large: small ones hold less memory, and few blobs get there (some stores want equal
 * parts).
 */
const LARGE_PARTS_FROM = 2000;

export interface BlobWriterOptions {
  readonly bucket: Bucket;
  readonly gate: PartGate;
  readonly memory: PartMemory;
  /** Then it waits for no memory that others have, and loses none to them. */
  readonly isOwn: boolean;
  /** Up to so many bytes go in one request; larger blobs in parts of so many. */
  readonly partBytes: number;
  /** A blob that was begun longer ago is not published any more: others may have removed its parts. Milliseconds. */
  readonly lifeMs: number;
}

/** Begins a blob. Its key is random, for parts must be given the name of their object before all bytes are known. */
export function createBlobWriter(options: BlobWriterOptions): BlobWriter {
  return new S3BlobWriter(options);
}

class S3BlobWriter implements BlobWriter {
  readonly #options: BlobWriterOptions;
  readonly #key = randomBytes(32).toString('hex');
  readonly #steps = new BlobSteps();
  readonly #begunAt = performance.now();
  #part: PartBuffer;
  /** For the memory of the part; null where it is small. */
  #claim: PartClaim | null = null;
  #isLost = false;
  #parts = 0;
  /** From the second part on. */
  #upload: MultipartUpload | null = null;
  #written = 0;
  #isPublished = false;
  /** An object of this name may be there, whatever the store answered. */
  #mayBeThere = false;

  constructor(options: BlobWriterOptions) {
    this.#options = options;
    this.#part = new PartBuffer(options.partBytes);
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#steps.step('open', 'open', async () => {
      this.#throwIfLost();
      for (let taken = 0; taken < bytes.length;) {
        if (this.#part.isFull) await this.#sendPart();
        const rest = bytes.subarray(taken);
        if (this.#part.length + rest.length > SMALL_BYTES) this.#claim ??= await this.#takeMemory();
        taken += this.#part.add(rest);
      }
      this.#written += bytes.length;
    });
  }

  seal(): Promise<BlobRef> {
    return this.#steps.step('open', 'sealed', async () => {
      this.#throwIfLost();
      if (this.#upload !== null) {
        await this.#sendPart();
        await this.#upload.settle();
      }
      return { key: this.#key, bytes: this.#written };
    });
  }

  publish(): Promise<void> {
    return this.#steps.step('sealed', 'published', async () => {
      if (performance.now() - this.#begunAt > this.#options.lifeMs) {
        throw Object.assign(new Error('a blob took too long to be received'), { code: 'ETIMEDOUT' });
      }
      this.#throwIfLost();
      this.#claim?.send();
      this.#mayBeThere = true;
      if (this.#upload === null) await this.#options.bucket.put(blobName(this.#key), this.#part.bytes());
      else await this.#upload.complete(this.#written);
      this.#isPublished = true;
      this.#release();
    });
  }

  discard(): Promise<void> {
    return this.#steps.discard(async () => {
      this.#release();
      if (this.#isPublished) return;
      await this.#upload?.abort();
      // A put that comes later still is the sweep's.
      if (this.#mayBeThere) await this.#options.bucket.delete([blobName(this.#key)]);
    });
  }

  async #sendPart(): Promise<void> {
    if (this.#parts === MAX_PARTS) {
      throw Object.assign(new Error(`a blob is too large for S3 after ${this.#written} bytes`), {
        code: 'EFBIG',
      });
    }
    this.#upload ??= new MultipartUpload(this.#options.bucket, this.#options.gate, blobName(this.#key));
    const [part, claim] = [this.#part, this.#claim];
    claim?.send();
    this.#claim = null;
    this.#parts++;
    const factor = this.#parts < LARGE_PARTS_FROM ? 1 : 4;
    this.#part = new PartBuffer(factor * this.#options.partBytes);
    await this.#upload.add(part.bytes(), claim);
  }

  async #takeMemory(): Promise<PartClaim> {
    const { memory, isOwn } = this.#options;
    const { max } = this.#part;
    if (!isOwn) {
      return await memory.take(max, () => {
        this.#isLost = true;
        this.#release();
      });
    }
    // It waits for no others, but need not have many parts in flight.
    while (!memory.hasRoom(max) && this.#upload?.isSending === true) await this.#upload.onePart();
    return memory.takeAnyway(max);
  }

  #throwIfLost(): void {
    if (!this.#isLost) return;
    throw Object.assign(new Error('a blob that came slowly was given up, for others waited for its memory'), {
      code: 'EBUSY',
    });
  }

  /** Its memory is needed no more, though whoever used it may hold the writer for longer. */
  #release(): void {
    this.#part = new PartBuffer(0);
    this.#claim?.release();
    this.#claim = null;
  }
}
