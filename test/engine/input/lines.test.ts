import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splitLines } from '../../../src/engine/input/lines.ts';
import type { LineBatch } from '../../../src/engine/input/lines.ts';

/** What is told of a stream, in its order: lines with their text, and lines that are too long. */
type Told = { number: number; offset: number; text: string } | { number: number; length: number };

async function* streamOf(...parts: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield typeof part === 'string' ? Buffer.from(part) : part;
}

async function readBatches(source: AsyncIterable<Uint8Array>, maxLineBytes = 1000): Promise<LineBatch[]> {
  const batches: LineBatch[] = [];
  for await (const batch of splitLines(source, { maxLineBytes })) batches.push(batch);
  return batches;
}

async function read(source: AsyncIterable<Uint8Array>, maxLineBytes = 1000): Promise<Told[]> {
  const told: Told[] = [];
  for await (const batch of splitLines(source, { maxLineBytes })) told.push(...toldBy(batch));
  return told;
}

function toldBy(batch: LineBatch): Told[] {
  const lines = batch.starts.map((start, i) => ({
    number: batch.numbers[i] as number,
    offset: batch.offset + start,
    text: batch.bytes.toString('latin1', start, batch.ends[i]),
  }));
  return batch.tooLong === null ? lines : [batch.tooLong, ...lines];
}

/** The same, told plainly. */
function expectedOf(bytes: Buffer, maxLineBytes: number): Told[] {
  const told: Told[] = [];
  const text = bytes.toString('latin1');
  let offset = 0;
  text.split('\n').forEach((raw, i) => {
    const mark = i === 0 && raw.startsWith('\xef\xbb\xbf') ? 3 : 0;
    const line = raw.slice(mark).replace(/\r$/, '');
    if (line.length > maxLineBytes) told.push({ number: i + 1, length: line.length });
    else if (/[^ \t\r]/.test(line)) told.push({ number: i + 1, offset: offset + mark, text: line });
    offset += raw.length + 1;
  });
  return told;
}

