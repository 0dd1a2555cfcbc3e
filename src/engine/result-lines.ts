import { decodeSegmentLines } from './chunk.ts';
import type { EngineContext } from './context.ts';
import type { SegmentRecord } from './chunk.ts';

/** Where the result line of one place of a chunk lies in the result log. */
interface ResultLocation {
  readonly position: number;
  readonly length: number;
  readonly succeeded: boolean;
}

/** A chunk whose results have at most this many bytes is read segment by segment; of a larger one, line by line. */
const WHOLE_SEGMENTS_BYTES = 4 * 1024 * 1024;

/** The committed result lines of one chunk. */
export interface ResultLines {
  /** The result line at `place` and the file it belongs to, or null where the line was not finished. */
  read(place: number): Promise<{ readonly bytes: Buffer; readonly succeeded: boolean } | null>;
}

/** Opens a chunk's result lines: few large reads where they are small, one read a line where they are large. */
export async function openResultLines(
  ctx: EngineContext,
  batchId: string,
  chunkNumber: number,
): Promise<ResultLines> {
  const segments = await ctx.store.readSegments(batchId, chunkNumber);
  const locations = new Map<number, ResultLocation>();
  const spans = segments.map((segment) => locate(segment, locations));
  const held: { position: number; bytes: Buffer }[] = [];
  if (spans.reduce((sum, span) => sum + span.length, 0) <= WHOLE_SEGMENTS_BYTES) {
    for (const { position, length } of spans) {
      held.push({ position, bytes: await ctx.results.read(batchId, position, length) });
    }
  }

  async function bytesAt(position: number, length: number): Promise<Buffer> {
    for (const part of held) {
      const start = position - part.position;
      if (start >= 0 && start < part.bytes.length) return part.bytes.subarray(start, start + length);
    }
    return await ctx.results.read(batchId, position, length);
  }

  return {
    async read(place) {
      const location = locations.get(place);
      if (location === undefined) return null;
      return { bytes: await bytesAt(location.position, location.length), succeeded: location.succeeded };
    },
  };
}

function locate(
  segment: SegmentRecord,
  locations: Map<number, ResultLocation>,
): { position: number; length: number } {
  const lines = decodeSegmentLines(segment.lines);
  let position = segment.logPosition;
  lines.places.forEach((place, i) => {
    const length = lines.lengths[i] as number;
    locations.set(place, { position, length, succeeded: lines.succeeded[i] as boolean });
    position += length;
  });
  return { position: segment.logPosition, length: position - segment.logPosition };
}
