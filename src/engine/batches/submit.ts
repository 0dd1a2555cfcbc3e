/** Creates that a client may repeat under an idempotency key, and those that make the input file of their batch. */
import { inputLimits } from './batch-format.ts';
import type { Batch } from './batch.ts';
import { announceBatch, draftBatch } from './batches.ts';
import type { CreateBatchRequest } from './batches.ts';
import type { EngineContext } from '../context.ts';
import { EngineError } from '../errors.ts';
import { newBatchEvent } from '../webhooks/events.ts';
import type { FileRecord } from '../files/file.ts';
import type { ReceivedUpload } from '../files/files.ts';
import { overLimitError } from '../owners/owner-room.ts';
import type { IdempotencyKey, RememberedSubmission } from '../ports.ts';

/** A key is remembered for so long, milliseconds. */
const KEY_LIFE_MS = 24 * 3_600_000;

/** Keys that were used at or before the answer are forgotten. Milliseconds since 1970. */
export function forgottenUntil(now: number): number {
  return now - KEY_LIFE_MS;
}

export interface SubmittedBatch {
  /** As it was when it was created. */
  readonly batch: Batch;
  /** True: an earlier request with this key created it. */
  readonly replayed: boolean;
}

/**
 * Creates a batch as `createBatch` does, but no second one for a key that the owner used with the same request within
 * 24 hours: what was created then is answered. `conflict` where the key was used with another request, `invalid_value`
 * where it is none. A request that was refused is not remembered.
 */
export async function createBatchOnce(
  ctx: EngineContext,
  request: CreateBatchRequest,
  once: IdempotencyKey,
): Promise<SubmittedBatch> {
  const known = await findReplay(ctx, request.owner, once);
  return known ?? (await submitBatch(ctx, { batch: draftBatch(ctx, request), inputFile: null, once }));
}

/** What the key has created already, or null. For a start: whether it is so is decided by `submitBatch`. */
export async function findReplay(
  ctx: EngineContext,
  owner: string,
  once: IdempotencyKey | null,
): Promise<SubmittedBatch | null> {
  if (once === null) return null;
  checkKey(once.key);
  const remembered = await ctx.store.findSubmission(owner, once.key, forgottenUntil(ctx.clock.now()));
  return remembered === null ? null : replay(remembered, once);
}

export interface SubmitUploadRequest extends Omit<CreateBatchRequest, 'inputFileId'> {
  /** Of the input file. */
  readonly filename: string;
}

/**
 * Creates a batch over an upload, which becomes its input file: both become true together. Rejects as `ReceivedUpload.store` and
 * `createBatch` do; the upload is discarded then.
 */
export async function submitUpload(
  ctx: EngineContext,
  upload: ReceivedUpload,
  { filename, ...request }: SubmitUploadRequest,
): Promise<Batch> {
  const { maxBytes: maxBatchBytes } = inputLimits(ctx.settings, request.format ?? 'openai');
  const options = { owner: request.owner, filename, purpose: 'batch', maxBatchBytes };
  return await upload.storeWith(options, async (inputFile) => {
    const batch = draftBatch(ctx, { ...request, inputFileId: inputFile.id });
    return (await submitBatch(ctx, { batch, inputFile, once: null })).batch;
  });
}

/** Stores the batch, the file that was made for it and the key in one step; nothing of it where the key is known. */
export async function submitBatch(
  ctx: EngineContext,
  submission: {
    readonly batch: Batch;
    readonly inputFile: FileRecord | null;
    readonly once: IdempotencyKey | null;
  },
): Promise<SubmittedBatch> {
  const { batch, once } = submission;
  const result = await ctx.store.submitBatch({
    ...submission,
    event: newBatchEvent(ctx.settings, 'batch.queued', batch, batch.createdAt),
    forgetUntil: forgottenUntil(batch.createdAt),
    limits: await ctx.owners.limits(batch.owner),
  });
  if (result.kind === 'over_limit') throw overLimitError(batch.owner, result);
  if (result.kind === 'known') return replay(result.remembered, once as IdempotencyKey);
  announceBatch(ctx, batch);
  return { batch, replayed: false };
}

function replay({ fingerprint, batch }: RememberedSubmission, once: IdempotencyKey): SubmittedBatch {
  if (fingerprint === once.fingerprint) return { batch, replayed: true };
  throw new EngineError(
    'conflict',
    `The Idempotency-Key '${once.key}' was used with another request within the last 24 hours.`,
    { param: 'Idempotency-Key' },
  );
}

function checkKey(key: string): void {
  if (/^[\x21-\x7e]{1,255}$/.test(key)) return;
  throw new EngineError(
    'invalid_value',
    "Invalid 'Idempotency-Key': expected 1 to 255 visible ASCII characters.",
    { param: 'Idempotency-Key' },
  );
}
