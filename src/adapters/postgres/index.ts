import type { EventRecord } from '../../engine/webhooks/event.ts';
import type { Store } from '../../engine/ports.ts';
import { createApiKeyVerbs } from './api-keys.ts';
import { createBatchVerbs } from './batches.ts';
import { createChunkVerbs } from './chunks.ts';
import { createClaimVerbs } from './claims.ts';
import { forgetOldMarks } from './commit-marks.ts';
import { openPool } from './database.ts';
import type { Database, DatabaseOptions } from './database.ts';
import { createDeliveryVerbs } from './deliveries.ts';
import { checkDurability } from './durability.ts';
import { createHistoryVerbs } from './endpoint-deliveries.ts';
import { createFileVerbs } from './files.ts';
import { bindFiles } from './files-place.ts';
import type { FilesPlace } from './files-place.ts';
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
export { bindFiles, checkFiles } from './files-place.ts';
export { listenForHints } from './hints.ts';
export { createPostgresResultLog } from './result-log.ts';
export type { ResultObjects } from './result-objects.ts';
export { openMoveTarget } from './move-target.ts';
export type { MoveTarget } from './move-target.ts';

/** Clocks that are kept by NTP differ by far less. Milliseconds. */
const MAX_CLOCK_OFF_MS = 5000;

export interface PostgresOptions extends DatabaseOptions {
  /** Default: not asked, as where only the state is looked at. */
  readonly files?: FilesPlace | undefined;
  /** Told where this machine's clock is not the database's: by so many milliseconds ahead. */
  readonly onClockOff?: ((ms: number) => void) | undefined;
  /** The wall clock. Default: the system's. */
  readonly now?: (() => number) | undefined;
}

export interface Postgres {
  readonly store: Store;
  /** For what lies in the database beside the store; open until the store is closed. */
  readonly db: Database;
}

/**
 * A Store in a PostgreSQL database (15 or newer), which any number of processes may use at a time. Brings its tables up to date first;
 * rejects where it cannot be reached, was written by a newer version of the program, has its files elsewhere than `files` says, has
 * only a part of what is moved to it, or answers commits before they are durable.
 */
export async function openPostgres({
  files,
  onClockOff,
  now = Date.now,
  ...options
}: PostgresOptions): Promise<Postgres> {
  const db = openPool(options);
  try {
    await checkDurability(db);
    await migrateDatabase(db);
    await refuseHalfMoved(db);
    await forgetOldMarks(db);
    if (files !== undefined) await bindFiles(db, files);
    const off = await measureClock(db, now);
    if (Math.abs(off) > MAX_CLOCK_OFF_MS) onClockOff?.(off);
    return { store: createStore(db), db };
  } catch (error) {
    await db.close();
    throw error;
  }
}

/** The same, for those who need nothing but the store. */
export async function openPostgresStore(options: PostgresOptions): Promise<Store> {
  return (await openPostgres(options)).store;
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
    // Locks no row, and fails all the same on a server that takes no writes.
    ping: async () => void (await db.get('select from workers where false for update')),
    close: () => db.close(),
  };
}

/** How far the clock `now` is ahead of the database's, milliseconds. */
async function measureClock(db: Database, now: () => number): Promise<number> {
  const before = now();
  const row = await db.get<{ readonly ms: number }>(
    'select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms',
  );
  return Math.round((before + now()) / 2 - (row?.ms ?? before));
}
