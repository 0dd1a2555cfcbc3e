import { open, readdir, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { BlobMissingError } from '../../engine/errors.ts';
import type { BlobStore } from '../../engine/ports.ts';
import { openBlobWriter } from './blob-writer.ts';
import type { DataFolder } from './data-folder.ts';
import { makeFolders, readFully } from './io.ts';
import { blobOfFile, blobPath, dataPaths, SHARDS } from './paths.ts';
import type { DataPaths } from './paths.ts';

/** Blobs are streamed in buffers of this size: each slow reader holds some of them, and larger ones are no faster. */
const READ_BYTES = 64 * 1024;

/**
 * Blobs as files named by their hash. Call it once for a folder: it removes what a dead process was receiving.
 * Reads of a range beyond the blob's end reject.
 */
export async function createDiskBlobStore({ folder }: { readonly folder: DataFolder }): Promise<BlobStore> {
  const paths = dataPaths(folder.path);
  await prepareFolders(folder.path, paths);
  return {
    create: () => openBlobWriter(paths),
    read: (key, range) => streamBlob(paths.blobs, key, range),
    async readRange(key, start, length) {
      const handle = await openBlob(paths.blobs, key);
      try {
        return await readFully(handle, `blob ${key}`, start, length);
      } finally {
        await handle.close();
      }
    },
    async delete(key) {
      // Not synced: if power loss brings it back, it is a blob that no row names, and the next sweep removes it.
      await rm(blobPath(paths.blobs, key), { force: true });
    },
    list: () => listBlobs(paths.blobs),
    // Done at creation: no other process has the folder.
    removeAbandoned: async () => 0,
  };
}

/** All shards are made here, so that publishing a blob need not make, sync and wait for one. */
async function prepareFolders(root: string, paths: DataPaths): Promise<void> {
  await rm(paths.tmp, { recursive: true, force: true });
  await makeFolders(root, ['tmp', 'blobs']);
  await makeFolders(paths.blobs, SHARDS);
}

async function openBlob(blobs: string, key: string): Promise<FileHandle> {
  const path = blobPath(blobs, key);
  try {
    return await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new BlobMissingError(key);
    throw error;
  }
}

/** Each buffer is a new one, for the consumer may keep it. */
async function* streamBlob(
  blobs: string,
  key: string,
  range: { readonly start: number; readonly end: number } | undefined,
): AsyncGenerator<Uint8Array> {
  const handle = await openBlob(blobs, key);
  try {
    const end = range?.end ?? (await handle.stat()).size;
    for (let position = range?.start ?? 0; position < end; position += READ_BYTES) {
      yield await readFully(handle, `blob ${key}`, position, Math.min(READ_BYTES, end - position));
    }
  } finally {
    await handle.close();
  }
}

async function* listBlobs(blobs: string): AsyncGenerator<string> {
  for (const shard of SHARDS) {
    for (const name of await readdir(join(blobs, shard))) {
      const key = blobOfFile(name);
      if (key !== null) yield key;
    }
  }
}
