import type { Database } from 'better-sqlite3';
import { canTransition } from '../../engine/batches/batch.ts';
import type { BatchStatus } from '../../engine/batches/batch.ts';
import { newDoneBits } from '../../engine/run/chunk.ts';
import { createOwnerTurns, takeNext } from '../../engine/owners/owner-turns.ts';
import type { OwnerShare } from '../../engine/owners/owner-turns.ts';
import type { OverLimit } from '../../engine/owners/owner.ts';
import type { BatchStep, Fenced, Store } from '../../engine/ports.ts';
import type { BatchReader } from './batch-reader.ts';
import type { InsertEvent } from './events.ts';
import type { Room } from './owner-usage.ts';
import { transaction } from './transaction.ts';

export type StepVerbs = Pick<Store, 'claimBatchStep' | 'releaseBatchStep' | 'startBatch' | 'failBatch'>;

/** A batch whose step is held. */
interface HeldBatch {
  readonly seq: number;
  readonly owner: string;
  readonly status: BatchStatus;
  readonly ending: 'completed' | 'expired' | null;
}

/** The fence of every write of a step: the batch, where its step is held under this very epoch. */
export type FindHeld = (batchId: string, epoch: number) => HeldBatch | undefined;

export function createFindHeld(db: Database): FindHeld {
  const find = db.prepare<[string, number], HeldBatch>(`
    select seq, owner, status, ending
    from batches
    where id = ? and step_epoch = ? and step_worker is not null
  `);
  return (batchId, epoch) => find.get(batchId, epoch);
}

interface StepParts {
  readonly reader: BatchReader;
  readonly insertEvent: InsertEvent;
  readonly room: Room;
}

/** The steps of a batch's life up to its start; `finish.ts` has the last one. */
export function createStepVerbs(db: Database, { reader, insertEvent, room }: StepParts): StepVerbs {
  const claim = createClaimStep(db, reader);
  const release = db.prepare<[string, number]>(`
    update batches
    set step_worker = null
    where id = ? and step_epoch = ? and step_worker is not null
  `);
  const start = createStartBatch(db, insertEvent, room);
  const fail = createFailBatch(db, insertEvent);

  return {
    claimBatchStep: async (worker) => claim(worker),
    releaseBatchStep: async (batchId, epoch) => (release.run(batchId, epoch).changes === 1 ? 'ok' : 'lost'),
    startBatch: async (options) => start(options),
    failBatch: async (options) => fail(options),
  };
}

function createClaimStep(db: Database, reader: BatchReader): (worker: string) => BatchStep | null {
  const turns = createOwnerTurns();
  const shares = createReadShares(db);
  const findNext = db
    .prepare<[string], number>(
      `
      select seq
      from batches
      where owner = ?
        and status in ('validating', 'finalizing', 'cancelling') and step_worker is null and chunks_claimed = 0
      order by priority desc, expires_at, seq
      limit 1
      `,
    )
    .pluck();
  const hold = db.prepare<
    [string, number],
    { readonly step_epoch: number; readonly input_key: string | null; readonly input_bytes: number | null }
  >(`
    update batches
    set step_worker = ?, step_epoch = step_epoch + 1
    where seq = ?
    returning step_epoch, input_key, input_bytes
  `);

  return transaction(db, (worker: string): BatchStep | null => {
    const seq = takeNext(turns.startRound(shares()), (owner) => findNext.get(owner) ?? null);
    if (seq === null) return null;
    const row = hold.get(worker, seq);
    if (row === undefined) return null;
    const { step_epoch: epoch, input_key: key, input_bytes: bytes } = row;
    const batch = reader.read(seq);
    return {
      step: batch.status === 'validating' ? 'prepare' : 'finalize',
      batch,
      input: key === null || bytes === null ? null : { key, bytes },
      epoch,
    };
  });
}