describe('splitting into lines', () => {
  it('tells number, offset and bytes of each line', async () => {
    expect(await read(streamOf('{"a":1}\n{"b":2}\n'))).toEqual([
      { number: 1, offset: 0, text: '{"a":1}' },
      { number: 2, offset: 8, text: '{"b":2}' },
    ]);
  });

  it('counts a last line without a line break', async () => {
    expect(await read(streamOf('a\nb'))).toEqual([
      { number: 1, offset: 0, text: 'a' },
      { number: 2, offset: 2, text: 'b' },
    ]);
  });

  it('skips blank lines, but counts them', async () => {
    expect(await read(streamOf('\n \t\r\n\r\na\n\n\nb\n\n'))).toEqual([
      { number: 4, offset: 7, text: 'a' },
      { number: 7, offset: 11, text: 'b' },
    ]);
  });

  it('takes one CR before the line break as part of it, and no other', async () => {
    const lines = await read(streamOf('a\r\nb\rc\r\r\nd\r'));
    expect(lines).toMatchObject([{ text: 'a' }, { text: 'b\rc\r' }, { text: 'd' }]);
  });

  it('skips a byte order mark at the start of the stream, and only there', async () => {
    expect(await read(streamOf('\uFEFFa\n\uFEFFb\n'))).toEqual([
      { number: 1, offset: 3, text: 'a' },
      { number: 2, offset: 5, text: '\xef\xbb\xbfb' },
    ]);
    expect(await read(streamOf('\n\uFEFFa'))).toMatchObject([{ number: 2, text: '\xef\xbb\xbfa' }]);
  });

  it.each([
    ['nothing', []],
    ['empty buffers', ['', '', '']],
    ['line breaks', ['\n\r\n', '\n']],
    ['a byte order mark', ['\uFEFF']],
  ])('finds no line in %s', async (_, parts) => {
    expect(await read(streamOf(...parts))).toEqual([]);
  });

  it('joins lines that straddle buffers', async () => {
    const parts = ['{"a"', ':', '', '1}', '\r', '\n{"b":2', '}\n{"c":3}\n', '{'];
    expect(await read(streamOf(...parts))).toEqual(expectedOf(Buffer.from(parts.join('')), 1000));
  });

  it('tells the same whatever the buffers are', async () => {
    const piece = fc.oneof(
      fc.constantFrom('\n', '\r\n', '\r', ' ', '\n\n\n', '\uFEFF', 'a', '{"a":1}\n', '0123456789abcdef'),
      fc.string({ maxLength: 8 }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 20 }).map((pieces) => Buffer.from(pieces.join(''))),
        fc.array(fc.nat({ max: 40 }), { maxLength: 10 }),
        fc.integer({ min: 1, max: 30 }),
        async (bytes, cuts, maxLineBytes) => {
          const places = [0, ...cuts, bytes.length].map((cut) => Math.min(cut, bytes.length));
          places.sort((a, b) => a - b);
          const parts = places.map((place, i) => bytes.subarray(places[i - 1] ?? 0, place));
          const told = await read(streamOf(...parts), maxLineBytes);
          const expected = expectedOf(bytes, maxLineBytes);
          // Of a first line that was given up early, nobody knows any more whether it began with a mark.
          const [first, expectedFirst] = [told[0], expected[0]];
          if (
            first !== undefined &&
            expectedFirst !== undefined &&
            'length' in first &&
            'length' in expectedFirst
          ) {
            expect([first.length, first.length - 3]).toContain(expectedFirst.length);
            first.length = expectedFirst.length;
          }
          expect(told).toEqual(expected);
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('lines that are too long', () => {
  it('are reported with number and length, and splitting goes on', async () => {
    const source = streamOf('a\n12345\n123456\r\nb\n', '1234567', '89\n', 'c\n');
    expect(await read(source, 5)).toEqual([
      { number: 1, offset: 0, text: 'a' },
      { number: 2, offset: 2, text: '12345' },
      { number: 3, length: 6 },
      { number: 4, offset: 16, text: 'b' },
      { number: 5, length: 9 },
      { number: 6, offset: 28, text: 'c' },
    ]);
  });

  it('may follow each other', async () => {
    expect(await read(streamOf('1234\n12345\n'), 3)).toEqual([
      { number: 1, length: 4 },
      { number: 2, length: 5 },
    ]);
  });

  it('may be the last one, with a CR or without a line break', async () => {
    expect(await read(streamOf('12345678901', '2345\r'), 3)).toEqual([{ number: 1, length: 15 }]);
    expect(await read(streamOf('1234'), 3)).toEqual([{ number: 1, length: 4 }]);
  });

  it('are measured without their line break and byte order mark', async () => {
    expect(await read(streamOf('\uFEFF123\r\n123\r\n'), 3)).toMatchObject([{ text: '123' }, { text: '123' }]);
    expect(await read(streamOf('\uFEFF1', '23\r', '\n12', '3\r'), 3)).toMatchObject([
      { text: '123' },
      { text: '123' },
    ]);
  });

  it('are not held in memory', async () => {
    const part = Buffer.alloc(256 * 1024, 'x');
    const before = process.memoryUsage().arrayBuffers;
    async function* longLine(): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 2000; i++) yield part;
      yield Buffer.from('\nend');
    }
    const told = await read(longLine(), 1024 * 1024);
    expect(told).toMatchObject([
      { number: 1, length: 2000 * part.length },
      { number: 2, text: 'end' },
    ]);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 1024 * 1024);
  });
});

describe('batches', () => {
  it('hold the lines of a buffer as they lie there, uncopied', async () => {
    const bytes = Buffer.from('a\nb\nc');
    const [batch, rest] = await readBatches(streamOf(bytes));
    expect(batch).toMatchObject({ offset: 0, starts: [0, 2], ends: [1, 3], numbers: [1, 2], tooLong: null });
    expect(batch?.bytes).toBe(bytes);
    expect(rest).toMatchObject({ offset: 4, starts: [0], ends: [1], numbers: [3] });
  });

  it('take plain byte arrays that are part of a larger memory', async () => {
    const memory = new TextEncoder().encode('xxa\nbxx').buffer;
    expect(await read(streamOf(new Uint8Array(memory, 2, 3)))).toMatchObject([{ text: 'a' }, { text: 'b' }]);
  });

  it('end after some 256 KB, so that their reader can take a breath', async () => {
    const line = `${'x'.repeat(999)}\n`;
    const batches = await readBatches(streamOf(line.repeat(2000)));
    expect(batches.map((batch) => batch.starts.length)).toEqual([263, 263, 263, 263, 263, 263, 263, 159, 0]);
    expect(batches.flatMap((batch) => batch.numbers)).toEqual(Array.from({ length: 2000 }, (_, i) => i + 1));
  });

  it('end after 2048 lines, however short these are', async () => {
    const batches = await readBatches(streamOf('x\n'.repeat(5000)));
    expect(batches.map((batch) => batch.starts.length)).toEqual([2048, 2048, 904, 0]);
  });

  it('come for blank lines too, though they are empty', async () => {
    const batches = await readBatches(streamOf('\n'.repeat(1024 * 1024), 'a'));
    expect(batches.map((batch) => batch.starts.length)).toEqual([0, 0, 0, 0, 0, 1]);
    expect(batches.at(-1)?.numbers).toEqual([1024 * 1024 + 1]);
  });

  it('are not spoilt by a source that uses its buffer again', async () => {
    const buffer = Buffer.alloc(4);
    async function* source(): AsyncGenerator<Uint8Array> {
      for (const part of ['a\nb1', '23\nc', '123\n']) {
        buffer.write(part);
        yield buffer;
      }
    }
    expect(await read(source())).toMatchObject([{ text: 'a' }, { text: 'b123' }, { text: 'c123' }]);
  });
});

describe('the source', () => {
  it('is closed where the reader stops early', async () => {
    let closed = false;
    async function* source(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield Buffer.from('a\n');
      } finally {
        closed = true;
      }
    }
    for await (const batch of splitLines(source(), { maxLineBytes: 10 })) {
      if (batch.numbers.includes(3)) break;
    }
    expect(closed).toBe(true);
  });

  it('fails the splitting where it fails', async () => {
    async function* source(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('a\n');
      throw new Error('the disk is gone');
    }
    await expect(read(source())).rejects.toThrow('the disk is gone');
  });
});
