/** Finding the elements of `requests` in the body of a create, which may be far too large to be held. */
import { createJsonScanner } from '../../engine/json/json-scan.ts';
import { stringAt } from '../../engine/json/json-spans.ts';
import {
  CLOSE_ARRAY,
  CLOSE_OBJECT,
  COLON,
  COMMA,
  isSpace,
  OPEN_ARRAY,
  OPEN_OBJECT,
  QUOTE,
} from '../../engine/json/json-tokens.ts';
import { HttpError } from '../errors.ts';
import { Piece } from './piece.ts';
import type { Span } from './piece.ts';

/** What may come next, white space aside. */
type Place =
  /** The object's opening brace. */
  | 'start'
  /** A name, or the end of the object (only behind its opening brace). */
  | 'first name'
  | 'name'
  | 'colon'
  | 'value'
  | 'after value'
  /** An element, or the end of the array (only behind its opening bracket). */
  | 'first element'
  | 'element'
  | 'after element'
  | 'end';

export interface RequestsSplitterOptions {
  /** Longest element (and longest other member), bytes. */
  readonly maxElementBytes: number;
  /** Called for each element of `requests` in order; whether it is JSON is for the callee to check. */
  readonly onElement: (element: Span) => void;
}

/**
 * Reads one JSON object chunk by chunk, cut anywhere, and hands out the elements of its member `requests`. Other members are
 * checked to be JSON and ignored. `push` and `finish` throw an HttpError at the first fault.
 */
export class RequestsSplitter {
  readonly #onElement: (element: Span) => void;
  readonly #piece: Piece;
  readonly #scanner = createJsonScanner([]);
  #place: Place = 'start';
  /** Where the piece that was opened last begins in the body. */
  #pieceOffset = 0;
  /** The name that was read last. */
  #name = '';
  #hasRequests = false;
  #elements = 0;
  /** Where the current chunk begins in the body. */
  #offset = 0;

  constructor({ maxElementBytes, onElement }: RequestsSplitterOptions) {
    this.#onElement = onElement;
    this.#piece = new Piece(maxElementBytes, () => this.#refuseLong(maxElementBytes));
  }

  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length;) {
      if (!this.#piece.isOpen) {
        at = this.#passPunctuation(chunk, at);
        if (!this.#piece.isOpen) continue;
      }
      const end = this.#piece.pass(chunk, at);
      if (end === -1) {
        this.#piece.hold(chunk, at);
        break;
      }
      this.#endPiece(this.#piece.close(chunk, at, end));
      at = end;
    }
    this.#offset += chunk.length;
  }

  /** The body has ended. */
  finish(): void {
    if (this.#place !== 'end') throw this.#invalid(this.#offset, 'unexpected end');
    if (!this.#hasRequests) throw new HttpError(400, 'requests: Field required');
  }

  /** Passes white space and at most one byte of structure, or opens a piece; answers where to go on. */
  #passPunctuation(chunk: Buffer, from: number): number {
    let at = from;
    while (at < chunk.length && isSpace(chunk[at])) at++;
    const byte = chunk[at];
    if (byte === undefined) return at;
    switch (this.#place) {
      case 'start':
        this.#take(byte === OPEN_OBJECT, 'first name', at, 'expected an object');
        return at + 1;
      case 'first name':
        if (byte === CLOSE_OBJECT) return this.#endObject(at);
        return this.#openName(byte, at);
      case 'name':
        return this.#openName(byte, at);
      case 'colon':
        this.#take(byte === COLON, 'value', at, "expected ':' after a name");
        return at + 1;
      case 'value':
        return this.#openValue(byte, at);
      case 'after value':
        if (byte === CLOSE_OBJECT) return this.#endObject(at);
        this.#take(byte === COMMA, 'name', at, "expected ',' or '}'");
        return at + 1;
      case 'first element':
        if (byte === CLOSE_ARRAY) return this.#endArray(at);
        return this.#openPiece(byte, at);
      case 'element':
        return this.#openPiece(byte, at);
      case 'after element':
        if (byte === CLOSE_ARRAY) return this.#endArray(at);
        this.#take(byte === COMMA, 'element', at, "expected ',' or ']'");
        return at + 1;
      case 'end':
        throw this.#invalid(this.#offset + at, 'expected nothing after the object');
    }
  }

  #take(isRight: boolean, next: Place, at: number, otherwise: string): void {
    if (!isRight) throw this.#invalid(this.#offset + at, otherwise);
    this.#place = next;
  }

  #openName(byte: number, at: number): number {
    if (byte !== QUOTE) throw this.#invalid(this.#offset + at, 'expected a name in double quotes');
    this.#place = 'name';
    return this.#openPiece(byte, at);
  }

  #openValue(byte: number, at: number): number {
    if (this.#name !== 'requests') return this.#openPiece(byte, at);
    // Of two members of a name the last one counts; but the elements of the first are gone by then.
    if (this.#hasRequests)
      throw new HttpError(400, 'requests: The body has more than one member of this name');
    if (byte !== OPEN_ARRAY) throw new HttpError(400, 'requests: Input should be a valid list');
    this.#hasRequests = true;
    this.#place = 'first element';
    return at + 1;
  }

  #openPiece(byte: number, at: number): number {
    if (byte === COMMA || byte === COLON || byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) {
      throw this.#invalid(this.#offset + at, 'expected a value');
    }
    this.#pieceOffset = this.#offset + at;
    this.#piece.open(byte);
    return at;
  }

  #endArray(at: number): number {
    this.#place = 'after value';
    return at + 1;
  }

  #endObject(at: number): number {
    this.#place = 'end';
    return at + 1;
  }

  #endPiece(piece: Span): void {
    if (this.#isInElement()) {
      this.#onElement(piece);
      this.#elements++;
      this.#place = 'after element';
      return;
    }
    const { bytes, start, end } = piece;
    if (!this.#scanner.scan(bytes, start, end)) {
      throw this.#invalid(this.#pieceOffset + this.#scanner.errorAt - start, this.#scanner.errorReason);
    }
    if (this.#place === 'value') {
      this.#place = 'after value';
      return;
    }
    this.#name = stringAt(bytes, start, end);
    this.#place = 'colon';
  }

  #isInElement(): boolean {
    return this.#place === 'first element' || this.#place === 'element';
  }

  #refuseLong(maxBytes: number): never {
    if (this.#isInElement()) throw requestTooLong(this.#elements, maxBytes);
    throw new HttpError(413, `A member of the request body may have at most ${maxBytes} bytes.`);
  }

  #invalid(offset: number, reason: string): HttpError {
    return new HttpError(400, `The request body is not valid JSON: ${reason} at byte ${offset}.`);
  }
}

/** The refusal of the element with this number, counted from 0. */
export function requestTooLong(index: number, maxBytes: number): HttpError {
  return new HttpError(413, `requests.${index}: A request may have at most ${maxBytes} bytes`);
}
