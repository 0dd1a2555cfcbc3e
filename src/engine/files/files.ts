/** What the API offers on files: one verb a function. */
import { clientBatchId } from '../batches/batch-format.ts';
import type { EngineContext } from '../context.ts';
import { EngineError, storageError } from '../errors.ts';
import {
  BATCH_FILE_EXPIRY_SECONDS,
  MAX_EXPIRY_SECONDS,
  MIN_EXPIRY_SECONDS,
  newFileId,
  UPLOAD_PURPOSES,
} from './file.ts';
import type { BlobRef, FilePurpose, FileRecord, UploadPurpose } from './file.ts';
import { createFirstLineLook } from './first-line.ts';
import type { FirstLine } from './first-line.ts';
import { openRoom, overLimitError } from '../owners/owner-room.ts';
import type { BlobWriter, FileQuery, Page } from '../ports.ts';
import { checkIntegerRange } from '../values.ts';

/** Bytes that are safely stored but belong to no file yet: `store` or `discard` them. */
export interface ReceivedUpload {
  readonly blob: BlobRef;
  /** Makes them a file. Discards them where it rejects. */
  store(options: StoreUploadOptions): Promise<FileRecord>;
  /**
   * As `store`, but it is for `insert` to insert the file, together with what must become true with it. Answers what that
   * answers; an EngineError of `insert` says that nothing was inserted.
   */
  storeWith<T>(options: StoreUploadOptions, insert: (file: FileRecord) => Promise<T>): Promise<T>;
  discard(): Promise<void>;
}

export interface StoreUploadOptions {
  readonly owner: string;
  readonly filename: string;
  /** One of UPLOAD_PURPOSES, else `invalid_purpose`. */
  readonly purpose: string;
  /** 3600…2592000, from the file's creation; default: 30 days for purpose `batch`, else for ever. */
  readonly expiresAfterSeconds?: number | undefined;
  /** Largest file for purpose `batch`, bytes; default: the settings' `maxBatchBytes`. */
  readonly maxBatchBytes?: number | undefined;
}

export interface ReceiveOptions {
  /** Whose limit of stored bytes ends the stream once no room can be left for it. `store` asks for the limit in any case. */
  readonly owner?: string | undefined;
}

/**
 * Streams `source` into the blob store without holding it. Its fields may come later (some SDKs send them after
 * the bytes), hence two steps. Rejects with `too_large` or `storage_limit_exceeded` above a limit, `out_of_space` or
 * `unavailable` where storage fails, and with the source's own error; nothing is left behind then.
 */
export async function receiveUpload(
  ctx: EngineContext,
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { owner }: ReceiveOptions = {},
): Promise<ReceivedUpload> {
  const room = await openRoom(ctx, owner).catch(rethrowAsStorage);
  const writer = await ctx.blobs.create().catch(rethrowAsStorage);
  const look = createFirstLineLook();
  try {
    let bytes = 0;
    for await (const part of source) {
      bytes += part.length;
      if (bytes > ctx.settings.maxFileBytes) {
        throw new EngineError(
          'too_large',
          `The file is larger than the limit of ${ctx.settings.maxFileBytes} bytes (at least ${bytes} bytes were sent).`,
          { param: 'file' },
        );
      }
      room(bytes);
      look.push(part);
      await writer.write(part).catch(rethrowAsStorage);
    }
    const blob = await writer.seal().catch(rethrowAsStorage);
    return receivedUpload(ctx, writer, blob, look.finish());
  } catch (error) {
    await discard(ctx, writer);
    throw error;
  }
}

/** Never rejects: what the caller must hear is why the bytes are not wanted. The next start removes what is left. */
export async function discard(ctx: EngineContext, writer: BlobWriter): Promise<void> {
  await writer.discard().catch((error: unknown) => {
    ctx.log.warn({ err: error }, 'the bytes of a refused upload cannot be removed');
  });
}

function receivedUpload(
  ctx: EngineContext,
  writer: BlobWriter,
  blob: BlobRef,
  firstLine: FirstLine,
): ReceivedUpload {
  const storeWith: ReceivedUpload['storeWith'] = async (options, insert) => {
    try {
      const file = newUploadedFile(ctx, blob, firstLine, options);
      return await publishBlob(ctx, writer, blob, () => insert(file));
    } catch (error) {
      await discard(ctx, writer);
      throw storageError(error);
    }
  };
  return {
    blob,
    discard: () => discard(ctx, writer),
    storeWith,
    store: async (options) =>
      await storeWith(options, async (file) => {
        const result = await ctx.store.insertFile(file, await ctx.owners.limits(file.owner));
        if (result.kind === 'over_limit') throw overLimitError(file.owner, result);
        return file;
      }),
  };
}

/**
 * Publishes a sealed blob and inserts what names it, as one step for everybody who removes blobs. An EngineError of `insert`
 * says that nothing was inserted.
 */
export async function publishBlob<T>(
  ctx: EngineContext,
  writer: BlobWriter,
  blob: BlobRef,
  insert: () => Promise<T>,
): Promise<T> {
  try {
    return await ctx.blobLock.run(blob.key, async () => {
      await writer.publish();
      return await insert();
    });
  } catch (error) {
    // Refused, so that it is certain that no row came to name the blob.
    if (error instanceof EngineError) await removeRefusedBlob(ctx, blob);
    else await removeRefusedBlobs(ctx, [blob], error);
    throw error;
  }
}

