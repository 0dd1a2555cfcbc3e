import { describe, expect, it } from 'vitest';
import { createMemoryBlobStore } from '../../../src/adapters/memory/index.ts';
import { readInputLines } from '../../../src/engine/run/chunk-input.ts';

/** Lines of `lineBytes` bytes, `gapBytes` bytes of other lines between them. */
async function read(options: { readonly lineBytes: number; readonly gapBytes: number }) {
  const { lineBytes, gapBytes } = options;
  const lines = Array.from({ length: 20 }, (_, i) => Buffer.alloc(lineBytes, 97 + i));
  const blobs = createMemoryBlobStore();
  const writer = await blobs.create();
  for (const line of lines) await writer.write(Buffer.concat([line, Buffer.alloc(gapBytes, '-')]));
  const { key } = await writer.seal();
  await writer.publish();
  let reads = 0;
  const counting = {
    ...blobs,
    async readRange(key: string, start: number, length: number): Promise<Buffer> {
      reads++;
      // A buffer of its own, as a disk answers it.
      return Buffer.from(Uint8Array.from(await blobs.readRange(key, start, length)).buffer);
    },
  };
  const index = {
    numbers: lines.map((_, i) => i + 1),
    offsets: lines.map((_, i) => i * (lineBytes + gapBytes)),
    lengths: lines.map(() => lineBytes),
    parts: lines.map(() => ({ customIdStart: 0, customIdEnd: 0, bodyStart: 0, bodyEnd: 0 })),
  };
  const found = await readInputLines(counting, key, index, [...lines.keys()]);
  expect(found.map(String)).toEqual(lines.map(String));
  const heldBytes = [...new Set(found.map(({ buffer }) => buffer))].reduce((sum, b) => sum + b.byteLength, 0);
  return { reads, heldBytes };
}

describe('the input lines of a chunk', () => {
  it('are read together where they are neighbours, and share that memory', async () => {
    expect(await read({ lineBytes: 1000, gapBytes: 1 })).toEqual({ reads: 1, heldBytes: 20 * 1001 - 1 });
  });

  it('are read together over gaps, and do not hold these in memory where they are most of it', async () => {
    expect(await read({ lineBytes: 100, gapBytes: 60_000 })).toEqual({ reads: 1, heldBytes: 20 * 100 });
  });

  it('are read one by one where the gaps are large', async () => {
    expect((await read({ lineBytes: 100, gapBytes: 70_000 })).reads).toBe(20);
  });
});
