import type { Store } from '../../engine/ports.ts';
import { createBatchReader } from './batch-reader.ts';
import { createBatchVerbs } from './batches.ts';
import { createChunkVerbs } from './chunks.ts';
import { createClaimVerbs } from './claims.ts';
import { createDeliveryVerbs } from './deliveries.ts';
import { createInsertEvent } from './events.ts';
import { createFileVerbs, createInsertFile } from './files.ts';
import { createFinishVerb } from './finish.ts';
import { createLeaseVerbs } from './leases.ts';
import { openDatabase } from './open.ts';
import { createSegmentVerbs } from './segments.ts';
import { createStepVerbs } from './steps.ts';

/**
 * A Store in one SQLite file. `path` is that file (created where it is missing; its folder must exist) or
 * `:memory:`. Exactly one process may use it at a time. Every verb does its work before it returns its promise,
 * in one transaction. Throws where the file cannot be opened or was written by a newer version of the program.
 */
export function openSqliteStore({ path }: { readonly path: string }): Store {
  const db = openDatabase(path);
  const reader = createBatchReader(db);
  const insertFile = createInsertFile(db);
  const insertEvent = createInsertEvent(db);
  const probe = db.prepare('select count(*) from migrations');

  return {
    ...createFileVerbs(db, insertFile),
    ...createBatchVerbs(db, reader, insertEvent),
    ...createStepVerbs(db, reader, insertEvent),
    ...createFinishVerb(db, { reader, insertFile, insertEvent }),
    ...createChunkVerbs(db),
    ...createClaimVerbs(db),
    ...createSegmentVerbs(db),
    ...createLeaseVerbs(db),
    ...createDeliveryVerbs(db),
    ping: async () => {
      probe.get();
    },
    close: async () => {
      db.close();
    },
  };
}
