import { countDone, encodeSegmentLines, withDone } from '../../../engine/run/chunk.ts';
import type { NewSegment } from '../../../engine/run/chunk.ts';
import type { ChunkRef, Fenced, Store } from '../../../engine/ports.ts';
import { createOwnerTurns } from '../../../engine/owners/owner-turns.ts';
import { addUsage } from '../../../engine/run/usage.ts';
import { claimChunks } from './claims.ts';
import { isChunkDone, stepTime } from './state.ts';
import type { BatchState, ChunkState, StoreState } from './state.ts';

export type ChunkVerbs = Pick<
  Store,
  | 'readChunks'
  | 'readSegments'
  | 'claimChunks'
  | 'markTrying'
  | 'commitSegments'
  | 'releaseChunks'
  | 'findStoppedBatches'
>;

export function createChunkVerbs(state: StoreState): ChunkVerbs {
  const turns = createOwnerTurns();

  /** The fence of every write of a chunk's worker: the chunk, where it is claimed under this very epoch. */
  function findClaimed({ batchId, chunkNumber, epoch }: ChunkRef): ChunkState | undefined {
    const found = state.batches.get(batchId)?.chunks.get(chunkNumber);
    return found?.epoch === epoch && found.worker !== null ? found : undefined;
  }

  function commit(segment: NewSegment, now: number): Fenced {
    const found = findClaimed(segment);
    if (found === undefined || !addSegment(state, found, segment)) return 'lost';
    if (isChunkDone(found)) endChunk(state.batches.get(segment.batchId) as BatchState, found, now);
    return 'ok';
  }

  return {
    async readChunks(batchId, fromNumber, limit) {
      const chunks = [...(state.batches.get(batchId)?.chunks.values() ?? [])];
      return chunks
        .filter(({ chunk }) => chunk.number >= fromNumber)
        .slice(0, limit)
        .map(({ chunk, done }) => ({ ...chunk, done }));
    },
    async readSegments(batchId, chunkNumber) {
      const segments = state.batches.get(batchId)?.chunks.get(chunkNumber)?.segments ?? [];
      return segments.map(({ logPosition, lines }) => ({ chunkNumber, logPosition, lines }));
    },
    claimChunks: async (query) => claimChunks(state, turns, query),
    async markTrying(ref, place): Promise<Fenced> {
      const found = findClaimed(ref);
      if (found === undefined) return 'lost';
      const deaths = found.trying?.place === place ? found.trying.deaths : 0;
      found.trying = place === null ? null : { place, deaths: deaths + 1 };
      return 'ok';
    },
    async commitSegments(segments, now) {
      return segments.map((segment) => commit(segment, now));
    },
    async releaseChunks(chunks) {
      for (const ref of chunks) {
        const found = findClaimed(ref);
        if (found !== undefined) Object.assign(found, { worker: null, trying: null });
      }
    },
    async findStoppedBatches(worker) {
      return [...state.batches.values()]
        .filter(({ batch }) => batch.status !== 'in_progress')
        .filter(({ chunks }) => [...chunks.values()].some((chunk) => chunk.worker === worker))
        .map(({ batch }) => batch.id);
    },
  };
}

/** Adds the segment's lines to the chunk; false, and nothing added, where one of them was done already. */
function addSegment(state: StoreState, found: ChunkState, segment: NewSegment): boolean {
  const { lines, logPosition, usage, chunkNumber } = segment;
  const done = withDone(found.done, lines.places);
  const finished = found.completed + found.failed + lines.places.length;
  if (countDone(done, found.chunk.lineCount) !== finished) return false;
  const completed = lines.succeeded.filter(Boolean).length;
  found.done = done;
  found.crashes = 0;
  found.completed += completed;
  found.failed += lines.places.length - completed;
  found.usage = addUsage(found.usage, usage);
  found.segments.push({
    seq: ++state.segmentSeq,
    chunkNumber,
    logPosition,
    lines: encodeSegmentLines(lines),
  });
  return true;
}

/** Releases a chunk whose last line is done. The last chunk of a running batch takes it to `finalizing`. */
function endChunk(found: BatchState, chunk: ChunkState, now: number): void {
  chunk.worker = null;
  if (found.batch.status !== 'in_progress' || ![...found.chunks.values()].every(isChunkDone)) return;
  found.batch = {
    ...found.batch,
    status: 'finalizing',
    ending: 'completed',
    finalizingAt: stepTime(found.batch, now),
  };
}
