import { decodeLineIndex, isDone, undonePlaces } from './chunk.ts';
import type { LineIndex } from './chunk.ts';
import { readInputLines } from './chunk-input.ts';
import type { EngineContext } from '../context.ts';
import type { BlobRef } from '../files/file.ts';
import type { LineParts } from '../input/line.ts';
import type { ChunkRecord } from '../ports.ts';
import { openResultLines } from './result-lines.ts';
import type { ResultLines } from './result-lines.ts';

/** One line of a batch at its end: its result line, or, where it was not finished, only its `custom_id`. */
export type EndedLine =
  | { readonly number: number; readonly bytes: Buffer; readonly succeeded: boolean }
  | {
      readonly number: number;
      readonly bytes: null;
      /** The `custom_id` as a JSON string, quotes included. */
      readonly customId: Uint8Array;
    };

const CHUNKS_A_PAGE = 64;
/** Lines are handed on together, for a promise a line would cost more than the line: so many … */
const LINES_A_STEP = 256;
/** … or of so many bytes. */
const BYTES_A_STEP = 1024 * 1024;

/** A chunk being read, and how far. */
interface Cursor {
  readonly index: LineIndex;
  readonly done: Uint8Array;
  readonly results: ResultLines;
  /** The `custom_id` of each undone place, where these are wanted. */
  readonly undone: ReadonlyMap<number, Uint8Array>;
  place: number;
}

/**
 * The lines of a batch in input order, some at a time: those with a result, and, where `input` is given, the unfinished
 * ones too. Chunks of several models interleave, so they are merged; memory holds one chunk a model.
 */
export async function* readOrderedLines(
  ctx: EngineContext,
  batchId: string,
  input: BlobRef | null,
): AsyncGenerator<readonly EndedLine[]> {
  const chunks = readChunkRecords(ctx, batchId);
  const cursors: Cursor[] = [];
  let upcoming = await chunks.next();
  let lines: EndedLine[] = [];
  let bytes = 0;
  for (;;) {
    let first = nearest(cursors);
    while (!upcoming.done && (first === null || upcoming.value.firstLine < nextNumber(first))) {
      cursors.push(await openCursor(ctx, batchId, input, upcoming.value));
      upcoming = await chunks.next();
      first = nearest(cursors);
    }
    if (first === null) break;
    const read = readLine(first);
    const line = read instanceof Promise ? await read : read;
    if (line !== null) {
      lines.push(line);
      bytes += line.bytes?.length ?? 0;
    }
    first.place++;
    if (first.place === first.index.numbers.length) cursors.splice(cursors.indexOf(first), 1);
    if (lines.length === LINES_A_STEP || bytes >= BYTES_A_STEP) {
      yield lines;
      lines = [];
      bytes = 0;
    }
  }
  if (lines.length > 0) yield lines;
}

async function* readChunkRecords(
  ctx: EngineContext,
  batchId: string,
): AsyncGenerator<ChunkRecord, undefined> {
  let from = 0;
  for (;;) {
    const page = await ctx.store.readChunks(batchId, from, CHUNKS_A_PAGE);
    yield* page;
    const last = page.at(-1);
    if (last === undefined || page.length < CHUNKS_A_PAGE) return;
    from = last.number + 1;
  }
}

async function openCursor(
  ctx: EngineContext,
  batchId: string,
  input: BlobRef | null,
  chunk: ChunkRecord,
): Promise<Cursor> {
  const index = decodeLineIndex(chunk.index);
  return {
    index,
    done: chunk.done,
    results: await openResultLines(ctx, batchId, chunk.number),
    undone: input === null ? new Map() : await readCustomIds(ctx, input, index, chunk.done),
    place: 0,
  };
}

/** The `custom_id` of each line that is not done, by place. */
async function readCustomIds(
  ctx: EngineContext,
  input: BlobRef,
  index: LineIndex,
  done: Uint8Array,
): Promise<Map<number, Uint8Array>> {
  const places = undonePlaces(index, done);
  const lines = await readInputLines(ctx.blobs, input.key, index, places);
  const customIds = new Map<number, Uint8Array>();
  lines.forEach((line, i) => {
    const { customIdStart, customIdEnd } = index.parts[places[i] as number] as LineParts;
    // A copy: a view would hold the whole chunk's input in memory.
    customIds.set(places[i] as number, Uint8Array.prototype.slice.call(line, customIdStart, customIdEnd));
  });
  return customIds;
}

function nextNumber(cursor: Cursor): number {
  return cursor.index.numbers[cursor.place] as number;
}

function nearest(cursors: readonly Cursor[]): Cursor | null {
  let best: Cursor | null = null;
  for (const cursor of cursors) if (best === null || nextNumber(cursor) < nextNumber(best)) best = cursor;
  return best;
}

/** The line at the cursor; null where it is unfinished and unfinished lines are not wanted. A promise only where it must be read. */
function readLine(cursor: Cursor): EndedLine | null | Promise<EndedLine> {
  const number = nextNumber(cursor);
  if (!isDone(cursor.done, cursor.place)) {
    const customId = cursor.undone.get(cursor.place);
    return customId === undefined ? null : { number, bytes: null, customId };
  }
  const result = cursor.results.read(cursor.place);
  if (result === null) throw new Error(`line ${number} is marked as done but has no result`);
  if (result instanceof Promise) return result.then((line) => ({ number, ...line }));
  return { number, bytes: result.bytes, succeeded: result.succeeded };
}
