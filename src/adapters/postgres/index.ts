import type { EventRecord } from '../../engine/webhooks/event.ts';
import type { Store } from '../../engine/ports.ts';
import { createApiKeyVerbs } from './api-keys.ts';
import { createBatchVerbs } from './batches.ts';
import { createChunkVerbs } from './chunks.ts';
import { createClaimVerbs } from './claims.ts';
import { openPool } from './database.ts';
import type { Database, DatabaseOptions } from './database.ts';
import { createDeliveryVerbs } from './deliveries.ts';
import { createHistoryVerbs } from './endpoint-deliveries.ts';
import { createFileVerbs } from './files.ts';
import { createFinishVerb } from './finish.ts';
import { createLeaseVerbs } from './leases.ts';
import { migrateDatabase } from './migrate.ts';
import { refuseHalfMoved } from './move-states.ts';
import { createOwnerVerbs } from './owners.ts';
import { createSecondChanceVerbs } from './second-chances.ts';
import { createSegmentVerbs } from './segments.ts';
import { createStepVerbs } from './steps.ts';
import { createUploadVerbs } from './uploads.ts';
import { createEndpointVerbs } from './webhook-endpoints.ts';

export type { Database } from './database.ts';
export { openMoveTarget } from './move-target.ts';
export type { MoveTarget } from './move-target.ts';

/**
 * A Store in a PostgreSQL database (17 or newer), which any number of processes may use at a time. Brings its tables up to date first;
 * rejects where it cannot be reached, was written by a newer version of the program, or has only a part of what is moved to it.
 */
export async function openPostgresStore(options: DatabaseOptions): Promise<Store> {
  const db = openPool(options);
  try {
    await migrateDatabase(db);
    await refuseHalfMoved(db);
    return createStore(db);
  } catch (error) {
    await db.close();
    throw error;
  }
}

function createStore(db: Database): Store {
  return {
    ...createFileVerbs(db),
    ...createUploadVerbs(db),
    ...createBatchVerbs(db),
    ...createStepVerbs(db),
    ...createFinishVerb(db),
    ...createChunkVerbs(db),
    ...createClaimVerbs(db),
    ...createSegmentVerbs(db),
    ...createLeaseVerbs(db),
    ...createDeliveryVerbs(db),
    ...createHistoryVerbs(db),
    ...createEndpointVerbs(db),
    ...createSecondChanceVerbs(db),
    ...createApiKeyVerbs(db),
    ...createOwnerVerbs(db),
    readBatchEvents: (batchId) =>
      db.all<EventRecord>(
        `
        select id, owner, batch_id as "batchId", format, type, created_at as "createdAt"
        from events
        where batch_id = $1
        order by seq
        `,
        batchId,
      ),
    ping: async () => void (await db.get('select')),
    close: () => db.close(),
  };
}
