import type { BatchError } from '../batches/batch.ts';
import type { EngineContext } from '../context.ts';
import type { FileRecord } from '../files/file.ts';
import { getFile } from '../files/files.ts';
import { wrongPurpose } from './prepare.ts';
import { BodySample, estimateTokens } from '../tokens/token-estimate.ts';
import type { TokenEstimate } from '../tokens/token-estimate.ts';
import { validateFile } from './validate-file.ts';
import { checkOneOf } from '../values.ts';

export interface CheckInputRequest {
  readonly owner: string;
  readonly inputFileId: string;
  readonly endpoint: string;
  /** The models that a batch of the caller may use; null: all. */
  readonly allowedModels: readonly string[] | null;
  /** Ends the work. */
  readonly signal?: AbortSignal | undefined;
}

/** What a batch over the file would meet. */
export interface InputCheck {
  /** Empty: the batch would run. Else what its `errors` would be. */
  readonly errors: readonly BatchError[];
  /** Requests that were looked at, faulty ones included. */
  readonly lines: number;
  /** The size of the file. */
  readonly bytes: number;
  /** The models of the lines without fault, in the order of their first line, and how many lines name each. */
  readonly models: ReadonlyMap<string, number>;
  /** Of the lines without fault. Null where the engine has nothing to count tokens with. */
  readonly tokenEstimate: TokenEstimate | null;
}

/**
 * Checks a file as the preparation of a batch does, and estimates its tokens; nothing is created. `file_not_found` for an
 * unknown file and another owner's alike. Rejects with the reason of `signal` where that aborts.
 */
export async function checkInput(ctx: EngineContext, request: CheckInputRequest): Promise<InputCheck> {
  const { owner, inputFileId, endpoint } = request;
  checkOneOf('endpoint', endpoint, ctx.settings.endpoints);
  const file = await getFile(ctx, owner, inputFileId);
  try {
    return await checkFile(ctx, file, request);
  } catch (error) {
    // A file that is deleted meanwhile is no failure of the storage.
    await getFile(ctx, owner, inputFileId);
    throw error;
  }
}

async function checkFile(
  ctx: EngineContext,
  file: FileRecord,
  request: CheckInputRequest,
): Promise<InputCheck> {
  const { signal } = request;
  const { bytes } = file.blob;
  if (file.purpose !== 'batch') {
    return { errors: [wrongPurpose(file)], lines: 0, bytes, models: new Map(), tokenEstimate: null };
  }
  const sample = new BodySample();
  const result = await validateFile(
    ctx,
    file,
    { ...request, format: 'openai' },
    { onLine: (line) => sample.add(line), signal },
  );
  const tokenEstimate = await estimateTokens(ctx, file, sample, signal);
  return { errors: result.errors, lines: result.lines, bytes, models: result.models, tokenEstimate };
}
