import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ChunkCutter } from '../../../src/engine/input/chunk-cutter.ts';
import {
  CHUNK_MAX_BYTES,
  CHUNK_MAX_LINES,
  countDone,
  decodeLineIndex,
  decodeSegmentLines,
  encodeLineIndex,
  encodeSegmentLines,
  isDone,
  newDoneBits,
  undonePlaces,
  withDone,
} from '../../../src/engine/run/chunk.ts';
import type { LineParts } from '../../../src/engine/input/line.ts';

const PARTS: LineParts = { customIdStart: 0, customIdEnd: 0, bodyStart: 0, bodyEnd: 0 };

/** What the cutter is told of a line. */
function line(model: string, number: number, offset: number, length: number) {
  return { model, number, offset, length, ...PARTS };
}

describe('the line index', () => {
  it('comes back as it was for any ascending lines, beyond 2^32 as well', () => {
    const line = fc.record({
      skip: fc.integer({ min: 1, max: 1000 }),
      gap: fc.nat({ max: 2 ** 40 }),
      parts: fc.tuple(fc.nat(), fc.nat(), fc.nat(), fc.nat({ max: 2 ** 31 })),
      rest: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(line, { maxLength: 300 }), (lines) => {
        let number = 0;
        let end = 0;
        const index = {
          numbers: [] as number[],
          offsets: [] as number[],
          lengths: [] as number[],
          parts: [] as LineParts[],
        };
        for (const { skip, gap, parts, rest } of lines) {
          const [customIdStart, customIdBytes, bodyStart, bodyBytes] = parts;
          const [customIdEnd, bodyEnd] = [customIdStart + customIdBytes, bodyStart + bodyBytes];
          const length = Math.max(customIdEnd, bodyEnd) + rest;
          index.parts.push({ customIdStart, customIdEnd, bodyStart, bodyEnd });
          number += skip;
          index.numbers.push(number);
          index.offsets.push(end + gap);
          index.lengths.push(length);
          end += gap + length;
        }
        expect(decodeLineIndex(encodeLineIndex(index))).toEqual(index);
      }),
    );
  });

  it('takes some 9 bytes a line of 1 KB', () => {
    const numbers = Array.from({ length: 256 }, (_, i) => i + 1);
    const index = {
      numbers,
      offsets: numbers.map((n) => (n - 1) * 1001),
      lengths: numbers.map(() => 1000),
      parts: numbers.map(() => ({ customIdStart: 13, customIdEnd: 28, bodyStart: 82, bodyEnd: 999 })),
    };
    expect(encodeLineIndex(index).length).toBeLessThanOrEqual(256 * 9);
  });

  it('refuses truncated bytes', () => {
    const bytes = encodeLineIndex({ numbers: [1], offsets: [0], lengths: [300], parts: [PARTS] });
    expect(() => decodeLineIndex(bytes.subarray(0, -1))).toThrow(RangeError);
  });
});

describe('the lines of a segment', () => {
  it('come back as they were', () => {
    const lines = { places: [5, 0, 255], lengths: [1, 70_000, 2 ** 33], succeeded: [true, false, true] };
    expect(decodeSegmentLines(encodeSegmentLines(lines))).toEqual(lines);
  });
});

describe('done bits', () => {
  it('are set without touching the original', () => {
    const none = newDoneBits(10);
    const some = withDone(none, [0, 7, 9]);
    expect(countDone(none, 10)).toBe(0);
    expect([0, 1, 7, 8, 9].map((place) => isDone(some, place))).toEqual([true, false, true, false, true]);
    expect(countDone(some, 10)).toBe(3);
    const index = {
      numbers: [1, 2, 3],
      offsets: [0, 1, 2],
      lengths: [1, 1, 1],
      parts: [PARTS, PARTS, PARTS],
    };
    expect(undonePlaces(index, withDone(newDoneBits(3), [1]))).toEqual([0, 2]);
  });
});

describe('cutting chunks', () => {
  it('closes a chunk at its number of lines', () => {
    const cutter = new ChunkCutter();
    for (let i = 0; i < CHUNK_MAX_LINES + 1; i++) cutter.add(line('m', i + 1, i * 10, 9));
    expect(
      cutter.finish().map(({ number, lineCount, firstLine }) => ({ number, lineCount, firstLine })),
    ).toEqual([
      { number: 0, lineCount: CHUNK_MAX_LINES, firstLine: 1 },
      { number: 1, lineCount: 1, firstLine: CHUNK_MAX_LINES + 1 },
    ]);
  });

  it('closes a chunk before it would grow over its bytes; a larger line has one of its own', () => {
    const cutter = new ChunkCutter();
    cutter.add(line('m', 1, 0, CHUNK_MAX_BYTES - 1));
    cutter.add(line('m', 2, CHUNK_MAX_BYTES, 2));
    cutter.add(line('m', 3, CHUNK_MAX_BYTES + 3, CHUNK_MAX_BYTES * 2));
    cutter.add(line('m', 4, CHUNK_MAX_BYTES * 3 + 4, 1));
    expect(cutter.finish().map((chunk) => chunk.lineCount)).toEqual([1, 1, 1, 1]);
  });

  it('keeps models apart and numbers the chunks by their first lines', () => {
    const cutter = new ChunkCutter();
    ['a', 'b', 'a', 'c', 'b'].forEach((model, i) => cutter.add(line(model, i + 1, i * 10, 9)));
    const chunks = cutter.finish();
    expect(chunks.map((chunk) => [chunk.number, chunk.model, decodeLineIndex(chunk.index).numbers])).toEqual([
      [0, 'a', [1, 3]],
      [1, 'b', [2, 5]],
      [2, 'c', [4]],
    ]);
    expect(chunks.map((chunk) => chunk.bytes)).toEqual([18, 18, 9]);
  });
});
