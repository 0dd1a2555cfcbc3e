import { requestId } from '../batches/batch.ts';
import type { Batch, RequestCounts } from '../batches/batch.ts';
import type { EngineContext } from '../context.ts';
import { newBatchEvent } from '../webhooks/events.ts';
import type { EventType } from '../webhooks/event.ts';
import { newFileId } from '../files/file.ts';
import type { BlobRef, FileRecord } from '../files/file.ts';
import { removeRefusedBlobs, removeUnusedBlob } from '../files/files.ts';
import { LineBlocks } from './line-blocks.ts';
import { readOrderedLines } from './ordered-lines.ts';
import type { EndedLine } from './ordered-lines.ts';
import type { BatchStep, BlobStore, BlobWriter } from '../ports.ts';
import { BATCH_CANCELLED, BATCH_EXPIRED, errorLine } from './result.ts';
import type { ResultLine } from './result.ts';

type Ending = 'completed' | 'expired' | 'cancelled';

/** Why the lines of a batch that ended early have no answer. */
const UNFINISHED = { expired: BATCH_EXPIRED, cancelled: BATCH_CANCELLED } as const;

/**
 * Writes the output and error files in input order and ends the batch: completed, expired or cancelled. Lines
 * that were not finished get an error line. Rejects where storage fails or `signal` aborts, leaving nothing
 * behind; the step is then to be released and tried again from the start.
 */
export async function finalizeBatch(ctx: EngineContext, step: BatchStep, signal: AbortSignal): Promise<void> {
  const { batch } = step;
  const ending = endingOf(batch);
  const output = new LineFile(ctx.blobs);
  const errors = new LineFile(ctx.blobs);
  let unfinished = 0;
  try {
    for await (const lines of readOrderedLines(ctx, batch.id, step.input)) {
      signal.throwIfAborted();
      for (const line of lines) {
        if (line.bytes === null) {
          errors.add(unfinishedLine(batch, line, ending));
          unfinished++;
        } else (line.succeeded ? output : errors).addBytes(line.bytes);
      }
      await output.write();
      await errors.write();
    }
    // A batch that was cancelled before it started has no lines yet, but their number may be known.
    const total = Math.max(batch.counts.total, output.lines + errors.lines);
    const counts = { total, completed: output.lines, failed: errors.lines };
    await finish(ctx, step, ending, { counts, unfinished }, output, errors);
  } catch (error) {
    await Promise.all([output.discard(), errors.discard()]);
    throw error;
  }
}

function endingOf(batch: Batch): Ending {
  if (batch.status === 'cancelling') return 'cancelled';
  if (batch.ending === null)
    throw new Error(`batch ${batch.id} is ${batch.status}, which cannot be finalized`);
  return batch.ending;
}

function unfinishedLine(batch: Batch, line: EndedLine & { bytes: null }, ending: Ending): ResultLine {
  if (ending === 'completed')
    throw new Error(`line ${line.number} of completed batch ${batch.id} has no result`);
  return errorLine({
    id: requestId(batch.id, line.number),
    customId: line.customId,
    ...UNFINISHED[ending],
  });
}

async function finish(
  ctx: EngineContext,
  step: BatchStep,
  ending: Ending,
  { counts, unfinished }: { readonly counts: RequestCounts; readonly unfinished: number },
  output: LineFile,
  errors: LineFile,
): Promise<void> {
  const { batch } = step;
  const [outputBlob, errorBlob] = [await output.seal(), await errors.seal()];
  const finished = await lockBlobs(ctx, [outputBlob, errorBlob], async () => {
    await Promise.all([output.publish(), errors.publish()]);
    const now = ctx.clock.now();
    return await ctx.store.finishBatch({
      batchId: batch.id,
      epoch: step.epoch,
      now,
      status: ending,
      counts,
      unfinished,
      outputFile: outputBlob && newResultFile(ctx, batch, outputBlob, 'output', now),
      errorFile: errorBlob && newResultFile(ctx, batch, errorBlob, 'error', now),
      event: newBatchEvent(ctx.settings, `batch.${ending}` satisfies EventType, batch, now),
    });
  }).catch(async (error: unknown) => {
    await removeRefusedBlobs(ctx, [outputBlob, errorBlob], error);
    throw error;
  });
  if (finished === 'lost') {
    for (const blob of [outputBlob, errorBlob]) if (blob !== null) await removeUnusedBlob(ctx, blob.key);
    return;
  }
  ctx.log.info({ batchId: batch.id, status: ending, ...counts }, 'batch ended');
  // The batch has ended, whether its log goes now or with the next sweep.
  await ctx.results.drop(batch.id).catch((error: unknown) => {
    ctx.log.warn({ err: error, batchId: batch.id }, 'the result log of an ended batch cannot be removed');
  });
}

/** Holds the locks of the blobs that are about to be published and named, in one order for everybody. */
async function lockBlobs<T>(
  ctx: EngineContext,
  blobs: readonly (BlobRef | null)[],
  section: () => Promise<T>,
): Promise<T> {
  const hashes = new Set(blobs.flatMap((blob) => (blob === null ? [] : [blob.key])));
  let locked = section;
  for (const key of [...hashes].toSorted().toReversed()) {
    const inner = locked;
    locked = () => ctx.blobLock.run(key, inner);
  }
  return await locked();
}

function newResultFile(
  ctx: EngineContext,
  batch: Batch,
  blob: BlobRef,
  kind: 'output' | 'error',
  now: number,
): FileRecord {
  const seconds = batch.outputExpiresAfterSeconds;
  // As with uploads: what is counted from a doubted clock must not be over when the other one is believed.
  const latest = Math.max(now, ctx.clock.wall());
  return {
    id: newFileId(),
    owner: batch.owner,
    purpose: 'batch_output',
    filename: `${batch.id}_${kind}.jsonl`,
    blob,
    createdAt: now,
    expiresAt: seconds === null ? null : latest + seconds * 1000,
  };
}

/** Lines are handed to the blob store in pieces of at least this many bytes. */
const WRITE_BYTES = 256 * 1024;

/** A file of lines being written; a blob is only begun with the first line, so that an empty file is none. */
class LineFile {
  lines = 0;
  readonly #blobs: BlobStore;
  #writer: BlobWriter | null = null;
  #blocks = new LineBlocks();

  constructor(blobs: BlobStore) {
    this.#blobs = blobs;
  }

  add(line: ResultLine): void {
    this.lines++;
    this.#blocks.add(line);
  }

  /** Adds a copy: a few lines must not keep the memory of all those between which they lie. */
  addBytes(line: Uint8Array): void {
    this.lines++;
    this.#blocks.addBytes(line);
  }

  /** Hands what was added to the blob store, where that is enough to be worth it. */
  async write(): Promise<void> {
    if (this.#blocks.bytes >= WRITE_BYTES) await this.#flush();
  }

  /** Null where there is no line. */
  async seal(): Promise<BlobRef | null> {
    if (this.lines === 0) return null;
    const writer = await this.#flush();
    return await writer.seal();
  }

  async publish(): Promise<void> {
    await this.#writer?.publish();
    this.#writer = null;
  }

  async discard(): Promise<void> {
    await this.#writer?.discard();
  }

  async #flush(): Promise<BlobWriter> {
    const writer = (this.#writer ??= await this.#blobs.create({ isOwn: true }));
    const { parts } = this.#blocks;
    this.#blocks = new LineBlocks();
    for (const part of parts) await writer.write(part);
    return writer;
  }
}
