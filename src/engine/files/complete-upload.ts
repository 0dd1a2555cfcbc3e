/** The end of an upload: its parts become a file. */
import { KeyLock } from '../key-lock.ts';
import type { EngineContext } from '../context.ts';
import { EngineError } from '../errors.ts';
import type { FileRecord } from './file.ts';
import { newUploadedFile, removeRefusedBlob, removeRefusedBlobs } from './files.ts';
import { joinParts } from './join-parts.ts';
import type { JoinedParts } from './join-parts.ts';
import { overLimitError } from '../owners/owner-room.ts';
import { arrangeParts } from './upload.ts';
import type { UploadRecord } from './upload.ts';
import { findPending, freeEndedParts, uploadRefusal } from './uploads.ts';

export interface CompleteUploadRequest {
  readonly owner: string;
  readonly id: string;
  /** In the order in which they make the file. */
  readonly partIds: readonly string[];
  /** Of the whole file, 32 hex digits. */
  readonly md5?: string | null | undefined;
  /** Gives it up, with the signal's reason; the upload stays pending then. */
  readonly signal?: AbortSignal | undefined;
}

export interface CompletedUpload {
  readonly upload: UploadRecord;
  readonly file: FileRecord;
}

const COMPLETE = 'complete';

/**
 * Builds the verb that joins the parts of an upload and makes their file, as an upload in one piece does. Rejects with
 * `upload_not_found`, `upload_expired`, `upload_not_pending`, with `invalid_value` where the parts are not those of the file
 * that was announced, and as the file's purpose demands; the upload stays pending then, with its parts. One
 * transaction completes it and inserts the file, so a crash leaves either the one or the other.
 */
export function createCompletion(
  ctx: EngineContext,
): (request: CompleteUploadRequest) => Promise<CompletedUpload> {
  /** By upload: of two calls at once the second one shall not copy everything in vain. */
  const underWay = new KeyLock();

  return async (request) => {
    const now = ctx.clock.now();
    const md5 = checkMd5(request.md5 ?? null);
    const completed = await underWay.run(request.id, () => complete(ctx, { ...request, md5, now }));
    ctx.log.info(
      {
        uploadId: request.id,
        owner: request.owner,
        fileId: completed.file.id,
        bytes: completed.file.blob.bytes,
      },
      'upload completed',
    );
    await freeEndedParts(ctx);
    return completed;
  };
}

interface Completion extends CompleteUploadRequest {
  /** In lower case. */
  readonly md5: string | null;
  /** When it was asked for. */
  readonly now: number;
}

async function complete(ctx: EngineContext, request: Completion): Promise<CompletedUpload> {
  const upload = await findPending(ctx, request, COMPLETE);
  const joined = await join(ctx, upload, request).catch(async (error: unknown) => {
    // A cancel in the middle removes the parts that are being read.
    await findPending(ctx, request, COMPLETE);
    throw error;
  });
  try {
    compareMd5(request.md5, joined.md5);
    return await publishFile(ctx, request, joined, newFile(ctx, upload, joined));
  } catch (error) {
    await joined.discard();
    await removeRefusedBlobs(ctx, [joined.blob], error);
    throw error;
  }
}

async function join(
  ctx: EngineContext,
  upload: UploadRecord,
  { partIds, md5, signal }: Completion,
): Promise<JoinedParts> {
  const stored = await ctx.store.readUploadParts(upload.id);
  return await joinParts(ctx, { parts: arrangeParts(upload, stored, partIds), md5: md5 !== null, signal });
}

function newFile(ctx: EngineContext, upload: UploadRecord, { blob, firstLine }: JoinedParts): FileRecord {
  const { owner, filename, purpose } = upload;
  const expiresAfterSeconds = upload.expiresAfterSeconds ?? undefined;
  return newUploadedFile(ctx, blob, firstLine, { owner, filename, purpose, expiresAfterSeconds });
}

/** Publishes the blob, inserts the file that names it and ends the upload, as one step for everybody who removes blobs. */
async function publishFile(
  ctx: EngineContext,
  { owner, id, now }: Completion,
  joined: JoinedParts,
  file: FileRecord,
): Promise<CompletedUpload> {
  const limits = await ctx.owners.limits(owner);
  const result = await ctx.blobLock.run(file.blob.key, async () => {
    await joined.publish();
    return await ctx.store.completeUpload(owner, id, now, file, limits);
  });
  if (result.kind === 'ok') return { upload: result.upload, file };
  await removeRefusedBlob(ctx, joined.blob);
  if (result.kind === 'over_limit') throw overLimitError(owner, result);
  throw uploadRefusal(id, result, COMPLETE);
}

/** The digits in lower case; throws `invalid_value` for what is no MD5. */
function checkMd5(md5: string | null): string | null {
  if (md5 !== null && !/^[0-9a-f]{32}$/i.test(md5)) {
    throw new EngineError(
      'invalid_value',
      `Invalid 'md5': expected 32 hexadecimal digits, but got '${md5.slice(0, 64)}'.`,
      {
        param: 'md5',
      },
    );
  }
  return md5?.toLowerCase() ?? null;
}

function compareMd5(given: string | null, found: string | null): void {
  if (given === found) return;
  throw new EngineError(
    'invalid_value',
    `Invalid 'md5': the parts have '${found}', but '${given}' was given.`,
    {
      param: 'md5',
    },
  );
}
