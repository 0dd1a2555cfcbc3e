/** What the API offers on uploads: one verb a function. `complete-upload.ts` has the last one. */
import { createHash } from 'node:crypto';
import type { EngineContext } from '../context.ts';
import { EngineError, storageError } from '../errors.ts';
import { MAX_EXPIRY_SECONDS, MIN_EXPIRY_SECONDS } from './file.ts';
import {
  checkPurpose,
  discard,
  removeRefusedBlob,
  removeRefusedBlobs,
  removeUnusedBlob,
  rethrowAsStorage,
} from './files.ts';
import { overLimitError } from '../owners/owner-room.ts';
import type { BlobWriter } from '../ports.ts';
import { MAX_PART_BYTES, MAX_PARTS, newPartId, newUploadId, UPLOAD_LIFETIME_MS } from './upload.ts';
import type { UploadPart, UploadRecord } from './upload.ts';
import type { AddPartResult, UploadChange } from './upload-store.ts';
import { checkIntegerRange } from '../values.ts';

export interface CreateUploadRequest {
  readonly owner: string;
  readonly filename: string;
  /** One of UPLOAD_PURPOSES, else `invalid_purpose`. */
  readonly purpose: string;
  /** What the parts will have in all: at most `maxUploadBytes`, and for purpose `batch` at most `maxBatchBytes`. */
  readonly bytes: number;
  /** 3600…2592000, from the file's creation; default: 30 days for purpose `batch`, else for ever. */
  readonly expiresAfterSeconds?: number | null | undefined;
}

/** Begins an upload (`pending`), durably. Rejects with an EngineError that names the field at fault. */
export async function createUpload(ctx: EngineContext, request: CreateUploadRequest): Promise<UploadRecord> {
  const purpose = checkPurpose(request.purpose);
  checkIntegerRange('bytes', request.bytes, 0, ctx.settings.maxUploadBytes);
  const { maxBatchBytes } = ctx.settings;
  if (purpose === 'batch' && request.bytes > maxBatchBytes) {
    // Now rather than when all of them have come.
    throw new EngineError(
      'above_maximum',
      `Invalid 'bytes': integer above maximum value for purpose 'batch'. Expected a value <= ${maxBatchBytes}, but got ${request.bytes} instead.`,
      { param: 'bytes' },
    );
  }
  const seconds = request.expiresAfterSeconds ?? null;
  if (seconds !== null) {
    checkIntegerRange('expires_after.seconds', seconds, MIN_EXPIRY_SECONDS, MAX_EXPIRY_SECONDS);
  }
  const now = ctx.clock.now();
  const upload: UploadRecord = {
    id: newUploadId(),
    owner: request.owner,
    filename: request.filename,
    purpose,
    bytes: request.bytes,
    expiresAfterSeconds: seconds,
    createdAt: now,
    expiresAt: Math.max(now, ctx.clock.wall()) + UPLOAD_LIFETIME_MS,
    status: 'pending',
    fileId: null,
  };
  const result = await ctx.store.insertUpload(upload, await ctx.owners.limits(upload.owner));
  if (result.kind === 'over_limit') throw overLimitError(upload.owner, result);
  return upload;
}

/** Bytes that are safely stored but are no part yet: `store` or `discard` them. */
export interface ReceivedPart {
  /** Makes them a part. Discards them where it rejects. */
  store(): Promise<UploadPart>;
  discard(): Promise<void>;
}

/**
 * Streams `source` into the blob store without holding it. Rejects where the upload cannot take a part
 * (`upload_not_found`, `upload_expired`, `upload_not_pending`), with `invalid_value` above MAX_PART_BYTES or the bytes that
 * the upload was created for, and as `receiveUpload` where storage or the source fails; nothing is left behind then.
 */
