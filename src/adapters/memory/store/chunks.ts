import { createClaimRoom } from '../../../engine/claim-room.ts';
import type { ClaimRoom } from '../../../engine/claim-room.ts';
import { countDone, encodeSegmentLines, withDone } from '../../../engine/chunk.ts';
import type { NewSegment } from '../../../engine/chunk.ts';
import type { ChunkClaim, ChunkRef, ClaimChunksQuery, Fenced, Store } from '../../../engine/ports.ts';
import { addUsage } from '../../../engine/usage.ts';
import { byDeadline, byPriority } from './batches.ts';
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
    async claimChunks(query) {
      const room = createClaimRoom(query);
      const claims: ChunkClaim[] = [];
      while (claims.length < query.limit) {
        const next = findNextChunk(state, query, room);
        if (next === undefined) break;
        room.take(next.found.batch.id, next.chunk.chunk.model);
        next.chunk.worker = query.worker;
        next.chunk.epoch++;
        claims.push(toClaim(next));
      }
      return claims;
    },
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

interface NextChunk {
  readonly found: BatchState;
  /** Chunks of the batch that are claimed already. */
  readonly claimed: number;
  readonly chunk: ChunkState;
}

function findNextChunk(state: StoreState, query: ClaimChunksQuery, room: ClaimRoom): NextChunk | undefined {
  return [...state.batches.values()]
    .filter(({ batch }) => batch.status === 'in_progress' && batch.priority >= query.minPriority)
    .flatMap((found) => findClaimable(found, room) ?? [])
    .filter(({ claimed }) => claimed === 0 || !query.idleBatchesOnly)
    .toSorted(
      (a, b) =>
        byPriority(a.found.batch, b.found.batch) ||
        a.claimed - b.claimed ||
        byDeadline(a.found.batch, b.found.batch),
    )[0];
}

/** The batch's lowest ready chunk of a model that has room. */
function findClaimable(found: BatchState, room: ClaimRoom): NextChunk | undefined {
  const chunks = [...found.chunks.values()];
  const claimed = chunks.filter(({ worker }) => worker !== null).length;
  const chunk = chunks.find(
    (ready) => ready.worker === null && !isChunkDone(ready) && room.has(found.batch.id, ready.chunk.model),
  );
  return chunk === undefined ? undefined : { found, claimed, chunk };
}

function toClaim({ found, chunk }: NextChunk): ChunkClaim {
  const { id, owner, endpoint, priority, expiresAt } = found.batch;
  if (found.input === null) throw new Error(`batch ${id} has chunks but no input`);
  return {
    batch: { id, owner, endpoint, priority, expiresAt, input: found.input },
    chunk: {
      ...chunk.chunk,
      batchId: id,
      epoch: chunk.epoch,
      done: chunk.done,
      crashes: chunk.crashes,
      trying: chunk.trying,
    },
  };
}
