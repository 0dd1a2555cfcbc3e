import type { Database } from 'better-sqlite3';
import type { Store } from '../../engine/ports.ts';
import { soleLease } from '../../engine/run/model-share.ts';
import { transaction } from './transaction.ts';

/**
 * One process owns the database, hence one worker is alive: the last one that said so. Whatever others hold, dead ones held.
 */
export function createLeaseVerbs(db: Database): Pick<Store, 'renewLease' | 'releaseDeadLeases' | 'takeTurn'> {
  let alive = '';
  const freeSteps = db.prepare<[string]>(`
    update batches
    set step_worker = null, step_epoch = step_epoch + 1
    where step_worker is not null and step_worker <> ?
  `);
  const count = db.prepare(`
    update batches
    set chunks_claimed = (select count(*) from chunks c where c.batch = batches.seq and c.state = 'claimed')
    where chunks_claimed > 0
  `);
  const freeChunks = db.prepare<[string]>(`
    update chunks
    set state = 'ready', worker = null, epoch = epoch + 1, crashes = crashes + 1
    where batch in (select seq from batches where chunks_claimed > 0) and state = 'claimed' and worker <> ?
  `);
  const freeDeliveries = db.prepare<[string]>(`
    update deliveries
    set worker = null, epoch = epoch + 1
    where state = 'pending' and worker is not null and worker <> ?
  `);
  const release = transaction(db, (worker: string) => {
    freeSteps.run(worker);
    if (freeChunks.run(worker).changes > 0) count.run();
    freeDeliveries.run(worker);
  });
  return {
    renewLease: async (worker, demands = []) => {
      const isNew = alive !== worker;
      alive = worker;
      return soleLease(demands, isNew);
    },
    releaseDeadLeases: async () => release(alive),
    takeTurn: async () => true,
  };
}