/** Reads which owners have batches that wait for a step, and how many steps of each are under way. */
function createReadShares(db: Database): () => OwnerShare[] {
  // From one owner to the next: an owner may have thousands of batches.
  const read = db.prepare<[], OwnerShare>(`
    with recursive active (owner) as (
      select min(owner)
      from batches
      where status in ('validating', 'finalizing', 'cancelling') and step_worker is null and chunks_claimed = 0
      union all
      select (
        select min(b.owner)
        from batches b
        where b.status in ('validating', 'finalizing', 'cancelling') and b.step_worker is null and b.chunks_claimed = 0
          and b.owner > active.owner
      )
      from active
      where active.owner is not null
    )
    select
      active.owner,
      coalesce(o.weight, 1) as weight,
      (select count(*) from batches b where b.owner = active.owner and b.step_worker is not null) as held
    from active
      left join owners o on o.owner = active.owner
    where active.owner is not null
  `);
  return () => read.all();
}

/** Ends a `prepare` whose batch is no longer validating, so that the batch's next step can be claimed. */
function createFreeStep(db: Database): (seq: number) => void {
  const free = db.prepare<[number]>('update batches set step_worker = null where seq = ?');
  return (seq) => {
    free.run(seq);
  };
}

type Start = Parameters<Store['startBatch']>[0];

function createStartBatch(
  db: Database,
  insertEvent: InsertEvent,
  room: Room,
): (start: Start) => Fenced | OverLimit {
  const findHeld = createFindHeld(db);
  const freeStep = createFreeStep(db);
  const setStarted = db.prepare(`
    update batches
    set status = 'in_progress', in_progress_at = max(:now, created_at), step_worker = null, model = :model,
      input_key = :key, input_bytes = :bytes, total = :total, lines_left = :total, chunks_left = :chunks
    where seq = :seq
  `);
  const insertChunk = db.prepare<[number, number, string, number, number, number, Uint8Array]>(`
    insert into chunks (batch, number, model, line_count, first_line, bytes, done)
    values (?, ?, ?, ?, ?, ?, ?)
  `);
  const insertIndex = db.prepare<[number, number, Uint8Array]>(
    'insert into line_indexes (batch, chunk, line_index) values (?, ?, ?)',
  );

  return transaction(db, (start: Start): Fenced | OverLimit => {
    const { batchId, epoch, now, input, model, chunks, event, limits } = start;
    const held = findHeld(batchId, epoch);
    if (held === undefined) return 'lost';
    const { seq, status, owner } = held;
    if (!canTransition(status, 'in_progress')) {
      freeStep(seq);
      return 'lost';
    }
    const total = chunks.reduce((sum, chunk) => sum + chunk.lineCount, 0);
    const over = room.lines(owner, limits, total);
    if (over !== null) return over;
    setStarted.run({ seq, now, model, ...input, total, chunks: chunks.length });
    for (const { number, model, lineCount, firstLine, bytes, index } of chunks) {
      insertChunk.run(seq, number, model, lineCount, firstLine, bytes, newDoneBits(lineCount));
      insertIndex.run(seq, number, index);
    }
    insertEvent(event);
    return 'ok';
  });
}

type Fail = Parameters<Store['failBatch']>[0];

function createFailBatch(db: Database, insertEvent: InsertEvent): (fail: Fail) => Fenced {
  const findHeld = createFindHeld(db);
  const freeStep = createFreeStep(db);
  const setFailed = db.prepare<[number, string, number]>(`
    update batches
    set status = 'failed', failed_at = max(?, created_at), errors = ?, step_worker = null
    where seq = ?
  `);
  return transaction(db, ({ batchId, epoch, now, errors, event }: Fail): Fenced => {
    const held = findHeld(batchId, epoch);
    if (held === undefined) return 'lost';
    if (!canTransition(held.status, 'failed')) {
      freeStep(held.seq);
      return 'lost';
    }
    setFailed.run(now, JSON.stringify(errors), held.seq);
    insertEvent(event);
    return 'ok';
  });
}
