import { canTransition } from '../../engine/batches/batch.ts';
import type { BatchStatus } from '../../engine/batches/batch.ts';
import { createOwnerTurns } from '../../engine/owners/owner-turns.ts';
import type { OwnerShare } from '../../engine/owners/owner-turns.ts';
import type { BatchStep, Fenced, Store } from '../../engine/ports.ts';
import { newDoneBits } from '../../engine/run/chunk.ts';
import { readBatch } from './batch-reader.ts';
import type { Database, Sql } from './database.ts';
import { insertEvent } from './events.ts';
import { refuseLines } from './owner-usage.ts';

export type StepVerbs = Pick<Store, 'claimBatchStep' | 'releaseBatchStep' | 'startBatch' | 'failBatch'>;

/** A batch whose step is held. */
interface HeldBatch {
  readonly seq: number;
  readonly owner: string;
  readonly status: BatchStatus;
  readonly ending: 'completed' | 'expired' | null;
}

/** The fence of every write of a step: the batch, locked, where its step is held under this very epoch. */
export async function findHeld(sql: Sql, batchId: string, epoch: number): Promise<HeldBatch | undefined> {
  return await sql.get<HeldBatch>(
    `
    select seq, owner, status, ending
    from batches
    where id = $1 and step_epoch = $2 and step_worker is not null
    for update
    `,
    batchId,
    epoch,
  );
}

/** The steps of a batch's life up to its start; `finish.ts` has the last one. */
export function createStepVerbs(db: Database): StepVerbs {
  return {
    claimBatchStep: createClaimStep(db),
    releaseBatchStep: (batchId, epoch) => db.transaction((sql) => releaseStep(sql, batchId, epoch)),
    startBatch: (start) => db.transaction((sql) => startBatch(sql, start)),
    failBatch: (fail) => db.transaction((sql) => failBatch(sql, fail)),
  };
}

async function releaseStep(sql: Sql, batchId: string, epoch: number): Promise<Fenced> {
  const changed = await sql.run(
    `
    update batches
    set step_worker = null
    where id = $1 and step_epoch = $2 and step_worker is not null
    `,
    batchId,
    epoch,
  );
  return changed === 1 ? 'ok' : 'lost';
}

// A chunk that is claimed keeps its batch from being finalized: what its worker commits must not be missed.
const FIND_NEXT = `
  select seq, step_epoch, input_key, input_bytes
  from batches
  where owner = $1
    and status in ('validating', 'finalizing', 'cancelling') and step_worker is null
    and not exists (select 1 from chunks c where c.batch = batches.seq and c.state = 'claimed')
  order by priority desc, expires_at, seq
  limit 1
  for update skip locked
`;

interface NextStep {
  readonly seq: number;
  readonly step_epoch: number;
  readonly input_key: string | null;
  readonly input_bytes: number | null;
}

function createClaimStep(db: Database): Store['claimBatchStep'] {
  const turns = createOwnerTurns();
  let last: Promise<unknown> = Promise.resolve();

  async function claim(sql: Sql, worker: string): Promise<BatchStep | null> {
    const shares = await sql.all<OwnerShare>(READ_SHARES);
    const round = turns.startRound(shares);
    for (let owner = round.next(); owner !== null; owner = round.next()) {
      const next = await sql.get<NextStep>(FIND_NEXT, owner);
      if (next !== undefined) {
        round.took(owner);
        return await hold(sql, worker, next);
      }
      round.drop(owner);
    }
    return null;
  }

  async function giveBack(sql: Sql, step: BatchStep | null): Promise<void> {
    if (step !== null) await releaseStep(sql, step.batch.id, step.epoch);
  }

  /**
   * One after the other: those that a worker makes at once would all find the same owner to have the fewest. Where one fails, those
   * behind it fail as it did, for each would wait for the database as long.
   */
  return (worker) => {
    const claimed = last.then(() => db.transaction((sql) => claim(sql, worker), giveBack));
    const forget = (): void => {
      if (last === claimed) last = Promise.resolve();
    };
    last = claimed;
    claimed.then(forget, forget);
    return claimed;
  };
}

