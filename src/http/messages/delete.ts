import { clientBatchId, EngineError, isTerminal } from '../../engine/index.ts';
import type { Batch, Engine } from '../../engine/index.ts';
import { HttpError } from '../errors.ts';

/**
 * Removes an ended batch with its files. The files go first: what breaks off can be repeated then, where the files of a batch
 * that is gone would stay for ever.
 */
export async function deleteMessageBatch(engine: Engine, batch: Batch): Promise<void> {
  const { owner, id, inputFileId, outputFileId, errorFileId } = batch;
  if (!isTerminal(batch.status)) {
    throw new HttpError(
      400,
      `Message Batch '${clientBatchId(batch)}' cannot be deleted: its processing has not ended. Cancel it first.`,
    );
  }
  for (const fileId of [inputFileId, outputFileId, errorFileId]) {
    if (fileId !== null) await engine.files.delete(owner, fileId).catch(passIfGone);
  }
  await engine.batches.delete(owner, id).catch(passIfGone);
}

/** Gone already, or read by another batch that somebody made of the same file. */
function passIfGone(error: unknown): void {
  if (!(error instanceof EngineError)) throw error;
  if (!['file_not_found', 'batch_not_found', 'conflict'].includes(error.code)) throw error;
}
