/** One JSON value or name in a stream of bytes: where it ends, and all of its bytes together. */
import {
  BACKSLASH,
  CLOSE_ARRAY,
  CLOSE_OBJECT,
  COMMA,
  OPEN_ARRAY,
  OPEN_OBJECT,
  QUOTE,
} from '../../engine/json/json-tokens.ts';

const NO_BYTES = Buffer.alloc(0);

/** The bytes of a whole piece: [start, end) of `bytes`, good until the next push. */
export interface Span {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

/**
 * Passes one piece that may be spread over many chunks. It only looks for the end (brackets are counted, not matched): what
 * lies in between is for a strict scan. Holds at most `maxBytes`; of a longer piece `refuse` is told, which throws.
 */
export class Piece {
  readonly #maxBytes: number;
  readonly #refuse: () => never;
  /** What this is, told by its first byte; null: none is open. */
  #kind: 'string' | 'container' | 'scalar' | null = null;
  #depth = 0;
  #inString = false;
  /** The last byte was a backslash in a string. */
  #isEscaped = false;
  /** Bytes of earlier chunks. */
  #held = NO_BYTES;
  #heldBytes = 0;

  constructor(maxBytes: number, refuse: () => never) {
    this.#maxBytes = maxBytes;
    this.#refuse = refuse;
  }

  get isOpen(): boolean {
    return this.#kind !== null;
  }

  /** Begins a piece whose first byte is `first`; `pass` must then be called from that byte on. */
  open(first: number): void {
    this.#kind =
      first === QUOTE ? 'string' : first === OPEN_OBJECT || first === OPEN_ARRAY ? 'container' : 'scalar';
  }

  /** Passes what belongs to the open piece from `at` on. Answers where it ends in the chunk; −1: not in this one. */
  pass(chunk: Buffer, at: number): number {
    if (this.#kind === 'scalar') return passScalar(chunk, at);
    if (this.#kind === 'container') return this.#passContainer(chunk, at);
    // The opening quote was passed with an earlier chunk, or it is the first byte.
    return this.#passString(chunk, this.#inString ? at : at + 1);
  }

  /** Keeps a copy of [from, end) of a piece that goes on in the next chunk. */
  hold(chunk: Buffer, from: number, end = chunk.length): void {
    const length = this.#heldBytes + end - from;
    if (length > this.#maxBytes) this.#refuse();
    if (length > this.#held.length) {
      // Doubled, so that a piece that comes byte by byte is not copied as often.
      const grown = Buffer.allocUnsafe(Math.min(Math.max(length, 2 * this.#held.length), this.#maxBytes));
      this.#held.copy(grown, 0, 0, this.#heldBytes);
      this.#held = grown;
    }
    chunk.copy(this.#held, this.#heldBytes, from, end);
    this.#heldBytes = length;
  }

  /** Ends the piece, whose last bytes are [from, end) of `chunk`. */
  close(chunk: Buffer, from: number, end: number): Span {
    this.#kind = null;
    if (this.#heldBytes === 0) {
      if (end - from > this.#maxBytes) this.#refuse();
      return { bytes: chunk, start: from, end };
    }
    this.hold(chunk, from, end);
    const span = { bytes: this.#held, start: 0, end: this.#heldBytes };
    this.#held = NO_BYTES;
    this.#heldBytes = 0;
    return span;
  }

  #passContainer(chunk: Buffer, from: number): number {
    let at = from;
    if (this.#inString) {
      at = this.#passString(chunk, at);
      if (at === -1) return -1;
    }
    for (; at < chunk.length; at++) {
      const byte = chunk[at];
      if (byte === QUOTE) {
        at = this.#passString(chunk, at + 1) - 1;
        if (at < 0) return -1;
      } else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
        this.#depth++;
      } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
        if (--this.#depth === 0) return at + 1;
      }
    }
    return -1;
  }

  /** From within a string to behind its closing quote. */
  #passString(chunk: Buffer, from: number): number {
    let at = this.#isEscaped ? from + 1 : from;
    this.#isEscaped = false;
    this.#inString = true;
    for (; at < chunk.length; at++) {
      const byte = chunk[at];
      if (byte === QUOTE) {
        this.#inString = false;
        return at + 1;
      }
      if (byte === BACKSLASH && ++at === chunk.length) this.#isEscaped = true;
    }
    return -1;
  }
}

/** A number or a word ends before whatever cannot be a part of one. */
function passScalar(chunk: Buffer, from: number): number {
  for (let at = from; at < chunk.length; at++) {
    const byte = chunk[at] as number;
    if (byte <= 0x20 || byte === COMMA || byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) return at;
  }
  return -1;
}
