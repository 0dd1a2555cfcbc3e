import { asBuffer } from '../bytes.ts';
import { createJsonScanner } from '../json/json-scan.ts';

/** What a glance at an upload tells: nothing but blank lines, a first line that is (not) JSON, or one too long to judge. */
export type FirstLine = 'empty' | 'json' | 'not_json' | 'unknown';

/** A longer first line is not judged at upload; `prepare` will. Bounds what an upload holds in memory, bytes. */
const LOOK_BYTES = 256 * 1024;
const LF = 0x0a;

/**
 * A cheap look at the first line of an upload while it streams by: `push` each buffer, `finish` at the end.
 * Blank lines and a UTF-8 byte order mark before it are skipped.
 */
export function createFirstLineLook(): { push(bytes: Uint8Array): void; finish(): FirstLine } {
  let verdict: FirstLine | null = null;
  /** The line so far, `length` bytes; it grows by doubling, for a line may come byte by byte. */
  let held = Buffer.alloc(0);
  let length = 0;
  let isFirst = true;

  function endLine(): void {
    const isMarked = isFirst && held[0] === 0xef && held[1] === 0xbb && held[2] === 0xbf;
    const start = isMarked && length >= 3 ? 3 : 0;
    isFirst = false;
    if (!isBlank(held, start, length)) {
      verdict = createJsonScanner([]).scan(held, start, length) ? 'json' : 'not_json';
    }
    length = 0;
  }

  function hold(bytes: Uint8Array): void {
    if (length + bytes.length > held.length) {
      const grown = Buffer.allocUnsafe(Math.max(length + bytes.length, 2 * held.length));
      held.copy(grown, 0, 0, length);
      held = grown;
    }
    held.set(bytes, length);
    length += bytes.length;
  }

  return {
    push(part) {
      const bytes = asBuffer(part);
      for (let at = 0; verdict === null && at < bytes.length;) {
        const lineBreak = bytes.indexOf(LF, at);
        const end = lineBreak === -1 ? bytes.length : lineBreak;
        if (length + end - at > LOOK_BYTES) verdict = 'unknown';
        else hold(bytes.subarray(at, end));
        if (verdict === null && lineBreak !== -1) endLine();
        at = end + 1;
      }
      if (verdict !== null) held = Buffer.alloc(0);
    },
    finish() {
      if (verdict === null) endLine();
      return (verdict ??= 'empty');
    },
  };
}

function isBlank(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const byte = bytes[i];
    if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d) return false;
  }
  return true;
}
