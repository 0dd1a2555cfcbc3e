import type { LineIndex } from './chunk.ts';
import type { BlobStore } from '../ports.ts';

/** Lines nearer to each other than this are read together, gap included: one read costs about as much. Bytes. */
const MAX_GAP_BYTES = 64 * 1024;
/** A read is not extended beyond this, so that a gap never costs much memory. Bytes. */
const MAX_READ_BYTES = 4 * 1024 * 1024;

/**
 * Reads the input lines at `places` (ascending) of a chunk with few reads. Answers one buffer a place, in order;
 * neighbours share memory. Lines of other models between them are skipped or read over; at least half of the memory that
 * the buffers hold is lines that were asked for.
 */
export async function readInputLines(
  blobs: BlobStore,
  key: string,
  index: LineIndex,
  places: readonly number[],
): Promise<Buffer[]> {
  const lines: Buffer[] = [];
  let first = 0;
  while (first < places.length) {
    const start = index.offsets[places[first] as number] as number;
    let last = first;
    let end = lineEnd(index, places[first] as number);
    while (last + 1 < places.length) {
      const next = places[last + 1] as number;
      const gap = (index.offsets[next] as number) - end;
      if (gap > MAX_GAP_BYTES || lineEnd(index, next) - start > MAX_READ_BYTES) break;
      end = lineEnd(index, next);
      last++;
    }
    const bytes = await blobs.readRange(key, start, end - start);
    const found: Buffer[] = [];
    for (; first <= last; first++) {
      const place = places[first] as number;
      found.push(bytes.subarray((index.offsets[place] as number) - start, lineEnd(index, place) - start));
    }
    lines.push(...withoutGaps(found, bytes.length));
  }
  return lines;
}

/** The lines of one read of so many bytes; copied where they are less than half of it: each would hold all of the read. */
function withoutGaps(lines: readonly Buffer[], readBytes: number): readonly Buffer[] {
  const lineBytes = lines.reduce((sum, line) => sum + line.length, 0);
  if (lineBytes * 2 >= readBytes) return lines;
  const copy = Buffer.allocUnsafeSlow(lineBytes);
  let end = 0;
  return lines.map((line) => {
    const start = end;
    end += line.copy(copy, start);
    return copy.subarray(start, end);
  });
}

function lineEnd(index: LineIndex, place: number): number {
  return (index.offsets[place] as number) + (index.lengths[place] as number);
}
