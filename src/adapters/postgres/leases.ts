import type { Store } from '../../engine/ports.ts';
import type { Database, Sql } from './database.ts';
import { shareModels } from './model-slots.ts';

export type LeaseVerbs = Pick<Store, 'renewLease' | 'releaseDeadLeases' | 'takeTurn'>;

/** A worker that was not heard of for so long is dead. By the database's clock: those of the nodes may differ. */
const LEASE_MS = 30_000;
/** What was away for everybody has all leases lapse: so long have the others to renew theirs before they are taken for dead. */
const GRACE_MS = 10_000;

/** Which workers are alive, and what the dead ones held. */
export function createLeaseVerbs(db: Database): LeaseVerbs {
  /**
   * A worker whose own lease had lapsed was kept from the database, and so may all others have been. One that starts cannot know.
   * On the monotonic clock: renewals may follow each other closely.
   */
  let graceUntil = -Infinity;
  return {
    async renewLease(worker, demands = []) {
      const { before, slots } = await db.transaction(async (sql) => ({
        before: await renewLease(sql, worker),
        slots: await shareModels(sql, worker, demands),
      }));
      if (before !== 'valid') graceUntil = performance.now() + GRACE_MS;
      return { validMs: LEASE_MS, isNew: before === 'none', slots };
    },
    releaseDeadLeases: () => db.transaction((sql) => releaseDeadLeases(sql, performance.now() < graceUntil)),
    takeTurn: (task, everyMs) =>
      db.transaction(async (sql) => {
        const taken = await sql.run(
          `
          insert into turns (task, taken_at) values ($1, now())
          on conflict (task) do update set taken_at = excluded.taken_at
          where turns.taken_at <= now() - $2 * interval '1 millisecond'
          `,
          task,
          everyMs,
        );
        return taken === 1;
      }),
  };
}

/** Answers what there was before. One that has lapsed holds what it held until others release that, and the row goes with it. */
async function renewLease(sql: Sql, worker: string): Promise<'none' | 'lapsed' | 'valid'> {
  const before = await sql.get<{ readonly lapsed: boolean }>(
    'select alive_until < now() as lapsed from workers where id = $1 for update',
    worker,
  );
  await sql.run(
    `
    insert into workers (id, alive_until) values ($1, now() + $2 * interval '1 millisecond')
    on conflict (id) do update set alive_until = excluded.alive_until
    `,
    worker,
    LEASE_MS,
  );
  if (before === undefined) return 'none';
  return before.lapsed ? 'lapsed' : 'valid';
}

/**
 * A worker without a row is dead as well: it has one from before its first claim on. The rows of the dead are locked first, so that none
 * renews its lease meanwhile, and go last: their slots of models go with them, and who renews must not wait for those.
 */
async function releaseDeadLeases(sql: Sql, spareLapsed: boolean): Promise<void> {
  if (!spareLapsed) await sql.run('select from workers where alive_until < now() order by id for update');
  const found = await sql.all<{ readonly worker: string }>(
    `
    select worker
    from (
      select step_worker as worker from batches where step_worker is not null
      union
      select worker from chunks where state = 'claimed'
      union
      select worker from deliveries where state = 'pending' and worker is not null
    ) held
    where not exists (select 1 from workers w where w.id = held.worker and ($1 or w.alive_until >= now()))
    `,
    spareLapsed,
  );
  const dead = found.map(({ worker }) => worker);
  if (dead.length > 0) await releaseHeld(sql, dead, spareLapsed);
  if (!spareLapsed) await sql.run('delete from workers where alive_until < now()');
}

/** By their names as well: a statement that had to wait would find a worker dead that came, and claimed the row, since it began. */
async function releaseHeld(sql: Sql, dead: readonly string[], spareLapsed: boolean): Promise<void> {
  await sql.run(
    `
    update batches
    set step_worker = null, step_epoch = step_epoch + 1
    where step_worker = any ($1::text[])
      and not exists (select 1 from workers w where w.id = step_worker and ($2 or w.alive_until >= now()))
    `,
    dead,
    spareLapsed,
  );
  await sql.run(
    `
    update chunks
    set state = 'ready', worker = null, epoch = epoch + 1, crashes = crashes + 1
    where state = 'claimed' and worker = any ($1::text[])
      and not exists (select 1 from workers w where w.id = worker and ($2 or w.alive_until >= now()))
    `,
    dead,
    spareLapsed,
  );
  await sql.run(
    `
    update deliveries
    set worker = null, epoch = epoch + 1
    where state = 'pending' and worker = any ($1::text[])
      and not exists (select 1 from workers w where w.id = worker and ($2 or w.alive_until >= now()))
    `,
    dead,
    spareLapsed,
  );
}
