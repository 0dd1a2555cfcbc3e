import { mkdir, open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Only the service's own user may look into the data. */
const FOLDER_MODE = 0o700;
export const FILE_MODE = 0o600;

/** Makes what was created in, renamed into or removed from the folder survive power loss. */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Creates the folder (an absolute path) and those above it where they are missing, durably. */
export async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: FOLDER_MODE });
  if (first === undefined) return;
  for (let made = path; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made));
}

/**
 * Creates those of the folders `names` in `parent` that are missing, durably. Syncs `parent` in any case: a
 * folder that is there may have been made a moment before the last process was killed.
 */
export async function makeFolders(parent: string, names: readonly string[]): Promise<void> {
  await Promise.all(names.map((name) => mkdir(join(parent, name), { recursive: true, mode: FOLDER_MODE })));
  await syncFolder(parent);
}

/** Writes all of `bytes` at `position`, however many calls that takes. */
export async function writeFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    const rest = bytes.length - written;
    written += (await handle.write(bytes, written, rest, position + written)).bytesWritten;
  }
}

/** Parts that are smaller than this on the average are copied into one buffer: that costs less than to list them. */
const SMALL_PART_BYTES = 16 * 1024;

/** Writes all of `parts`, one after another, at `position`; answers how many bytes that is. */
export async function writePartsFully(
  handle: FileHandle,
  parts: readonly Uint8Array[],
  position: number,
): Promise<number> {
  const bytes = parts.reduce((sum, part) => sum + part.length, 0);
  if (bytes < parts.length * SMALL_PART_BYTES) {
    await writeFully(handle, Buffer.concat(parts, bytes), position);
    return bytes;
  }
  const { bytesWritten } = await handle.writev(parts, position);
  if (bytesWritten < bytes) {
    // Hardly ever but on a disk that is just full: the next write says so.
    await writeFully(handle, Buffer.concat(parts).subarray(bytesWritten), position + bytesWritten);
  }
  return bytes;
}

/** Exactly the bytes [position, position + length) in a new buffer; rejects where the file, called `name`, ends before. */
export async function readFully(
  handle: FileHandle,
  name: string,
  position: number,
  length: number,
): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, position + filled);
    if (bytesRead === 0) {
      throw new Error(`${name} ends at byte ${position + filled}, before byte ${position + length}`);
    }
    filled += bytesRead;
  }
  return bytes;
}
