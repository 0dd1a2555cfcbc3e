import { decodeSegmentLines } from './chunk.ts';
import type { EngineContext } from '../context.ts';
import type { SegmentRecord } from './chunk.ts';

/** Where the result line of one place of a chunk lies in the result log. */
interface ResultLocation {
  /** Its segment's place among the chunk's, and where that begins. */
  readonly segment: number;
  readonly segmentPosition: number;
  readonly position: number;
  readonly length: number;
  readonly succeeded: boolean;
}

interface Span {
  readonly position: number;
  readonly length: number;
}

/** A chunk whose results have at most this many bytes is read segment by segment; of a larger one, line by line. */
const WHOLE_SEGMENTS_BYTES = 4 * 1024 * 1024;

/** One result line and the file that it belongs to. */
export interface ResultLine {
  readonly bytes: Buffer;
  readonly succeeded: boolean;
}

/** The committed result lines of one chunk. */
export interface ResultLines {
  /** The result line at `place`, or null where the line was not finished. A promise only where it must be read. */
  read(place: number): ResultLine | null | Promise<ResultLine>;
}

/** Opens a chunk's result lines: few large reads where they are small, one read a line where they are large. */
export async function openResultLines(
  ctx: EngineContext,
  batchId: string,
  chunkNumber: number,
): Promise<ResultLines> {
  const segments = await ctx.store.readSegments(batchId, chunkNumber);
  const locations: ResultLocation[] = [];
  const spans = segments.map((segment, i) => locate(segment, i, locations));
  const isHeld = spans.reduce((sum, span) => sum + span.length, 0) <= WHOLE_SEGMENTS_BYTES;
  const held = isHeld
    ? await Promise.all(spans.map(({ position, length }) => ctx.results.read(batchId, position, length)))
    : null;

  return {
    read(place) {
      const location = locations[place];
      if (location === undefined) return null;
      const { segment, segmentPosition, position, length, succeeded } = location;
      if (held === null) {
        return ctx.results.read(batchId, position, length).then((bytes) => ({ bytes, succeeded }));
      }
      const start = position - segmentPosition;
      return { bytes: (held[segment] as Buffer).subarray(start, start + length), succeeded };
    },
  };
}

/** Notes where the segment's lines lie, by their places; answers where the segment does. */
function locate({ lines, logPosition }: SegmentRecord, segment: number, locations: ResultLocation[]): Span {
  const { places, lengths, succeeded } = decodeSegmentLines(lines);
  let position = logPosition;
  places.forEach((place, i) => {
    const length = lengths[i] as number;
    locations[place] = {
      segment,
      segmentPosition: logPosition,
      position,
      length,
      succeeded: succeeded[i] as boolean,
    };
    position += length;
  });
  return { position: logPosition, length: position - logPosition };
}
