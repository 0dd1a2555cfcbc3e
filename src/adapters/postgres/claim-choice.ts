/** Which chunks a claim takes. */
import type { ClaimChunksQuery } from '../../engine/ports.ts';
import { createClaimRoom } from '../../engine/run/claim-room.ts';
import type { ClaimRoom } from '../../engine/run/claim-room.ts';
import type { Sql } from './database.ts';

// Not `exists`, which may be made a join: of all owners' chunks where few are thought to be of other models.
const READ_BATCHES = `
  select
    b.seq, b.id, b.priority, b.expires_at,
    (select count(*) from chunks c where c.batch = b.seq and c.state = 'claimed') as claimed
  from batches b
  where b.owner = $1 and b.status = 'in_progress' and b.priority > $2 and b.id <> all ($3::text[])
    and (
      select true from chunks c where c.batch = b.seq and c.state = 'ready' and c.model <> all ($4::text[]) limit 1
    )
  order by b.priority desc, b.expires_at, b.seq
  limit 1000
`;

const READ_READY = `
  select c.number, c.model
  from chunks c
  where c.batch = $1 and c.state = 'ready' and c.number > $2 and c.model <> all ($3::text[])
  order by c.number
  limit $4
  for update skip locked
`;

/** A batch of which chunks may be taken. */
interface Candidate {
  readonly seq: number;
  readonly id: string;
  readonly priority: number;
  readonly expires_at: number;
  /** Chunks that are claimed, those of this claim included. */
  claimed: number;
  /** Ready chunks that were read and not taken, in order. */
  ready?: ReadyChunk[];
  /** The number of the last chunk that was read. */
  readTo?: number;
  /** Models without room, as far as is known: room never grows within a claim. */
  full?: Set<string>;
}

interface ReadyChunk {
  readonly number: number;
  readonly model: string;
}

export interface ChosenChunk {
  readonly batch: number;
  readonly number: number;
}

/** Chooses one chunk after the other, each by counts that include the ones before it. */
export function createChoice(
  sql: Sql,
  query: ClaimChunksQuery,
): { next(owner: string): Promise<ChosenChunk | null> } {
  const room = createClaimRoom(query);
  const candidatesOf = new Map<string, Candidate[]>();
  /** All that were ever read, by `seq`: what was taken of them cannot be read yet. */
  const known = new Map<number, Candidate>();
  /** Those of which nothing may be taken any more. */
  const done = new Set<Candidate>();

  async function readCandidates(owner: string): Promise<Candidate[]> {
    const above = query.above.get(owner) ?? Number.MIN_SAFE_INTEGER;
    const rows = await sql.all<Candidate>(
      READ_BATCHES,
      owner,
      Math.max(above, -32_768),
      [...(query.oneEachExcept ?? [])],
      room.fullModels(),
    );
    for (const row of rows) if (!known.has(row.seq)) known.set(row.seq, row);
    return rows.map((row) => known.get(row.seq) ?? row).filter((candidate) => !done.has(candidate));
  }

  return {
    async next(owner) {
      for (;;) {
        let candidates = candidatesOf.get(owner);
        if (candidates === undefined) candidatesOf.set(owner, (candidates = await readCandidates(owner)));
        const first = firstOf(candidates);
        if (first === undefined) return null;
        const chunk = await takeReady(sql, first, room, query);
        if (chunk === undefined || query.oneEachExcept !== null) {
          candidates.splice(candidates.indexOf(first), 1);
          done.add(first);
        }
        if (chunk === undefined) continue;
        room.take(first.id, chunk.model);
        first.claimed++;
        // Batches that have nothing but this model may stand before all others.
        if (room.fullModels().includes(chunk.model)) candidatesOf.clear();
        return { batch: first.seq, number: chunk.number };
      }
    },
  };
}

/** Of the highest priority the one with the fewest chunks claimed; among those the nearest deadline. They come in that order. */
function firstOf(candidates: readonly Candidate[]): Candidate | undefined {
  let first: Candidate | undefined;
  for (const candidate of candidates) {
    if (first !== undefined && candidate.priority < first.priority) break;
    if (first === undefined || candidate.claimed < first.claimed) first = candidate;
  }
  return first;
}

/** The batch's next ready chunk of a model that has room; undefined where there is none. */
async function takeReady(
  sql: Sql,
  candidate: Candidate,
  room: ClaimRoom,
  query: ClaimChunksQuery,
): Promise<ReadyChunk | undefined> {
  const full = (candidate.full ??= modelsWithoutRoom(candidate.id, room, query));
  for (;;) {
    const ready = (candidate.ready ??= []);
    const at = ready.findIndex(({ model }) => room.has(candidate.id, model));
    if (at !== -1) return ready.splice(at, 1)[0];
    for (const { model } of ready) full.add(model);
    candidate.ready = await sql.all<ReadyChunk>(
      READ_READY,
      candidate.seq,
      candidate.readTo ?? -1,
      [...full],
      query.limit,
    );
    const last = candidate.ready.at(-1);
    if (last === undefined) return undefined;
    candidate.readTo = last.number;
  }
}

/** Of these the batch's chunks need not even be read. */
function modelsWithoutRoom(
  batchId: string,
  room: ClaimRoom,
  { held, perModel }: ClaimChunksQuery,
): Set<string> {
  const full = held.filter((chunks) => chunks.batchId === batchId && chunks.chunks >= perModel);
  return new Set([...full.map(({ model }) => model), ...room.fullModels()]);
}
