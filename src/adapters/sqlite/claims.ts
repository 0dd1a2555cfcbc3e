import type { Database } from 'better-sqlite3';
import { createClaimRoom } from '../../engine/run/claim-room.ts';
import type { ClaimRoom } from '../../engine/run/claim-room.ts';
import type { ChunkClaim, ChunkRef, ClaimChunksQuery, Store } from '../../engine/ports.ts';
import { createOwnerTurns, takeNext } from '../../engine/owners/owner-turns.ts';
import type { OwnerShare } from '../../engine/owners/owner-turns.ts';
import { toClaim } from '../sql/chunk-rows.ts';
import type { ClaimedRow } from '../sql/chunk-rows.ts';
import { transaction } from './transaction.ts';

export type ClaimVerbs = Pick<Store, 'claimChunks' | 'releaseChunks' | 'findStoppedBatches'>;

/** Who works on which chunk. `batches.chunks_claimed` counts the claimed ones: each change here keeps it right. */
export function createClaimVerbs(db: Database): ClaimVerbs {
  const claim = createClaimChunks(db);
  const release = createReleaseChunks(db);
  const findStopped = db
    .prepare<[string], string>(
      `
      select b.id
      from batches b
      where b.chunks_claimed > 0
        and b.status <> 'in_progress'
        and exists (select 1 from chunks c where c.batch = b.seq and c.state = 'claimed' and c.worker = ?)
      `,
    )
    .pluck();

  return {
    claimChunks: async (query) => claim(query),
    releaseChunks: async (chunks) => release(chunks),
    findStoppedBatches: async (worker) => findStopped.all(worker),
  };
}

function createClaimChunks(db: Database): (query: ClaimChunksQuery) => ChunkClaim[] {
  const turns = createOwnerTurns();
  const shares = createReadShares(db);
  const findNext = createFindNextChunk(db);
  const hold = createHoldChunk(db);
  const read = createReadClaim(db);
  // One chunk at a time: each is chosen from counts that include the ones before it, which is what makes the
  // choice fair, and costs some 20 µs. Ranking all ready chunks by window functions reads every one of them.
  return transaction(db, (query: ClaimChunksQuery): ChunkClaim[] => {
    const progress: ClaimProgress = {
      room: createClaimRoom(query),
      passed: new Map(),
      except: query.oneEachExcept === null ? null : new Set(query.oneEachExcept),
    };
    const round = turns.startRound(shares());
    const taken: NextChunk[] = [];
    while (taken.length < query.limit) {
      const next = takeNext(round, (owner) => findNext(owner, query, progress));
      if (next === null) break;
      hold(query.worker, next);
      progress.room.take(next.batchId, next.model);
      progress.except?.add(next.batchId);
      taken.push(next);
    }
    return taken.map(read);
  });
}

/** Reads which owners have batches with ready chunks, and how many chunks of each are claimed. */
function createReadShares(db: Database): () => OwnerShare[] {
  // From one owner to the next: an owner may have thousands of batches.
  const read = db.prepare<[], OwnerShare>(`
    with recursive active (owner) as (
      select min(owner) from batches where status = 'in_progress' and chunks_claimed < chunks_left
      union all
      select (
        select min(b.owner)
        from batches b
        where b.status = 'in_progress' and b.chunks_claimed < b.chunks_left and b.owner > active.owner
      )
      from active
      where active.owner is not null
    )
    select
      active.owner,
      coalesce(o.weight, 1) as weight,
      coalesce(
        (select sum(b.chunks_claimed) from batches b where b.owner = active.owner and b.chunks_claimed > 0),
        0
      ) as held
    from active
      left join owners o on o.owner = active.owner
    where active.owner is not null
  `);
  return () => read.all();
}

/** What one claim knows from the chunks that it has looked at. */
interface ClaimProgress {
  readonly room: ClaimRoom;
  /** By batch: up to this number no chunk can be claimed any more, for room never grows within a claim. */
  readonly passed: Map<number, number>;
  /** Batches of which no chunk may be taken, those of which one was taken included; null: several may be taken of each. */
  readonly except: Set<string> | null;
}

interface NextChunk {
  /** Of its batch. */
  readonly seq: number;
  readonly batchId: string;
  readonly number: number;
  readonly model: string;
}

