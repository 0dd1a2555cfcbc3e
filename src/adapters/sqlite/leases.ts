import type { Database } from 'better-sqlite3';
import type { Store } from '../../engine/ports.ts';
import { transaction } from './transaction.ts';

/** Recovery at start: one process owns the database, so whatever is held then was held by a dead one. */
export function createLeaseVerbs(db: Database): Pick<Store, 'releaseDeadLeases'> {
  const freeSteps = db.prepare(`
    update batches
    set step_worker = null, step_epoch = step_epoch + 1
    where status in ('validating', 'in_progress', 'finalizing', 'cancelling') and step_worker is not null
  `);
  const freeChunks = db.prepare(`
    update chunks
    set state = 'ready', worker = null, epoch = epoch + 1, crashes = crashes + 1
    where batch in (select seq from batches where chunks_claimed > 0) and state = 'claimed'
  `);
  const resetCounts = db.prepare('update batches set chunks_claimed = 0 where chunks_claimed > 0');
  const freeDeliveries = db.prepare(`
    update deliveries
    set worker = null, epoch = epoch + 1
    where state = 'pending' and worker is not null
  `);
  const release = transaction(db, () => {
    freeSteps.run();
    freeChunks.run();
    resetCounts.run();
    freeDeliveries.run();
  });
  return { releaseDeadLeases: async () => release() };
}
