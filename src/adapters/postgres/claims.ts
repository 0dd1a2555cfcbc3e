import { createOwnerTurns } from '../../engine/owners/owner-turns.ts';
import type { OwnerShare } from '../../engine/owners/owner-turns.ts';
import type { ChunkClaim, ChunkRef, Store } from '../../engine/ports.ts';
import { toClaim } from '../sql/chunk-rows.ts';
import type { ClaimedRow } from '../sql/chunk-rows.ts';
import { createChoice } from './claim-choice.ts';
import type { ChosenChunk } from './claim-choice.ts';
import type { Database, Sql } from './database.ts';

export type ClaimVerbs = Pick<Store, 'claimChunks' | 'releaseChunks' | 'findStoppedBatches'>;

/** Who works on which chunk. */
export function createClaimVerbs(db: Database): ClaimVerbs {
  const turns = createOwnerTurns();
  return {
    claimChunks: (query) =>
      db.transaction(
        async (sql) => {
          const round = turns.startRound(await sql.all<OwnerShare>(READ_SHARES));
          const choice = createChoice(sql, query);
          const chosen: ChosenChunk[] = [];
          for (
            let owner = round.next();
            owner !== null && chosen.length < query.limit;
            owner = round.next()
          ) {
            const next = await choice.next(owner);
            if (next === null) {
              round.drop(owner);
              continue;
            }
            round.took(owner);
            chosen.push(next);
          }
          return await hold(sql, query.worker, await keepRunning(sql, chosen));
        },
        (sql, claims) => releaseChunks(sql, claims.map(toRef)),
      ),
    releaseChunks: (chunks) => db.transaction((sql) => releaseChunks(sql, chunks)),
    async findStoppedBatches(worker) {
      const rows = await db.all<{ readonly id: string }>(
        `
        select distinct b.id
        from chunks c
          join batches b on b.seq = c.batch
        where c.worker = $1 and c.state = 'claimed' and b.status <> 'in_progress'
        `,
        worker,
      );
      return rows.map(({ id }) => id);
    },
  };
}

// Which owners have running batches, and how many chunks of each are claimed. From one owner to the next: an owner may have
// thousands of batches.
const READ_SHARES = `
  with recursive active (owner) as (
    (select owner from batches where status = 'in_progress' order by owner limit 1)
    union all
    select (
      select b.owner from batches b where b.status = 'in_progress' and b.owner > active.owner order by b.owner limit 1
    )
    from active
    where active.owner is not null
  )
  select
    active.owner,
    coalesce(o.weight, 1) as weight,
    (
      select count(*)
      from batches b
        join chunks c on c.batch = b.seq and c.state = 'claimed'
      where b.owner = active.owner and b.status = 'in_progress'
    ) as held
  from active
    left join owners o on o.owner = active.owner
  where active.owner is not null
  order by active.owner
`;

/**
 * The chunks whose batches still run, and these held against a change of state until the claim can be seen: one that is cancelled or
 * expires is not finalized while chunks of it are claimed. What commits change does not wait.
 */
async function keepRunning(sql: Sql, chosen: readonly ChosenChunk[]): Promise<readonly ChosenChunk[]> {
  if (chosen.length === 0) return chosen;
  const rows = await sql.all<{ readonly seq: number }>(
    `
    select seq
    from batches
    where seq = any ($1::bigint[]) and status = 'in_progress'
    for key share skip locked
    `,
    [...new Set(chosen.map(({ batch }) => batch))],
  );
  const running = new Set(rows.map(({ seq }) => seq));
  return chosen.filter(({ batch }) => running.has(batch));
}

/** Marks the chunks as claimed and reads what their worker needs, in the same order. */
async function hold(sql: Sql, worker: string, chosen: readonly ChosenChunk[]): Promise<ChunkClaim[]> {
  if (chosen.length === 0) return [];
  const batches = chosen.map(({ batch }) => batch);
  const numbers = chosen.map(({ number }) => number);
  await sql.run(
    `
    update chunks
    set state = 'claimed', worker = $1, epoch = epoch + 1
    from unnest($2::bigint[], $3::integer[]) as chosen (batch, number)
    where chunks.batch = chosen.batch and chunks.number = chosen.number
    `,
    worker,
    batches,
    numbers,
  );
  const rows = await sql.all<ClaimedRow>(
    `
    select
      b.id, b.owner, b.endpoint, b.priority, b.expires_at, b.input_key, b.input_bytes,
      c.number, c.model, c.line_count, c.first_line, c.bytes, c.epoch, c.crashes, c.trying, c.trying_deaths, c.done,
      i.line_index, coalesce(o.weight, 1) as weight,
      exists (select 1 from chunks r where r.batch = c.batch and r.state = 'ready') as has_more
    from unnest($1::bigint[], $2::integer[]) with ordinality as chosen (batch, number, place)
      join chunks c on c.batch = chosen.batch and c.number = chosen.number
      join batches b on b.seq = c.batch
      join line_indexes i on i.batch = c.batch and i.chunk = c.number
      left join owners o on o.owner = b.owner
    order by chosen.place
    `,
    batches,
    numbers,
  );
  return rows.map(toClaim);
}

function toRef({ batch, chunk }: ChunkClaim): ChunkRef {
  return { batchId: batch.id, chunkNumber: chunk.number, epoch: chunk.epoch };
}

async function releaseChunks(sql: Sql, chunks: readonly ChunkRef[]): Promise<void> {
  if (chunks.length === 0) return;
  await sql.run(
    `
    update chunks
    set state = 'ready', worker = null, trying = null, trying_deaths = 0
    from unnest($1::text[], $2::integer[], $3::bigint[]) as given (batch_id, number, epoch)
      join batches b on b.id = given.batch_id
    where chunks.batch = b.seq and chunks.number = given.number and chunks.epoch = given.epoch
      and chunks.state = 'claimed'
    `,
    chunks.map(({ batchId }) => batchId),
    chunks.map(({ chunkNumber }) => chunkNumber),
    chunks.map(({ epoch }) => epoch),
  );
}