export async function receivePart(
  ctx: EngineContext,
  { owner, id }: { readonly owner: string; readonly id: string },
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<ReceivedPart> {
  const now = ctx.clock.now();
  const upload = await findPending(ctx, { owner, id, now }, ADD_A_PART).catch(rethrowAsStorage);
  const writer = await ctx.blobs.create().catch(rethrowAsStorage);
  try {
    let bytes = 0;
    const hash = createHash('sha256');
    for await (const piece of source) {
      bytes += piece.length;
      checkPartBytes(upload, bytes);
      hash.update(piece);
      await writer.write(piece).catch(rethrowAsStorage);
    }
    const blob = await writer.seal().catch(rethrowAsStorage);
    const part = { id: newPartId(), uploadId: id, blob, sha256: hash.digest('hex') };
    return {
      store: () => storePart(ctx, owner, writer, part),
      discard: () => discard(ctx, writer),
    };
  } catch (error) {
    await discard(ctx, writer);
    throw error;
  }
}

function checkPartBytes(upload: UploadRecord, bytes: number): void {
  if (bytes > MAX_PART_BYTES) throw partTooLarge(`at least ${bytes} bytes were sent`);
  if (bytes > upload.bytes) throw tooManyBytes(upload, bytes);
}

/** A part over the limit; `found` says what was seen of it. */
export function partTooLarge(found: string): EngineError {
  return invalidData(`the part is larger than the limit of ${MAX_PART_BYTES} bytes (${found})`);
}

function tooManyBytes(upload: UploadRecord, bytes: number): EngineError {
  return invalidData(
    `with this part the upload would have ${bytes} bytes, but it was created for ${upload.bytes} bytes`,
  );
}

function invalidData(reason: string): EngineError {
  return new EngineError('invalid_value', `Invalid 'data': ${reason}.`, { param: 'data' });
}

/** Publishes the blob and inserts the row that names it, as one step for everybody who removes blobs. */
async function storePart(
  ctx: EngineContext,
  owner: string,
  writer: BlobWriter,
  fields: Omit<UploadPart, 'createdAt'>,
): Promise<UploadPart> {
  const { blob } = fields;
  const part: UploadPart = { ...fields, createdAt: ctx.clock.now() };
  try {
    const limits = await ctx.owners.limits(owner);
    const result = await ctx.blobLock.run(blob.key, async () => {
      await writer.publish();
      return await ctx.store.addUploadPart(owner, part, limits);
    });
    const isNamed = result.kind === 'ok' && result.blob.key === blob.key;
    if (!isNamed) await removeRefusedBlob(ctx, blob);
    if (result.kind === 'ok') return { ...part, blob: result.blob };
    throw partRefusal(owner, part, result);
  } catch (error) {
    await discard(ctx, writer);
    await removeRefusedBlobs(ctx, [blob], error);
    throw storageError(error);
  }
}

function partRefusal(
  owner: string,
  part: UploadPart,
  result: Exclude<AddPartResult, { kind: 'ok' }>,
): EngineError {
  if (result.kind === 'over_limit') return overLimitError(owner, result);
  if (result.kind !== 'full') return uploadRefusal(part.uploadId, result, ADD_A_PART);
  if (result.parts >= MAX_PARTS)
    return invalidData(`the upload has ${result.parts} parts, the most it can have`);
  return tooManyBytes(result.upload, result.partBytes + part.blob.bytes);
}

/** Cancels a pending upload and removes its bytes. `upload_not_found`, `upload_expired`, `upload_not_pending`. */
export async function cancelUpload(ctx: EngineContext, owner: string, id: string): Promise<UploadRecord> {
  const result = await ctx.store.cancelUpload(owner, id, ctx.clock.now());
  if (result.kind !== 'ok') throw uploadRefusal(id, result, 'cancel');
  await freeEndedParts(ctx);
  return result.upload;
}

const PARTS_A_STEP = 100;

/** Removes the parts of ended uploads, and their bytes where nothing else shares them. Stops early where `signal` aborts. */
export async function removeEndedParts(ctx: EngineContext, signal?: AbortSignal): Promise<void> {
  for (;;) {
    signal?.throwIfAborted();
    const blobs = await ctx.store.removeUploadParts(PARTS_A_STEP);
    if (blobs.length === 0) return;
    for (const { key } of blobs) {
      signal?.throwIfAborted();
      await removeUnusedBlob(ctx, key);
    }
  }
}

/** At an upload's end. Never rejects: what the client asked for has happened, and the janitor removes what is left. */
export async function freeEndedParts(ctx: EngineContext): Promise<void> {
  await removeEndedParts(ctx).catch((error: unknown) => {
    ctx.log.warn({ err: error }, 'the parts of an ended upload cannot be removed');
  });
}

const ADD_A_PART = 'add a part to';

/** The upload, if it is pending at `now`; else why it cannot be `verb`ed. */
export async function findPending(
  ctx: EngineContext,
  { owner, id, now }: { readonly owner: string; readonly id: string; readonly now: number },
  verb: string,
): Promise<UploadRecord> {
  const upload = await ctx.store.getUpload(owner, id, now);
  if (upload === null) throw uploadRefusal(id, { kind: 'missing' }, verb);
  if (upload.status !== 'pending') throw uploadRefusal(id, { kind: 'refused', upload }, verb);
  return upload;
}

/** Why an upload cannot be `verb`ed (`cancel`, `complete`, …). */
export function uploadRefusal(
  id: string,
  result: Exclude<UploadChange, { kind: 'ok' }>,
  verb: string,
): EngineError {
  if (result.kind === 'missing') {
    return new EngineError('upload_not_found', `No such Upload object: ${id}`, { param: 'id' });
  }
  const { status, fileId, expiresAt } = result.upload;
  if (status === 'expired') {
    const time = new Date(expiresAt).toISOString();
    return new EngineError('upload_expired', `The upload '${id}' has expired at ${time}. Create a new one.`);
  }
  const file = fileId === null ? '' : ` Its file is '${fileId}'.`;
  return new EngineError('upload_not_pending', `Cannot ${verb} an upload with status '${status}'.${file}`);
}
