/** Splitting a stream of bytes into lines, a batch of lines at a time: a promise a line would cost more than the line. */
import { asBuffer, sameBytes } from '../bytes.ts';

/** A batch ends after about this many bytes, so that whoever works on it may take a breath. A line is never cut. */
const BATCH_BYTES = 256 * 1024;
/** … or after this many lines: short lines take longer, byte for byte. */
const BATCH_LINES = 2048;

const LF = 0x0a;
const CR = 0x0d;
const EMPTY = Buffer.alloc(0);
const BYTE_ORDER_MARK = Buffer.from('\uFEFF');

/** Lines that lie in one buffer: parallel arrays, in the order of the stream. */
export interface LineBatch {
  /** Holds all lines of the batch, and other bytes between them. */
  readonly bytes: Buffer;
  /** Where `bytes` begins in the stream: line `i` lies at `offset + starts[i]`. */
  readonly offset: number;
  /** Where the lines begin and end in `bytes`, without their line breaks. */
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  /** 1-based; blank lines are counted. */
  readonly numbers: readonly number[];
  /** A line that is not handed out; it stands before the lines of this batch and after those of the one before. */
  readonly tooLong: TooLongLine | null;
}

export interface TooLongLine {
  /** 1-based. */
  readonly number: number;
  /** Bytes, without the line break (on line 1 a byte order mark may be counted too). */
  readonly length: number;
}

/**
 * Splits `source` into lines. A line ends at LF or at the end of the stream; a CR before that is not part of it. A
 * UTF-8 byte order mark at the start of the stream is skipped. Blank lines (spaces, tabs, CRs) are counted but not
 * handed out; a batch may be empty. A line of more than `maxLineBytes` is reported, not held: memory stays at a
 * small multiple of that, whatever the stream holds. The bytes of a batch are good until the next one is asked for.
 */
export async function* splitLines(
  source: AsyncIterable<Uint8Array>,
  { maxLineBytes }: { readonly maxLineBytes: number },
): AsyncGenerator<LineBatch, void, undefined> {
  const splitter = new LineSplitter(maxLineBytes);
  for await (const bytes of source) yield* splitter.push(asBuffer(bytes));
  yield splitter.finish();
}

interface OpenBatch extends LineBatch {
  readonly starts: number[];
  readonly ends: number[];
  readonly numbers: number[];
  tooLong: TooLongLine | null;
}

function openBatch(bytes: Buffer, offset: number): OpenBatch {
  return { bytes, offset, starts: [], ends: [], numbers: [], tooLong: null };
}

class LineSplitter {
  readonly #maxLineBytes: number;
  /** Held before a line is given up: it may still lose a byte order mark and a CR. */
  readonly #maxHeldBytes: number;
  /** Lines that were finished. */
  #lines = 0;
  /** Where the current source buffer begins in the stream. */
  #offset = 0;

  // The line that the source buffers so far left unfinished: where it begins in the stream, its length so far, its
  // last byte, and a copy of its bytes (the source may use its buffers again). Longer than `#held`: given up.
  #unfinishedOffset = 0;
  #unfinished = 0;
  #lastByte = 0;
  #held = EMPTY;

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes;
    this.#maxHeldBytes = maxLineBytes + BYTE_ORDER_MARK.length + 1;
  }

  *push(bytes: Buffer): Generator<LineBatch, void, undefined> {
    let at = 0;
    if (this.#unfinished > 0) {
      const lineBreak = bytes.indexOf(LF);
      at = lineBreak === -1 ? bytes.length : lineBreak + 1;
      this.#hold(bytes, 0, lineBreak === -1 ? bytes.length : lineBreak);
      if (lineBreak !== -1) yield this.finish();
    }
    while (at < bytes.length) {
      const batch = openBatch(bytes, this.#offset);
      at = this.#collect(batch, at);
      yield batch;
    }
    this.#offset += bytes.length;
  }

  /** A batch of the unfinished line alone, which ends here. */
  finish(): LineBatch {
    const length = this.#unfinished;
    const batch = openBatch(this.#held.subarray(0, length), this.#unfinishedOffset);
    if (length > this.#held.length) {
      batch.tooLong = { number: ++this.#lines, length: this.#lastByte === CR ? length - 1 : length };
    } else if (length > 0) {
      this.#add(batch, 0, length);
    }
    this.#unfinished = 0;
    this.#held = EMPTY;
    return batch;
  }

  /** Adds lines from `from` on, holds what follows the last line break, and answers where the next batch begins. */
  #collect(batch: OpenBatch, from: number): number {
    const { bytes } = batch;
    const until = Math.min(from + BATCH_BYTES, bytes.length);
    let at = from;
    while (at < until && batch.starts.length < BATCH_LINES) {
      // Line breaks in a row would cost a native call each.
      const lineBreak = bytes[at] === LF ? at : bytes.indexOf(LF, at);
      if (lineBreak === -1) {
        this.#hold(bytes, at, bytes.length);
        return bytes.length;
      }
      if (!this.#add(batch, at, lineBreak)) return at;
      at = lineBreak + 1;
    }
    return at;
  }

  /** Adds the line in [start, lineBreak) to the batch; false where it has to open the next one. */
  #add(batch: OpenBatch, start: number, lineBreak: number): boolean {
    const { bytes } = batch;
    const end = lineBreak > start && bytes[lineBreak - 1] === CR ? lineBreak - 1 : lineBreak;
    const first = this.#lines === 0 ? skipByteOrderMark(bytes, start, end) : start;
    if (end - first > this.#maxLineBytes) {
      if (batch.tooLong !== null || batch.starts.length > 0) return false;
      batch.tooLong = { number: ++this.#lines, length: end - first };
      return true;
    }
    this.#lines++;
    if (!isBlank(bytes, first, end)) {
      batch.starts.push(first);
      batch.ends.push(end);
      batch.numbers.push(this.#lines);
    }
    return true;
  }

  /** Takes [from, to) of `bytes` as more of the unfinished line. */
  #hold(bytes: Buffer, from: number, to: number): void {
    if (from === to) return;
    const length = this.#unfinished + to - from;
    if (this.#unfinished === 0) this.#unfinishedOffset = this.#offset + from;
    if (length > this.#maxHeldBytes) {
      this.#held = EMPTY;
    } else {
      if (length > this.#held.length) {
        // Doubled, so that a line that comes byte by byte is not copied as often.
        const grown = Buffer.allocUnsafe(
          Math.min(Math.max(length, 2 * this.#held.length), this.#maxHeldBytes),
        );
        this.#held.copy(grown, 0, 0, this.#unfinished);
        this.#held = grown;
      }
      bytes.copy(this.#held, this.#unfinished, from, to);
    }
    this.#lastByte = bytes[to - 1] as number;
    this.#unfinished = length;
  }
}

function skipByteOrderMark(bytes: Uint8Array, start: number, end: number): number {
  const markEnd = start + BYTE_ORDER_MARK.length;
  return markEnd <= end && sameBytes(bytes, start, markEnd, BYTE_ORDER_MARK) ? markEnd : start;
}

function isBlank(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const byte = bytes[i];
    if (byte !== 0x20 && byte !== 0x09 && byte !== CR) return false;
  }
  return true;
}
