import { createClaimRoom } from '../../../engine/run/claim-room.ts';
import type { ClaimRoom } from '../../../engine/run/claim-room.ts';
import { takeNext } from '../../../engine/owners/owner-turns.ts';
import type { OwnerTurns } from '../../../engine/owners/owner-turns.ts';
import type { ChunkClaim, ClaimChunksQuery } from '../../../engine/ports.ts';
import { byDeadline, byPriority } from './batches.ts';
import { sharesOf, weightOf } from './owners.ts';
import { isChunkDone } from './state.ts';
import type { BatchState, ChunkState, StoreState } from './state.ts';

/** Hands chunks out. */
export function claimChunks(
  state: StoreState,
  turns: OwnerTurns,
  query: ClaimChunksQuery,
): readonly ChunkClaim[] {
  const room = createClaimRoom(query);
  const except = query.oneEachExcept === null ? null : new Set(query.oneEachExcept);
  const shares = sharesOf(state, [...state.batches.values()].filter(hasReady), ({ chunks }) => {
    return [...chunks.values()].filter(({ worker }) => worker !== null).length;
  });
  const round = turns.startRound(shares);
  const findNext = (owner: string) => findNextChunk(state, owner, { room, above: query.above, except });
  const taken: NextChunk[] = [];
  while (taken.length < query.limit) {
    const next = takeNext(round, findNext);
    if (next === null) break;
    room.take(next.found.batch.id, next.chunk.chunk.model);
    except?.add(next.found.batch.id);
    next.chunk.worker = query.worker;
    next.chunk.epoch++;
    taken.push(next);
  }
  return taken.map((next) => toClaim(state, next));
}

interface Restrictions {
  readonly room: ClaimRoom;
  readonly above: ReadonlyMap<string, number>;
  /** Batches of which no chunk may be taken. */
  readonly except: ReadonlySet<string> | null;
}

interface NextChunk {
  readonly found: BatchState;
  /** Chunks of the batch that are claimed already. */
  readonly claimed: number;
  readonly chunk: ChunkState;
}

/** The chunk of an owner to hand out next. */
function findNextChunk(
  state: StoreState,
  owner: string,
  { room, above, except }: Restrictions,
): NextChunk | null {
  const [first] = [...state.batches.values()]
    .filter(({ batch }) => batch.owner === owner && batch.status === 'in_progress')
    .filter(({ batch }) => batch.priority > (above.get(owner) ?? -Infinity))
    .filter(({ batch }) => except?.has(batch.id) !== true)
    .flatMap((found) => findClaimable(found, room) ?? [])
    .toSorted(
      (a, b) =>
        byPriority(a.found.batch, b.found.batch) ||
        a.claimed - b.claimed ||
        byDeadline(a.found.batch, b.found.batch),
    );
  return first ?? null;
}

/** The batch's lowest ready chunk of a model that has room. */
function findClaimable(found: BatchState, room: ClaimRoom): NextChunk | undefined {
  const chunks = [...found.chunks.values()];
  const claimed = chunks.filter(({ worker }) => worker !== null).length;
  const chunk = chunks.find((ready) => isReady(ready) && room.has(found.batch.id, ready.chunk.model));
  return chunk === undefined ? undefined : { found, claimed, chunk };
}

function hasReady({ batch, chunks }: BatchState): boolean {
  return batch.status === 'in_progress' && [...chunks.values()].some(isReady);
}

function isReady(chunk: ChunkState): boolean {
  return chunk.worker === null && !isChunkDone(chunk);
}

function toClaim(state: StoreState, { found, chunk }: NextChunk): ChunkClaim {
  const { id, owner, endpoint, priority, expiresAt } = found.batch;
  if (found.input === null) throw new Error(`batch ${id} has chunks but no input`);
  return {
    batch: { id, owner, endpoint, priority, expiresAt, input: found.input, weight: weightOf(state, owner) },
    chunk: {
      ...chunk.chunk,
      batchId: id,
      epoch: chunk.epoch,
      done: chunk.done,
      crashes: chunk.crashes,
      trying: chunk.trying,
    },
    hasMore: hasReady(found),
  };
}
