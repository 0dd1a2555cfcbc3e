import type { ResultLine } from '../../engine/run/result.ts';

/** A line made of the parts one behind another, yet to be written where it is to lie. `breaksIn`: the part whose line breaks become spaces. */
export function joinedLine(parts: readonly Uint8Array[], breaksIn: Uint8Array | null = null): ResultLine {
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  return {
    size,
    writeTo(target, start) {
      let at = start;
      for (const part of parts) {
        target.set(part, at);
        if (part === breaksIn) replaceLineBreaks(target, at, at + part.length);
        at += part.length;
      }
    },
  };
}

/** Line breaks only stand between the tokens of JSON, where a space does as well. */
function replaceLineBreaks(bytes: Uint8Array, start: number, end: number): void {
  for (let i = start; i < end; i++) if (bytes[i] === 0x0a || bytes[i] === 0x0d) bytes[i] = 0x20;
}
