/** Reading the spans that a scan found: [start, end) of valid JSON bytes. */
import { asBuffer, sameBytes } from '../bytes.ts';
import { BACKSLASH, OPEN_ARRAY, OPEN_OBJECT, QUOTE } from './json-tokens.ts';

export type JsonKind = 'string' | 'object' | 'array' | 'number' | 'boolean' | 'null';

/** The kind of the valid JSON value that begins at `at`, told by its first byte. */
export function kindAt(bytes: Uint8Array, at: number): JsonKind {
  switch (bytes[at]) {
    case QUOTE:
      return 'string';
    case OPEN_OBJECT:
      return 'object';
    case OPEN_ARRAY:
      return 'array';
    case 0x6e:
      return 'null';
    case 0x74:
    case 0x66:
      return 'boolean';
    default:
      return 'number';
  }
}

/** Decodes the JSON string in [start, end), quotes included. */
export function stringAt(bytes: Uint8Array, start: number, end: number): string {
  const buffer = asBuffer(bytes);
  if (!hasEscape(bytes, start, end)) return buffer.toString('utf8', start + 1, end - 1);
  return JSON.parse(buffer.toString('utf8', start, end)) as string;
}

/** A text that JSON strings are compared with, encoded once. */
export interface JsonText {
  readonly text: string;
  /** The shortest JSON string that says it, quotes included. */
  readonly encoded: Uint8Array;
}

export function encodeJsonText(text: string): JsonText {
  return { text, encoded: Buffer.from(JSON.stringify(text)) };
}

/** Whether the JSON string in [start, end), quotes included, says `expected`, however it is escaped. */
export function stringIs(bytes: Uint8Array, start: number, end: number, expected: JsonText): boolean {
  if (sameBytes(bytes, start, end, expected.encoded)) return true;
  return hasEscape(bytes, start, end) && stringAt(bytes, start, end) === expected.text;
}

/** Whether the JSON string in [start, end) holds an escape, so that its bytes are not its text. */
export function hasEscape(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i] === BACKSLASH) return true;
  return false;
}
