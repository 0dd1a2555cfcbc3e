import { refusalByKey } from '../owners/api-key.ts';
import { inputLimits } from '../batches/batch-format.ts';
import type { Batch } from '../batches/batch.ts';
import type { EngineContext } from '../context.ts';
import type { FileRecord } from '../files/file.ts';
import { validateJsonl } from './validate.ts';
import type { ValidationResult, ValidLine } from './validate.ts';

/**
 * Checks a file as the input of a batch, by the rules of the settings, as a stream. Rejects where storage fails
 * (`BlobMissingError` where the bytes are gone) or `signal` aborts.
 */
export async function validateFile(
  ctx: EngineContext,
  file: FileRecord,
  { endpoint, allowedModels, format }: Pick<Batch, 'endpoint' | 'allowedModels' | 'format'>,
  options: { readonly onLine: (line: ValidLine) => void; readonly signal: AbortSignal | undefined },
): Promise<ValidationResult> {
  const { settings, upstream } = ctx;
  return await validateJsonl(
    abortable(ctx.blobs.read(file.blob.key), options.signal),
    {
      endpoint,
      ...inputLimits(settings, format),
      maxLineBytes: settings.maxLineBytes,
      oneModel: settings.oneModelPerBatch,
      refusesModel: (model) => refusalByKey(allowedModels, model) ?? upstream.refuses(model),
    },
    options.onLine,
  );
}

async function* abortable(
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncIterable<Uint8Array> {
  for await (const bytes of source) {
    signal?.throwIfAborted();
    yield bytes;
  }
}
