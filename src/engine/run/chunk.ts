import type { Usage } from '../batches/batch.ts';
import type { LineParts } from '../input/line.ts';

/** A chunk closes at this many lines … */
export const CHUNK_MAX_LINES = 256;
/** … or at this many bytes of input, whichever comes first (one larger line makes a chunk of its own). */
export const CHUNK_MAX_BYTES = 4 * 1024 * 1024;

/** Where the lines of a chunk lie in the input blob: parallel arrays, ascending. */
export interface LineIndex {
  /** 1-based line numbers, blank lines counted. */
  readonly numbers: readonly number[];
  /** Byte offsets of the lines' first bytes. */
  readonly offsets: readonly number[];
  /** Lengths in bytes, without the line break. */
  readonly lengths: readonly number[];
  /** Counted from the lines' first bytes. */
  readonly parts: readonly LineParts[];
}

/** A chunk as `prepare` cuts it: lines of one model of one batch. `index` is an encoded LineIndex. */
export interface NewChunk {
  /** 0-based and ascending by first line number within the batch. */
  readonly number: number;
  readonly model: string;
  readonly lineCount: number;
  readonly firstLine: number;
  /** Sum of the lines' lengths in bytes. */
  readonly bytes: number;
  readonly index: Uint8Array;
}

/** A chunk that a worker holds. Every write of its worker carries `epoch`; an older epoch is answered `lost`. */
export interface ClaimedChunk extends NewChunk {
  readonly batchId: string;
  readonly epoch: number;
  /** One bit a line, least significant first; set: its result is committed. */
  readonly done: Uint8Array;
  /** How many times in a row a process died while it held this chunk and had committed none of its lines. */
  readonly crashes: number;
  /** The line that was being tried when a process died: its place, and in how many a row. */
  readonly trying: { readonly place: number; readonly deaths: number } | null;
}

/** Result lines of one chunk in the order in which they were appended to the result log. */
export interface SegmentLines {
  /** Places of the lines within their chunk. */
  readonly places: readonly number[];
  /** Lengths of the result lines in bytes, their line break included. */
  readonly lengths: readonly number[];
  /** True: the line belongs to the output file; false: to the error file. */
  readonly succeeded: readonly boolean[];
}

/** A segment to commit: its bytes are synced in the result log before this is handed to the Store. */
export interface NewSegment {
  readonly batchId: string;
  readonly chunkNumber: number;
  readonly epoch: number;
  /** Where its bytes begin in the batch's result log. */
  readonly logPosition: number;
  readonly lines: SegmentLines;
  readonly usage: Usage;
}

/** A committed segment. `lines` is an encoded SegmentLines. */
export interface SegmentRecord {
  readonly chunkNumber: number;
  readonly logPosition: number;
  readonly lines: Uint8Array;
}

/** Appends unsigned LEB128 varints (up to 2^53) to a growing byte array. */
class VarintWriter {
  #bytes = new Uint8Array(64);
  #length = 0;

  push(value: number): void {
    if (this.#length + 8 > this.#bytes.length) {
      const grown = new Uint8Array(this.#bytes.length * 2);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest % 0x80) + 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#length++] = rest;
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }
}

/** Reads the varints of `bytes` one after another. */
class VarintReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get more(): boolean {
    return this.#at < this.#bytes.length;
  }

  next(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new RangeError('truncated varint');
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
  }
}

/** Encodes where lines and their parts lie in some 9 bytes a line: differences between neighbours, as varints. */
export function encodeLineIndex(index: LineIndex): Uint8Array {
  const writer = new VarintWriter();
  let number = 0;
  let end = 0;
  for (let i = 0; i < index.numbers.length; i++) {
    const offset = index.offsets[i] as number;
    const length = index.lengths[i] as number;
    writer.push((index.numbers[i] as number) - number);
    writer.push(offset - end);
    writer.push(length);
    const { customIdStart, customIdEnd, bodyStart, bodyEnd } = index.parts[i] as LineParts;
    writer.push(customIdStart);
    writer.push(customIdEnd - customIdStart);
    writer.push(bodyStart);
    writer.push(length - bodyEnd);
    number = index.numbers[i] as number;
    end = offset + length;
  }
  return writer.finish();
}

/** The reverse of `encodeLineIndex`. Throws RangeError on truncated bytes. */
export function decodeLineIndex(bytes: Uint8Array): LineIndex {
  const reader = new VarintReader(bytes);
  const numbers: number[] = [];
  const offsets: number[] = [];
  const lengths: number[] = [];
  const parts: LineParts[] = [];
  let number = 0;
  let end = 0;
  while (reader.more) {
    number += reader.next();
    const offset = end + reader.next();
    const length = reader.next();
    const customIdStart = reader.next();
    const customIdEnd = customIdStart + reader.next();
    const bodyStart = reader.next();
    const bodyEnd = length - reader.next();
    parts.push({ customIdStart, customIdEnd, bodyStart, bodyEnd });
    numbers.push(number);
    offsets.push(offset);
    lengths.push(length);
    end = offset + length;
  }
  return { numbers, offsets, lengths, parts };
}

/** Encodes a segment's lines: place × 2 + succeeded, length, as varints. */
export function encodeSegmentLines(lines: SegmentLines): Uint8Array {
  const writer = new VarintWriter();
  for (let i = 0; i < lines.places.length; i++) {
    writer.push((lines.places[i] as number) * 2 + (lines.succeeded[i] ? 1 : 0));
    writer.push(lines.lengths[i] as number);
  }
  return writer.finish();
}

/** The reverse of `encodeSegmentLines`. Throws RangeError on truncated bytes. */
export function decodeSegmentLines(bytes: Uint8Array): SegmentLines {
  const reader = new VarintReader(bytes);
  const places: number[] = [];
  const lengths: number[] = [];
  const succeeded: boolean[] = [];
  while (reader.more) {
    const head = reader.next();
    places.push(Math.floor(head / 2));
    succeeded.push(head % 2 === 1);
    lengths.push(reader.next());
  }
  return { places, lengths, succeeded };
}

/** An all-zero done bitmap for `lineCount` lines. */
export function newDoneBits(lineCount: number): Uint8Array {
  return new Uint8Array(Math.ceil(lineCount / 8));
}

export function isDone(done: Uint8Array, place: number): boolean {
  return ((done[place >> 3] ?? 0) & (1 << (place & 7))) !== 0;
}

/** The places of a chunk's lines that are not done, ascending. */
export function undonePlaces(index: LineIndex, done: Uint8Array): number[] {
  return index.numbers.map((_, place) => place).filter((place) => !isDone(done, place));
}

/** A copy of `done` with the bits of `places` set. */
export function withDone(done: Uint8Array, places: readonly number[]): Uint8Array {
  const next = Uint8Array.from(done);
  for (const place of places) next[place >> 3] = (next[place >> 3] ?? 0) | (1 << (place & 7));
  return next;
}

/** How many of the first `lineCount` bits are set. */
export function countDone(done: Uint8Array, lineCount: number): number {
  let count = 0;
  for (let place = 0; place < lineCount; place++) if (isDone(done, place)) count++;
  return count;
}
