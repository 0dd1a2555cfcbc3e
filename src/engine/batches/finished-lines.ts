/** The result lines of a batch as far as there are any: also while it runs. */
import { isTerminal } from './batch.ts';
import type { Batch } from './batch.ts';
import { getBatch } from './batches.ts';
import { decodeSegmentLines } from '../run/chunk.ts';
import type { EngineContext } from '../context.ts';
import { EngineError } from '../errors.ts';
import { getFile, readFile } from '../files/files.ts';
import type { LoggedSegment } from './live-store.ts';
import type { LogReader } from '../ports.ts';

const SEGMENTS_A_PAGE = 1000;
/** Result lines are handed on in buffers of at most this many bytes: each slow reader holds some. */
const BUFFER_BYTES = 64 * 1024;

export interface FinishedLinesRequest {
  readonly owner: string;
  readonly id: string;
  /** Only lines of the output file (`succeeded`), or of the error file. Default: both. */
  readonly outcome?: 'succeeded' | 'failed' | undefined;
  /** `next` of an earlier answer: only what was finished since. */
  readonly after?: string | undefined;
}

/** Whoever opened it closes it. */
export interface FinishedLines {
  /** False while the batch runs. */
  readonly isComplete: boolean;
  /** What to ask `after` for the lines that were not finished yet; null where there are none. */
  readonly next: string | null;
  /**
   * Result lines, each with its line break, in buffers that may end within a line: of a running batch in the order in which they
   * were finished; of an ended one in input order, first the output file's, then the error file's.
   */
  readonly bytes: AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

/**
 * Opens the lines that are finished now; those that finish later do not appear in it, and the end of the batch does not
 * disturb it. `batch_not_found` as `getBatch`; `invalid_value` for an `after` that no answer gave; `conflict` for one whose batch
 * has ended, for its lines are in another order now; `file_not_found` where a result file was deleted.
 */
export async function openFinishedLines(
  ctx: EngineContext,
  request: FinishedLinesRequest,
): Promise<FinishedLines> {
  const after = parseAfter(request.after);
  for (let failure: unknown = null; ;) {
    const batch = await getBatch(ctx, request.owner, request.id);
    if (isTerminal(batch.status)) return await openEnded(ctx, batch, request);
    if (failure !== null) throw failure;
    const log = await openLog(ctx, batch.id, after).catch((error: unknown) => {
      // It may have ended meanwhile, and its log is gone then.
      failure = error;
      return null;
    });
    if (log === null) continue;
    const { segments, reader } = log;
    return {
      isComplete: false,
      next: String(segments.at(-1)?.seq ?? after),
      bytes: reader === null ? noBytes() : readSpans(reader, wantedSpans(segments, request.outcome)),
      close: async () => await reader?.close(),
    };
  }
}

/** One line of a running batch. */
export interface FinishedLine {
  readonly bytes: Buffer;
  readonly succeeded: boolean;
}

/** The finished lines of a running batch, one at a time, in the order in which they were finished. Rejects where it has ended. */
export async function* readRunningLines(
  ctx: EngineContext,
  batchId: string,
): AsyncGenerator<FinishedLine, void, undefined> {
  const { segments, reader } = await openLog(ctx, batchId, 0);
  if (reader === null) return;
  try {
    for (const { position, length, succeeded } of lineSpans(segments)) {
      yield { bytes: await reader.read(position, length), succeeded };
    }
  } finally {
    await reader.close();
  }
}

function parseAfter(after: string | undefined): number {
  if (after === undefined) return 0;
  if (/^\d{1,15}$/.test(after)) return Number(after);
  throw new EngineError(
    'invalid_value',
    `Invalid 'after': '${after}'. Expected the x-next-after of an earlier answer.`,
    {
      param: 'after',
    },
  );
}

async function openEnded(
  ctx: EngineContext,
  batch: Batch,
  { outcome, after }: FinishedLinesRequest,
): Promise<FinishedLines> {
  if (after !== undefined) {
    throw new EngineError(
      'conflict',
      "The batch has ended, and its results are in input order now. Read them without 'after'.",
    );
  }
  const ids = [
    outcome === 'failed' ? null : batch.outputFileId,
    outcome === 'succeeded' ? null : batch.errorFileId,
  ];
  const files = await Promise.all(
    ids.filter((id) => id !== null).map(async (id) => await getFile(ctx, batch.owner, id)),
  );
  async function* read(): AsyncGenerator<Uint8Array> {
    for (const file of files) yield* readFile(ctx, file);
  }
  return { isComplete: true, next: null, bytes: read(), close: async () => {} };
}

/** The segments that are committed now, and a reader that has their bytes even when the batch has ended; null where there are none. */
async function openLog(
  ctx: EngineContext,
  batchId: string,
  afterSeq: number,
): Promise<{ readonly segments: readonly LoggedSegment[]; readonly reader: LogReader | null }> {
  const segments: LoggedSegment[] = [];
  for (;;) {
    const page = await ctx.store.readSegmentsAfter(
      batchId,
      segments.at(-1)?.seq ?? afterSeq,
      SEGMENTS_A_PAGE,
    );
    segments.push(...page);
    if (page.length < SEGMENTS_A_PAGE) break;
    // A store may answer at once; a batch of a million lines has many pages.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return { segments, reader: segments.length === 0 ? null : await ctx.results.open(batchId) };
}

interface Span {
  readonly position: number;
  readonly length: number;
}

function* lineSpans(segments: readonly LoggedSegment[]): Generator<Span & { readonly succeeded: boolean }> {
  for (const { logPosition, lines } of segments) {
    const { lengths, succeeded } = decodeSegmentLines(lines);
    let position = logPosition;
    for (const [i, length] of lengths.entries()) {
      yield { position, length, succeeded: succeeded[i] as boolean };
      position += length;
    }
  }
}

/** Where the wanted lines lie, neighbours as one span. */
function* wantedSpans(
  segments: readonly LoggedSegment[],
  outcome: 'succeeded' | 'failed' | undefined,
): Generator<Span> {
  let span: Span = { position: 0, length: 0 };
  for (const { position, length, succeeded } of lineSpans(segments)) {
    if (outcome !== undefined && succeeded !== (outcome === 'succeeded')) continue;
    if (position === span.position + span.length)
      span = { position: span.position, length: span.length + length };
    else {
      if (span.length > 0) yield span;
      span = { position, length };
    }
  }
  if (span.length > 0) yield span;
}

async function* readSpans(reader: LogReader, spans: Iterable<Span>): AsyncGenerator<Uint8Array> {
  for (const { position, length } of spans) {
    const end = position + length;
    for (let at = position; at < end; at += BUFFER_BYTES) {
      yield await reader.read(at, Math.min(BUFFER_BYTES, end - at));
    }
  }
}

async function* noBytes(): AsyncGenerator<Uint8Array> {}
