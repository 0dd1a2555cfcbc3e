/** The bytes of files. */
import { createHash } from 'node:crypto';
import { BlobMissingError } from '../engine/errors.ts';
import type { BlobRef } from '../engine/files/file.ts';
import type { BlobWriter } from '../engine/ports.ts';
import type { Move, Storage } from './parts.ts';
import { createProgress, sizeText } from './progress.ts';

const BLOBS_A_PAGE = 500;
/** So many are copied at the same time: each waits for its store most of the time. */
const COPIES_AT_ONCE = 8;

/**
 * Copies each blob that a row names, once, however many do: rows that shared a blob share the new one. (Whoever removes one asks
 * first whether a row names it, and a key once given up is never named again, so sharing loses nothing.)
 */
export async function copyBlobs({ source, target, from, say, signal }: Move, to: Storage): Promise<void> {
  const all = source.countBlobs();
  let { blobs, bytes } = await target.countBlobs();
  const progress = createProgress(say);
  const line = (): string =>
    `files: ${blobs} of ${all.blobs} (${sizeText(bytes)} of ${sizeText(all.bytes)}) are copied`;
  for (const page of pages(source)) {
    const copied = await target.findBlobs(page.map(({ key }) => key));
    const missing = page.filter(({ key }) => !copied.has(key));
    await forEach(missing, COPIES_AT_ONCE, async (blob) => {
      signal.throwIfAborted();
      const newKey = await bringBlob(blob, from, to, signal);
      await target.writeBlob({ oldKey: blob.key, newKey, bytes: blob.bytes });
      blobs++;
      bytes += blob.bytes;
      progress.at(line);
    });
  }
  say(line());
}

/** Where files stay in the folder, looks whether it has them all. */
export async function checkBlobs({ source, from, say, signal }: Move): Promise<void> {
  const all = source.countBlobs();
  for (const page of pages(source)) {
    await forEach(page, COPIES_AT_ONCE, async (blob) => {
      signal.throwIfAborted();
      if (await hasBlob(from, blob)) return;
      throw new Error(
        `The data folder has no blob ${blob.key} of ${blob.bytes} bytes, which its database names. If its files are in another store, set BLOB_URL to that.`,
      );
    });
  }
  say(`files: all ${all.blobs} (${sizeText(all.bytes)}) are in the folder`);
}

function* pages(source: Move['source']): Generator<readonly BlobRef[]> {
  for (let after = ''; ;) {
    const page = source.readBlobs(after, BLOBS_A_PAGE);
    const last = page.at(-1);
    if (last === undefined) return;
    yield page;
    after = last.key;
  }
}

/** Answers the blob's key in `to`: its own where it was there from the start, for a service with SQLite may keep its files there. */
async function bringBlob(blob: BlobRef, from: Storage, to: Storage, signal: AbortSignal): Promise<string> {
  try {
    return await copyBlob(blob, from, to, signal);
  } catch (error) {
    if (error instanceof BlobMissingError && (await hasBlob(to, blob))) return blob.key;
    throw error;
  }
}

/** False where it is missing, or shorter than it should be. */
async function hasBlob({ blobs }: Storage, { key, bytes }: BlobRef): Promise<boolean> {
  try {
    await blobs.readRange(key, Math.max(0, bytes - 1), Math.min(1, bytes));
    return true;
  } catch (error) {
    // Storage that fails says so by a code.
    if (error instanceof Error && 'code' in error) throw error;
    return false;
  }
}

/** What a kill leaves behind before the new key is noted no row will name, so the service's sweep removes it. */
async function copyBlob(blob: BlobRef, from: Storage, to: Storage, signal: AbortSignal): Promise<string> {
  const writer = await to.blobs.create();
  try {
    const copy = await writeAll(writer, blob, from, signal);
    await writer.publish();
    return copy.key;
  } catch (error) {
    await writer.discard().catch(() => {});
    throw error;
  }
}

async function writeAll(
  writer: BlobWriter,
  blob: BlobRef,
  from: Storage,
  signal: AbortSignal,
): Promise<BlobRef> {
  // Its key in the folder.
  const hash = createHash('sha256');
  for await (const bytes of from.blobs.read(blob.key)) {
    signal.throwIfAborted();
    hash.update(bytes);
    await writer.write(bytes);
  }
  const copy = await writer.seal();
  if (hash.digest('hex') !== blob.key || copy.bytes !== blob.bytes) {
    throw new Error(
      `The data folder's blob ${blob.key} is damaged: it should have ${blob.bytes} bytes with that hash, and has ${copy.bytes} others.`,
    );
  }
  return copy;
}

/** Works on `max` items at a time. Rejects with the first failure, when nothing is under way any more. */
async function forEach<T>(items: readonly T[], max: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  let failed = false;
  const workers = Array.from({ length: max }, async () => {
    for (const item of queue) {
      if (failed) return;
      await work(item).catch((error: unknown) => {
        failed = true;
        throw error;
      });
    }
  });
  for (const result of await Promise.allSettled(workers)) {
    if (result.status === 'rejected') throw result.reason;
  }
}