/** The row of a file with these bytes. Throws where the purpose does not allow them, or the expiry is out of bounds. */
export function newUploadedFile(
  ctx: EngineContext,
  blob: BlobRef,
  firstLine: FirstLine,
  options: StoreUploadOptions,
): FileRecord {
  const purpose = checkPurpose(options.purpose);
  if (purpose === 'batch') {
    if (firstLine === 'empty' || firstLine === 'not_json') {
      throw new EngineError('invalid_file', 'Invalid file format for Batch API. Must be .jsonl');
    }
    const maxBytes = options.maxBatchBytes ?? ctx.settings.maxBatchBytes;
    if (blob.bytes > maxBytes) {
      throw new EngineError(
        'too_large',
        `The file is larger than the limit for purpose 'batch': ${blob.bytes} bytes, but at most ${maxBytes} are allowed.`,
        { param: 'file' },
      );
    }
  }
  const seconds = options.expiresAfterSeconds ?? (purpose === 'batch' ? BATCH_FILE_EXPIRY_SECONDS : null);
  if (seconds !== null) {
    checkIntegerRange('expires_after.seconds', seconds, MIN_EXPIRY_SECONDS, MAX_EXPIRY_SECONDS);
  }
  const createdAt = ctx.clock.now();
  const latest = Math.max(createdAt, ctx.clock.wall());
  return {
    id: newFileId(),
    owner: options.owner,
    purpose,
    filename: options.filename,
    blob,
    createdAt,
    expiresAt: seconds === null ? null : latest + seconds * 1000,
  };
}

/** Throws `invalid_purpose` where files cannot be uploaded for it. */
export function checkPurpose(purpose: string): UploadPurpose {
  const known = UPLOAD_PURPOSES.find((candidate) => candidate === purpose);
  if (known !== undefined) return known;
  const list = UPLOAD_PURPOSES.map((name) => `'${name}'`).join(', ');
  throw new EngineError('invalid_purpose', `'${purpose}' is not one of [${list}] - 'purpose'`, {
    param: 'purpose',
  });
}

/** The file, or `file_not_found` (unknown, another owner's and expired ones alike). */
export async function getFile(ctx: EngineContext, owner: string, id: string): Promise<FileRecord> {
  const file = await ctx.store.getFile(owner, id, ctx.clock.now());
  if (file === null) throw fileNotFound(id);
  return file;
}

export interface ListFilesRequest {
  readonly owner: string;
  readonly purpose?: FilePurpose | undefined;
  readonly order: 'asc' | 'desc';
  readonly after?: string | undefined;
  /** 1…10000. */
  readonly limit: number;
}

/** A page of the owner's files. Rejects with `above_maximum`, `below_minimum`, or `file_not_found` for an unknown `after`. */
export async function listFiles(ctx: EngineContext, request: ListFilesRequest): Promise<Page<FileRecord>> {
  checkIntegerRange('limit', request.limit, 1, 10_000);
  const query: FileQuery = { ...request, now: ctx.clock.now() };
  const page = await ctx.store.listFiles(query);
  if (page === null) throw fileNotFound(request.after ?? '');
  return page;
}

/** Removes the file, and its bytes where no other file shares them. `conflict` where a live batch reads it. */
export async function deleteFile(ctx: EngineContext, owner: string, id: string): Promise<void> {
  const result = await ctx.store.deleteFile(owner, id, ctx.clock.now());
  if (result.kind === 'missing') throw fileNotFound(id);
  if (result.kind === 'in_use') {
    throw new EngineError(
      'conflict',
      `The file '${id}' is the input of batch '${clientBatchId(result.batch)}', which has not ended. Cancel the batch or wait for its end before deleting the file.`,
      { param: 'id' },
    );
  }
  // The file is gone, whether its bytes go now or with the next sweep.
  await removeUnusedBlob(ctx, result.blob.key).catch((error: unknown) => {
    ctx.log.warn({ err: error, fileId: id }, 'the bytes of a deleted file cannot be removed');
  });
}

/** Removes a blob unless a file row or a live batch names it; answers whether it was removed. */
export async function removeUnusedBlob(ctx: EngineContext, key: string): Promise<boolean> {
  return await ctx.blobLock.run(key, async () => {
    if (await ctx.store.blobInUse(key)) return false;
    await ctx.blobs.delete(key);
    return true;
  });
}

/** Removes published bytes that became neither part nor file; what cannot be removed is the sweep's. Never rejects. */
export async function removeRefusedBlob(ctx: EngineContext, { key }: BlobRef): Promise<void> {
  await removeUnusedBlob(ctx, key).catch((error: unknown) => {
    ctx.log.warn({ err: error }, 'the bytes of a refused upload cannot be removed');
  });
}

/**
 * Where the disk was too full for the row that was to name published blobs, they must not take room until the next
 * sweep. After another failure they stay that long: power loss may bring back a row whose commit failed.
 */
export async function removeRefusedBlobs(
  ctx: EngineContext,
  blobs: readonly (BlobRef | null)[],
  error: unknown,
): Promise<void> {
  const cause = storageError(error);
  if (!(cause instanceof EngineError) || cause.code !== 'out_of_space') return;
  for (const blob of blobs) {
    // Of the two failures the first one is told.
    if (blob !== null) await removeUnusedBlob(ctx, blob.key).catch(() => false);
  }
}

/** Streams a file's bytes, [start, end) or all of them. Rejects with `unavailable` where storage fails. */
export async function* readFile(
  ctx: EngineContext,
  file: FileRecord,
  range?: { readonly start: number; readonly end: number },
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* ctx.blobs.read(file.blob.key, range);
  } catch (cause) {
    throw storageError(cause);
  }
}

function fileNotFound(id: string): EngineError {
  return new EngineError('file_not_found', `No such File object: ${id}`, { param: 'id' });
}

/** Throws what failing storage means to a client. */
export function rethrowAsStorage(cause: unknown): never {
  throw storageError(cause);
}
