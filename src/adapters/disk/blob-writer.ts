import { createHash, randomUUID } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { BlobSteps } from '../../engine/files/blob-steps.ts';
import type { BlobRef } from '../../engine/files/file.ts';
import type { BlobWriter } from '../../engine/ports.ts';
import { FILE_MODE, syncFolder, writeFully } from './io.ts';
import { blobPath, shardPath } from './paths.ts';
import type { DataPaths } from './paths.ts';

/**
 * What is written is gathered into blocks of this size: few system calls, and few updates of the hash. Each upload under
 * way, however slow, holds one.
 */
const BLOCK_BYTES = 256 * 1024;
/** What comes in pieces of at least this size is not gathered. */
const LARGE_BYTES = 128 * 1024;
/** So many bytes are synced while more are written, so that the end of a large blob need not wait for all of them. */
const SYNC_BYTES = 16 * 1024 * 1024;

/** Begins a blob in a temporary file. */
export async function openBlobWriter(paths: DataPaths): Promise<BlobWriter> {
  const tmpPath = join(paths.tmp, randomUUID());
  return new DiskBlobWriter(paths.blobs, tmpPath, await open(tmpPath, 'wx', FILE_MODE));
}

class DiskBlobWriter implements BlobWriter {
  readonly #blobs: string;
  readonly #tmpPath: string;
  readonly #handle: FileHandle;
  readonly #hash = createHash('sha256');
  #block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  #filled = 0;
  /** Bytes in the file. */
  #written = 0;
  /** The sync under way. Linux reports a failure once, so it is awaited even where a later one succeeds. */
  #syncing: Promise<void> | null = null;
  #unsynced = 0;
  #key = '';
  readonly #steps = new BlobSteps();

  constructor(blobs: string, tmpPath: string, handle: FileHandle) {
    this.#blobs = blobs;
    this.#tmpPath = tmpPath;
    this.#handle = handle;
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#steps.step('open', 'open', async () => {
      if (this.#filled === 0 && bytes.length >= LARGE_BYTES) return await this.#append(bytes);
      let taken = 0;
      while (taken < bytes.length) {
        const part = bytes.subarray(taken, taken + BLOCK_BYTES - this.#filled);
        this.#block.set(part, this.#filled);
        this.#filled += part.length;
        taken += part.length;
        if (this.#filled === BLOCK_BYTES) await this.#flush();
      }
    });
  }

  seal(): Promise<BlobRef> {
    return this.#steps.step('open', 'sealed', async () => {
      await this.#flush();
      this.#block = Buffer.alloc(0);
      await this.#syncing;
      await this.#handle.sync();
      await this.#handle.close();
      this.#key = this.#hash.digest('hex');
      return { key: this.#key, bytes: this.#written };
    });
  }

  publish(): Promise<void> {
    return this.#steps.step('sealed', 'published', async () => {
      await rename(this.#tmpPath, blobPath(this.#blobs, this.#key));
      await syncFolder(shardPath(this.#blobs, this.#key));
    });
  }

  discard(): Promise<void> {
    return this.#steps.discard(async () => {
      // Only the temporary file: a published blob, even where its folder could not be synced, may be the content
      // of another file too.
      try {
        await this.#syncing?.catch(() => {});
        await this.#handle.close();
      } finally {
        await rm(this.#tmpPath, { force: true });
      }
    });
  }

  async #flush(): Promise<void> {
    await this.#append(this.#block.subarray(0, this.#filled));
    this.#filled = 0;
  }

  async #append(bytes: Uint8Array): Promise<void> {
    const writing = writeFully(this.#handle, bytes, this.#written);
    // Meanwhile, for the writing happens in another thread.
    this.#hash.update(bytes);
    await writing;
    this.#written += bytes.length;
    this.#unsynced += bytes.length;
    if (this.#unsynced >= SYNC_BYTES) await this.#syncAhead();
  }

  /** Begins to sync what was written; waits for the sync before, so that no more than two of them are outstanding. */
  async #syncAhead(): Promise<void> {
    await this.#syncing;
    this.#unsynced = 0;
    this.#syncing = this.#handle.datasync();
    // It reaches whoever awaits it next.
    this.#syncing.catch(() => {});
  }
}
