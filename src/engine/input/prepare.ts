import type { Batch, BatchError } from '../batches/batch.ts';
import { ChunkCutter } from './chunk-cutter.ts';
import type { EngineContext } from '../context.ts';
import { newBatchEvent } from '../webhooks/events.ts';
import type { FileRecord } from '../files/file.ts';
import { BlobMissingError } from '../errors.ts';
import { queuedLinesFault } from '../owners/owner-room.ts';
import type { BatchStep } from '../ports.ts';
import { validateFile } from './validate-file.ts';
import type { ValidationResult } from './validate.ts';

/**
 * validating → in_progress with its chunks, or failed with the faults of its input file. Reads the input once,
 * as a stream. Rejects where storage fails or `signal` aborts; the step is then to be released and tried again.
 */
export async function prepareBatch(ctx: EngineContext, step: BatchStep, signal: AbortSignal): Promise<void> {
  const { batch } = step;
  const file = await ctx.store.getFile(batch.owner, batch.inputFileId, ctx.clock.now());
  if (file === null) return await fail(ctx, step, [fileNotFound(batch)]);
  if (file.purpose !== 'batch') return await fail(ctx, step, [wrongPurpose(file)]);

  const cutter = new ChunkCutter();
  const result = await validateInput(ctx, step, file, cutter, signal);
  if (result === 'missing') return await fail(ctx, step, [fileNotFound(batch)]);
  if (result.errors.length > 0) return await fail(ctx, step, result.errors);
  await start(ctx, step, file, result, cutter);
}

async function validateInput(
  ctx: EngineContext,
  step: BatchStep,
  file: FileRecord,
  cutter: ChunkCutter,
  signal: AbortSignal,
): Promise<ValidationResult | 'missing'> {
  try {
    return await validateFile(ctx, file, step.batch, { onLine: (line) => cutter.add(line), signal });
  } catch (error) {
    if (error instanceof BlobMissingError) return 'missing';
    throw error;
  }
}

async function start(
  ctx: EngineContext,
  step: BatchStep,
  file: FileRecord,
  result: ValidationResult,
  cutter: ChunkCutter,
): Promise<void> {
  const now = ctx.clock.now();
  const [model, ...others] = result.models.keys();
  const chunks = cutter.finish();
  const started = await ctx.store.startBatch({
    batchId: step.batch.id,
    epoch: step.epoch,
    now,
    input: file.blob,
    model: others.length === 0 ? (model ?? null) : null,
    chunks,
    event: newBatchEvent(ctx.settings, 'batch.in_progress', step.batch, now),
    // Lines that are known since the create have had their room since then.
    limits: step.batch.counts.total > 0 ? undefined : await ctx.owners.limits(step.batch.owner),
  });
  if (typeof started === 'object') {
    return await fail(ctx, step, [queuedLinesFault(step.batch.owner, started)]);
  }
  ctx.log.info(
    { batchId: step.batch.id, lines: result.lines, bytes: result.bytes, chunks: chunks.length, started },
    'batch validated',
  );
}

async function fail(ctx: EngineContext, step: BatchStep, errors: readonly BatchError[]): Promise<void> {
  const now = ctx.clock.now();
  const failed = await ctx.store.failBatch({
    batchId: step.batch.id,
    epoch: step.epoch,
    now,
    errors,
    event: newBatchEvent(ctx.settings, 'batch.failed', step.batch, now),
  });
  ctx.log.info({ batchId: step.batch.id, errors: errors.length, failed }, 'batch failed validation');
}

/** The official message, so that an unknown and another owner's file cannot be told apart. */
function fileNotFound(batch: Batch): BatchError {
  return {
    code: 'invalid_request',
    message: `Cannot find file ${batch.inputFileId}, or organization ${batch.owner} does not have access to it.`,
    param: 'file_id',
    line: null,
  };
}

/** The fault of a file that was not uploaded to be the input of a batch. */
export function wrongPurpose(file: FileRecord): BatchError {
  return {
    code: 'invalid_request',
    message: `The file ${file.id} has the purpose '${file.purpose}'. The input of a batch must be uploaded with the purpose 'batch'.`,
    param: 'file_id',
    line: null,
  };
}
