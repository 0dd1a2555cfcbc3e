/** The body of a create as the input file of its batch, one line a request, made while it arrives. */
import { LineBlocks } from '../../engine/run/line-blocks.ts';
import { HttpError } from '../errors.ts';
import { createRequestReader } from './request-line.ts';
import type { RequestReader, RequestReaderOptions } from './request-line.ts';
import { RequestsSplitter } from './requests-splitter.ts';

/** So much of the body is worked on at a time, however large the chunks are in which it comes. */
const SLICE_BYTES = 64 * 1024;
/** Lines are handed on in pieces of at least this many bytes. */
const WRITE_BYTES = 64 * 1024;

export interface RequestBodyOptions extends RequestReaderOptions {
  /** Largest body. */
  readonly maxBytes: number;
}

export interface RequestLines {
  /** Input lines, in buffers that end anywhere. Rejects with an HttpError that says what is wrong with the body. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** How many lines there were, once all of them were read. */
  readonly count: number;
}

/** Makes the input lines of a body. Memory: a slice, one request, and the custom_ids. */
export function readRequestLines(
  source: AsyncIterable<Uint8Array>,
  options: RequestBodyOptions,
): RequestLines {
  const reader = createRequestReader(options);
  return {
    bytes: readLines(source, reader, options),
    get count() {
      return reader.count;
    },
  };
}

async function* readLines(
  source: AsyncIterable<Uint8Array>,
  reader: RequestReader,
  { maxBytes, maxLineBytes }: RequestBodyOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  let blocks = new LineBlocks();
  let bytes = 0;
  const splitter = new RequestsSplitter({
    maxElementBytes: maxLineBytes,
    onElement: (element) => blocks.add(reader.read(element)),
  });
  for await (const slice of slicesOf(source)) {
    bytes += slice.length;
    if (bytes > maxBytes) throw bodyTooLarge(maxBytes);
    splitter.push(slice);
    if (blocks.bytes < WRITE_BYTES) continue;
    yield* blocks.parts;
    blocks = new LineBlocks();
  }
  splitter.finish();
  if (reader.count === 0) throw new HttpError(400, 'requests: List should have at least 1 item');
  yield* blocks.parts;
}

async function* slicesOf(source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer, void, undefined> {
  for await (const { buffer, byteOffset, byteLength } of source) {
    for (let at = 0; at < byteLength; at += SLICE_BYTES) {
      yield Buffer.from(buffer, byteOffset + at, Math.min(SLICE_BYTES, byteLength - at));
    }
  }
}

/** The refusal of a body with more than `maxBytes`. */
export function bodyTooLarge(maxBytes: number): HttpError {
  return new HttpError(413, `Request exceeds the maximum size of ${maxBytes} bytes`);
}
