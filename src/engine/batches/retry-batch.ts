/** A new batch of the lines of an ended one that failed. */
import { isTerminal } from './batch.ts';
import type { Batch } from './batch.ts';
import { draftBatch, getBatch, MAX_METADATA_PAIRS } from './batches.ts';
import type { CreateBatchRequest } from './batches.ts';
import type { EngineContext } from '../context.ts';
import { EngineError } from '../errors.ts';
import { BATCH_FILE_EXPIRY_SECONDS, newFileId } from '../files/file.ts';
import type { BlobRef, FileRecord } from '../files/file.ts';
import { publishBlob, removeUnusedBlob } from '../files/files.ts';
import { checkRoom } from '../owners/owner-room.ts';
import type { BlobWriter, IdempotencyKey } from '../ports.ts';
import { writeFailedLines } from './retry-input.ts';
import { findReplay, submitBatch } from './submit.ts';
import type { SubmittedBatch } from './submit.ts';

/** The member of the new batch's metadata that holds the id of the old one. */
const RETRY_OF = 'retry_of';

export interface RetryBatchRequest {
  readonly owner: string;
  readonly batchId: string;
  /** What is left out is as in the old batch. */
  readonly metadata?: CreateBatchRequest['metadata'];
  readonly completionWindow?: string | null | undefined;
  readonly priority?: number | null | undefined;
  readonly webhookUrl?: string | null | undefined;
  readonly restrictions?: CreateBatchRequest['restrictions'];
  readonly once?: IdempotencyKey | null | undefined;
  /** Ends the work; nothing is created then. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Creates a batch of those lines of an ended batch that have a line in its error file: with an input file of its own, and
 * `retry_of` in its metadata. The file and the batch become true together. Rejects with `conflict` for a live batch,
 * `invalid_value` where no line failed or ran, `file_not_found` where a file of the old batch is gone, `too_many_properties`
 * where the metadata has no room, and as `createBatch` and `createBatchOnce`.
 */
export async function retryBatch(ctx: EngineContext, request: RetryBatchRequest): Promise<SubmittedBatch> {
  const { owner, once = null } = request;
  const known = await findReplay(ctx, owner, once);
  if (known !== null) return known;
  const old = await getBatch(ctx, owner, request.batchId);
  checkRetryable(old);
  const create = newRequest(old, request);
  // What is wrong with the request is told before files are read.
  draftBatch(ctx, create);
  await checkRoom(ctx, owner, { storedBytes: 1, queuedLines: 1, liveBatches: 1 });
  const files = await findFiles(ctx, old);
  const writer = await ctx.blobs.create();
  try {
    const blob = await writeFailedLines(ctx, files, writer, request.signal).catch(async (error: unknown) => {
      // A file that is deleted meanwhile is no failure of the storage.
      await findFiles(ctx, old);
      throw error;
    });
    return await publishRetry(ctx, { writer, blob, old, create, once });
  } catch (error) {
    // Of two failures the first one is told; the next start removes what is left.
    await writer.discard().catch(() => {});
    throw error;
  }
}

function checkRetryable(old: Batch): void {
  if (!isTerminal(old.status)) {
    throw new EngineError('conflict', `Cannot retry a batch with status '${old.status}'.`);
  }
  const refuse = (message: string): never => {
    throw new EngineError('invalid_value', message, { param: 'batch_id' });
  };
  if (old.status === 'failed') {
    refuse(
      `The batch '${old.id}' failed its validation: none of its lines ran. Fix its input file and create a new batch.`,
    );
  }
  if (old.errorFileId === null) refuse(`The batch '${old.id}' has no failed lines to retry.`);
}

/** What is to be created; its input file is yet to be made. */
function newRequest(old: Batch, request: RetryBatchRequest): CreateBatchRequest {
  return {
    owner: old.owner,
    inputFileId: newFileId(),
    endpoint: old.endpoint,
    completionWindow: request.completionWindow ?? old.completionWindow,
    metadata: retryMetadata(old, request.metadata ?? old.metadata ?? {}),
    outputExpiresAfterSeconds: old.outputExpiresAfterSeconds,
    priority: request.priority ?? old.priority,
    webhookUrl: request.webhookUrl ?? old.webhookUrl,
    restrictions: request.restrictions,
  };
}

function retryMetadata(
  old: Batch,
  metadata: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const others = Object.keys(metadata).filter((name) => name !== RETRY_OF).length;
  if (others < MAX_METADATA_PAIRS) return { ...metadata, [RETRY_OF]: old.id };
  throw new EngineError(
    'too_many_properties',
    `Invalid 'metadata': too many properties. A retry adds '${RETRY_OF}', so expected an object with at most ${MAX_METADATA_PAIRS - 1} others, but got ${others} instead.`,
    { param: 'metadata' },
  );
}

/** The files of the old batch. `file_not_found` where one of them was deleted or has expired. */
async function findFiles(
  ctx: EngineContext,
  old: Batch,
): Promise<{ readonly input: FileRecord; readonly errors: FileRecord }> {
  const find = async (kind: 'input' | 'error', id: string): Promise<FileRecord> => {
    const file = await ctx.store.getFile(old.owner, id, ctx.clock.now());
    if (file !== null) return file;
    throw new EngineError(
      'file_not_found',
      `The ${kind} file '${id}' of the batch '${old.id}' was deleted or has expired, so its failed lines cannot be retried.`,
      { param: `${kind}_file_id` },
    );
  };
  return {
    input: await find('input', old.inputFileId),
    errors: await find('error', old.errorFileId as string),
  };
}

/** Makes the written lines a file and creates its batch, as one step for everybody who removes blobs. */
async function publishRetry(
  ctx: EngineContext,
  retry: {
    readonly writer: BlobWriter;
    readonly blob: BlobRef;
    readonly old: Batch;
    readonly create: CreateBatchRequest;
    readonly once: IdempotencyKey | null;
  },
): Promise<SubmittedBatch> {
  const { writer, blob, old, create, once } = retry;
  const batch = draftBatch(ctx, create);
  const inputFile = newInputFile(ctx, old, batch, blob);
  const submitted = await publishBlob(
    ctx,
    writer,
    blob,
    async () => await submitBatch(ctx, { batch, inputFile, once }),
  );
  if (submitted.replayed) await removeUnusedBlob(ctx, blob.key).catch(() => false);
  return submitted;
}

function newInputFile(ctx: EngineContext, old: Batch, batch: Batch, blob: BlobRef): FileRecord {
  const { createdAt } = batch;
  // As with uploads: it must not be over when a doubted clock is believed.
  const latest = Math.max(createdAt, ctx.clock.wall());
  return {
    id: batch.inputFileId,
    owner: batch.owner,
    purpose: 'batch',
    filename: `${old.id}_retry.jsonl`,
    blob,
    createdAt,
    expiresAt: latest + BATCH_FILE_EXPIRY_SECONDS * 1000,
  };
}