/** Finds the chunk of an owner to hand out next. */
function createFindNextChunk(
  db: Database,
): (owner: string, query: ClaimChunksQuery, progress: ClaimProgress) => NextChunk | null {
  const candidates = db.prepare<
    [{ readonly owner: string; readonly above: number }],
    { readonly seq: number; readonly id: string }
  >(`
    select b.seq, b.id
    from batches b
    where b.owner = :owner
      and b.status = 'in_progress'
      and b.chunks_claimed < b.chunks_left
      and b.priority > :above
    order by b.priority desc, b.chunks_claimed, b.expires_at, b.seq
  `);
  // In order, past those of models without room. These are few, however many models there are: a model without room has
  // other chunks that are held, and a model with several chunks has filled all but the last one.
  const ready = db.prepare<[number, number], { readonly number: number; readonly model: string }>(`
    select c.number, c.model
    from chunks c
    where c.batch = ? and c.state = 'ready' and c.number > ?
    order by c.number
  `);

  function findInBatch(seq: number, batchId: string, { room, passed }: ClaimProgress): NextChunk | null {
    const after = passed.get(seq) ?? -1;
    if (after === Infinity) return null;
    for (const { number, model } of ready.iterate(seq, after)) {
      if (room.has(batchId, model)) return { seq, batchId, number, model };
      passed.set(seq, number);
    }
    passed.set(seq, Infinity);
    return null;
  }

  return (owner, { above }, progress) => {
    for (const { seq, id } of candidates.iterate({ owner, above: above.get(owner) ?? ALL })) {
      if (progress.except?.has(id) === true) continue;
      const next = findInBatch(seq, id, progress);
      if (next !== null) return next;
    }
    return null;
  };
}

/** Below every priority. */
const ALL = Number.MIN_SAFE_INTEGER;

/** Marks one chunk as claimed. */
function createHoldChunk(db: Database): (worker: string, chunk: NextChunk) => void {
  const hold = db.prepare<[string, number, number]>(`
    update chunks
    set state = 'claimed', worker = ?, epoch = epoch + 1
    where batch = ? and number = ?
  `);
  const count = db.prepare<[number]>('update batches set chunks_claimed = chunks_claimed + 1 where seq = ?');
  return (worker, { seq, number }) => {
    hold.run(worker, seq, number);
    count.run(seq);
  };
}

/** Reads what the worker of a claimed chunk needs. */
function createReadClaim(db: Database): (chunk: NextChunk) => ChunkClaim {
  const get = db.prepare<[number, number], ClaimedRow>(`
    select
      b.id, b.owner, b.endpoint, b.priority, b.expires_at, b.input_key, b.input_bytes,
      c.number, c.model, c.line_count, c.first_line, c.bytes, c.epoch, c.crashes, c.trying, c.trying_deaths, c.done,
      i.line_index, coalesce(o.weight, 1) as weight, b.chunks_claimed < b.chunks_left as has_more
    from chunks c
      join batches b on b.seq = c.batch
      join line_indexes i on i.batch = c.batch and i.chunk = c.number
      left join owners o on o.owner = b.owner
    where c.batch = ? and c.number = ?
  `);
  return ({ seq, number }) => {
    const row = get.get(seq, number);
    if (row === undefined) throw new Error(`chunk ${number} of batch ${seq} is incomplete`);
    return toClaim(row);
  };
}

function createReleaseChunks(db: Database): (chunks: readonly ChunkRef[]) => void {
  const release = db
    .prepare<[string, number, number], number>(
      `
      update chunks
      set state = 'ready', worker = null, trying = null, trying_deaths = 0
      where batch = (select seq from batches where id = ?) and number = ? and epoch = ? and state = 'claimed'
      returning batch
      `,
    )
    .pluck();
  const uncount = db.prepare<[number]>(
    'update batches set chunks_claimed = chunks_claimed - 1 where seq = ?',
  );
  return transaction(db, (chunks: readonly ChunkRef[]) => {
    for (const { batchId, chunkNumber, epoch } of chunks) {
      const batch = release.get(batchId, chunkNumber, epoch);
      if (batch !== undefined) uncount.run(batch);
    }
  });
}
