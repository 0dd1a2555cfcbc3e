import { isTerminal } from '../batches/batch.ts';
import type { Batch } from '../batches/batch.ts';
import { getBatch } from '../batches/batches.ts';
import type { EngineContext } from '../context.ts';
import { getFile, readFile } from '../files/files.ts';
import { readRunningLines } from '../batches/finished-lines.ts';
import { splitLines } from '../input/lines.ts';

/** The outcome of one line, parsed from its result line. */
export interface LineOutcome {
  readonly customId: string;
  /** True: it stands in the output file; false: in the error file. */
  readonly succeeded: boolean;
  /** The upstream's status code, or null where there was no answer. */
  readonly statusCode: number | null;
  /** The upstream's answer, parsed, or null. Use the files where numbers beyond 2^53 matter. */
  readonly body: unknown;
  /** Why there is no answer, or null. */
  readonly error: { readonly code: string; readonly message: string } | null;
}

/**
 * The lines of a batch with their outcomes: of an ended batch all of them, first the output file's, then the
 * error file's; of a running one those that are finished, in the order in which they were. `batch_not_found` as `getBatch`.
 */
export async function* readLines(
  ctx: EngineContext,
  owner: string,
  id: string,
): AsyncGenerator<LineOutcome, void, undefined> {
  const batch = await getBatch(ctx, owner, id);
  if (isTerminal(batch.status)) yield* readEndedLines(ctx, batch);
  else yield* readFinishedLines(ctx, batch);
}

async function* readEndedLines(ctx: EngineContext, batch: Batch): AsyncGenerator<LineOutcome> {
  for (const fileId of [batch.outputFileId, batch.errorFileId]) {
    if (fileId === null) continue;
    const file = await getFile(ctx, batch.owner, fileId);
    for await (const lines of splitLines(readFile(ctx, file), { maxLineBytes: Number.MAX_SAFE_INTEGER })) {
      for (let i = 0; i < lines.starts.length; i++) {
        const line = lines.bytes.subarray(lines.starts[i], lines.ends[i]);
        yield parseOutcome(line, fileId === batch.outputFileId);
      }
    }
  }
}

async function* readFinishedLines(ctx: EngineContext, batch: Batch): AsyncGenerator<LineOutcome> {
  for await (const { bytes, succeeded } of readRunningLines(ctx, batch.id))
    yield parseOutcome(bytes, succeeded);
}

function parseOutcome(line: Uint8Array, succeeded: boolean): LineOutcome {
  const parsed = JSON.parse(Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString()) as {
    custom_id: string;
    response: { status_code: number; body: unknown } | null;
    error: { code: string; message: string } | null;
  };
  return {
    customId: parsed.custom_id,
    succeeded,
    statusCode: parsed.response?.status_code ?? null,
    body: parsed.response?.body ?? null,
    error: parsed.error,
  };
}
