/** The input file of a retry: the lines of an ended batch that are named in its error file. */
import type { EngineContext } from '../context.ts';
import type { BlobRef, FileRecord } from '../files/file.ts';
import { readFile } from '../files/files.ts';
import { createJsonScanner } from '../json/json-scan.ts';
import { stringAt } from '../json/json-spans.ts';
import { LineBlocks } from '../run/line-blocks.ts';
import { splitLines } from '../input/lines.ts';
import type { LineBatch } from '../input/lines.ts';
import type { BlobWriter } from '../ports.ts';
import { TextSet } from '../input/text-set.ts';

/** Lines are handed to the blob store in pieces of at least this many bytes. */
const WRITE_BYTES = 256 * 1024;
const LINE_BREAK = Buffer.from('\n');

/**
 * Writes those lines of `input` whose custom_id has a line in `errors`, in the order of the input and byte for byte.
 * Memory: a line of each file, and the custom_ids of the failed lines (some 25 bytes each). Rejects where storage fails or
 * `signal` aborts; `writer` is then to be discarded.
 */
export async function writeFailedLines(
  ctx: EngineContext,
  files: { readonly input: FileRecord; readonly errors: FileRecord },
  writer: BlobWriter,
  signal?: AbortSignal,
): Promise<BlobRef> {
  const customIdAt = createCustomIdReader();
  const failed = new TextSet();
  for await (const lines of readLineBatches(ctx, files.errors, signal)) {
    for (let i = 0; i < lines.starts.length; i++) failed.add(customIdAt(lines, i));
  }
  let blocks = new LineBlocks();
  const flush = async (): Promise<void> => {
    const { parts } = blocks;
    blocks = new LineBlocks();
    for (const part of parts) await writer.write(part);
  };
  for await (const lines of readLineBatches(ctx, files.input, signal)) {
    for (let i = 0; i < lines.starts.length; i++) {
      if (!failed.has(customIdAt(lines, i))) continue;
      blocks.addBytes(lines.bytes.subarray(lines.starts[i], lines.ends[i]));
      blocks.addBytes(LINE_BREAK);
    }
    if (blocks.bytes >= WRITE_BYTES) await flush();
  }
  await flush();
  return await writer.seal();
}

/** A file that was accepted or written here is read whatever the limits are now. */
async function* readLineBatches(
  ctx: EngineContext,
  file: FileRecord,
  signal?: AbortSignal,
): AsyncGenerator<LineBatch, void, undefined> {
  for await (const lines of splitLines(readFile(ctx, file), { maxLineBytes: Number.MAX_SAFE_INTEGER })) {
    signal?.throwIfAborted();
    yield lines;
  }
}

/** Reads the `custom_id` of a line that is known to have one. */
function createCustomIdReader(): (lines: LineBatch, i: number) => string {
  const scanner = createJsonScanner(['custom_id']);
  return ({ bytes, starts, ends }, i) => {
    if (!scanner.scan(bytes, starts[i] as number, ends[i] as number) || scanner.start(0) === -1) {
      throw new Error('a line of a batch that ran has no custom_id');
    }
    return stringAt(bytes, scanner.start(0), scanner.end(0));
  };
}
