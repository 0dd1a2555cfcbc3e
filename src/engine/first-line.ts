import { createJsonScanner } from './json-scan.ts';

/** What a glance at an upload tells: nothing but blank lines, a first line that is (not) JSON, or one too long to judge. */
export type FirstLine = 'empty' | 'json' | 'not_json' | 'unknown';

/** A longer first line is not judged at upload; `prepare` will. Bounds what an upload holds in memory, bytes. */
const LOOK_BYTES = 1024 * 1024;

/**
 * A cheap look at the first line of an upload while it streams by: `push` each buffer, `finish` at the end.
 * Blank lines and a UTF-8 byte order mark before it are skipped.
 */
export function createFirstLineLook(): { push(bytes: Uint8Array): void; finish(): FirstLine } {
  let verdict: FirstLine | null = null;
  let held = Buffer.alloc(0);

  function judge(complete: boolean): FirstLine | null {
    let start = held[0] === 0xef && held[1] === 0xbb && held[2] === 0xbf ? 3 : 0;
    for (;;) {
      const lineBreak = held.indexOf(10, start);
      const end = lineBreak === -1 ? held.length : lineBreak;
      if (lineBreak === -1 && !complete) return held.length > LOOK_BYTES ? 'unknown' : null;
      if (!isBlank(held, start, end)) {
        return createJsonScanner([]).scan(held, start, end) ? 'json' : 'not_json';
      }
      if (lineBreak === -1) return 'empty';
      start = lineBreak + 1;
    }
  }

  return {
    push(bytes) {
      if (verdict !== null) return;
      held = Buffer.concat([held, bytes]);
      verdict = judge(false);
      if (verdict !== null) held = Buffer.alloc(0);
    },
    finish() {
      return (verdict ??= judge(true) ?? 'empty');
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