async function hold(sql: Sql, worker: string, next: NextStep): Promise<BatchStep> {
  const { seq, step_epoch: before, input_key: key, input_bytes: bytes } = next;
  await sql.run(
    'update batches set step_worker = $1, step_epoch = step_epoch + 1 where seq = $2',
    worker,
    seq,
  );
  const batch = await readBatch(sql, seq);
  return {
    step: batch.status === 'validating' ? 'prepare' : 'finalize',
    batch,
    input: key === null || bytes === null ? null : { key, bytes },
    epoch: before + 1,
  };
}

// Which owners have batches that wait for a step, and how many steps of each are under way. From one owner to the next: an
// owner may have thousands of batches.
const READ_SHARES = `
  with recursive active (owner) as (
    (
      select owner
      from batches
      where status in ('validating', 'finalizing', 'cancelling') and step_worker is null
      order by owner
      limit 1
    )
    union all
    select (
      select b.owner
      from batches b
      where b.status in ('validating', 'finalizing', 'cancelling') and b.step_worker is null and b.owner > active.owner
      order by b.owner
      limit 1
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
  order by active.owner
`;

async function startBatch(
  sql: Sql,
  start: Parameters<Store['startBatch']>[0],
): ReturnType<Store['startBatch']> {
  const { batchId, epoch, now, input, model, chunks, event, limits } = start;
  const held = await findHeld(sql, batchId, epoch);
  if (held === undefined) return 'lost';
  const { seq, status, owner } = held;
  if (!canTransition(status, 'in_progress')) return await freeStep(sql, seq);
  const total = chunks.reduce((sum, chunk) => sum + chunk.lineCount, 0);
  const over = await refuseLines(sql, owner, limits, total);
  if (over !== null) return over;
  await sql.run(
    `
    update batches
    set status = 'in_progress', in_progress_at = greatest($1, created_at), step_worker = null, model = $2,
      input_key = $3, input_bytes = $4, total = $5, lines_left = $5, chunks_left = $6
    where seq = $7
    `,
    now,
    model,
    input.key,
    input.bytes,
    total,
    chunks.length,
    seq,
  );
  await insertChunks(sql, seq, chunks);
  await insertEvent(sql, event);
  return 'ok';
}

async function insertChunks(
  sql: Sql,
  batch: number,
  chunks: Parameters<Store['startBatch']>[0]['chunks'],
): Promise<void> {
  await sql.run(
    `
    insert into chunks (batch, number, model, line_count, first_line, bytes, done)
    select $1, number, model, line_count, first_line, bytes, done
    from unnest($2::integer[], $3::text[], $4::integer[], $5::integer[], $6::bigint[], $7::bytea[])
      as chunk (number, model, line_count, first_line, bytes, done)
    `,
    batch,
    chunks.map(({ number }) => number),
    chunks.map(({ model }) => model),
    chunks.map(({ lineCount }) => lineCount),
    chunks.map(({ firstLine }) => firstLine),
    chunks.map(({ bytes }) => bytes),
    chunks.map(({ lineCount }) => newDoneBits(lineCount)),
  );
  await sql.run(
    `
    insert into line_indexes (batch, chunk, line_index)
    select $1, number, line_index
    from unnest($2::integer[], $3::bytea[]) as chunk (number, line_index)
    `,
    batch,
    chunks.map(({ number }) => number),
    chunks.map(({ index }) => index),
  );
}

/** Ends a `prepare` whose batch is no longer validating, so that the batch's next step can be claimed. */
async function freeStep(sql: Sql, seq: number): Promise<'lost'> {
  await sql.run('update batches set step_worker = null where seq = $1', seq);
  return 'lost';
}

async function failBatch(sql: Sql, fail: Parameters<Store['failBatch']>[0]): ReturnType<Store['failBatch']> {
  const { batchId, epoch, now, errors, event } = fail;
  const held = await findHeld(sql, batchId, epoch);
  if (held === undefined) return 'lost';
  if (!canTransition(held.status, 'failed')) return await freeStep(sql, held.seq);
  await sql.run(
    `
    update batches
    set status = 'failed', failed_at = greatest($1, created_at), errors = $2, step_worker = null
    where seq = $3
    `,
    now,
    JSON.stringify(errors),
    held.seq,
  );
  await insertEvent(sql, event);
  return 'ok';
}
