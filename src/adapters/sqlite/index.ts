import type { Database } from 'better-sqlite3';
import type { Store } from '../../engine/ports.ts';
import { createApiKeyVerbs } from './api-keys.ts';
import { createBatchReader } from './batch-reader.ts';
import { createBatchVerbs, createCreateBatch } from './batches.ts';
import { createChunkVerbs } from './chunks.ts';
import { createClaimVerbs } from './claims.ts';
import { createDeliveryVerbs } from './deliveries.ts';
import { createListDeliveries, createReplayVerbs } from './endpoint-deliveries.ts';
import { createInsertEvent } from './events.ts';
import { overwriteFailedCommits, isFull, spendReserve } from './failures.ts';
import { createFileVerbs, createInsertFile } from './files.ts';
import { createFinishVerb } from './finish.ts';
import { createCommitGroup } from './group-commit.ts';
import { createLeaseVerbs } from './leases.ts';
import { createLiveVerbs } from './live.ts';
import { createMessageBatchVerbs } from './message-batches.ts';
import { openDatabase } from './open.ts';
import { createRoom } from './owner-usage.ts';
import { createOwnerVerbs } from './owners.ts';
import { createReserve } from './reserve.ts';
import type { Reserve } from './reserve.ts';
import { createSecondChanceVerbs } from './second-chances.ts';
import { createSegmentVerbs } from './segments.ts';
import { createStepVerbs } from './steps.ts';
import { createTrim } from './trim.ts';
import { createEndpointReads, createEndpointWrites } from './webhook-endpoints.ts';
import { createUploadVerbs } from './uploads.ts';

export { openMoveSource } from './move-source.ts';
export type { MoveSource } from './move-source.ts';
export { namesBlobs } from './named-blobs.ts';

/**
 * A Store in one SQLite file. `path` is that file (created where it is missing; its folder must exist) or
 * `:memory:`. Exactly one process may use it at a time. Each verb is one transaction, or a part of one that all writes of one
 * turn of the event loop share. Throws where the file cannot be opened or was written by a newer version of the program.
 */
export function openSqliteStore({ path }: { readonly path: string }): Store {
  const reserve = path === ':memory:' ? NO_RESERVE : createReserve(`${path}-reserve`);
  const db = openWithReserve(path, reserve);
  reserve.restore();
  const reader = createBatchReader(db);
  const insertFile = createInsertFile(db);
  const insertEvent = createInsertEvent(db);
  const room = createRoom(db);
  const insertBatch = createCreateBatch(db, { insertEvent, room });
  const probe = db.prepare('select count(*) from migrations');

  const group = createCommitGroup(db);
  const trim = createTrim(db);
  const { reads, writes } = splitVerbs({
    ...createFileVerbs(db, { insertFile, room }),
    ...createUploadVerbs(db, { insertFile, room }),
    ...createBatchVerbs(db, { reader, insertEvent, room }),
    ...createStepVerbs(db, { reader, insertEvent, room }),
    ...createFinishVerb(db, { reader, insertFile, insertEvent }),
    ...createChunkVerbs(db),
    ...createClaimVerbs(db),
    ...createSegmentVerbs(db),
    ...createLeaseVerbs(db),
    ...createDeliveryVerbs(db),
    ...createLiveVerbs(db),
    ...createSecondChanceVerbs(db, { insertBatch, insertFile, room }),
    ...createApiKeyVerbs(db),
    ...createEndpointReads(db),
    ...createEndpointWrites(db),
    listDeliveries: createListDeliveries(db),
    ...createReplayVerbs(db),
    ...createMessageBatchVerbs(db, reader),
    ...createOwnerVerbs(db),
  });
  const joined = group.join(writes);
  const removals = spendReserve(reserve, joined);
  return overwriteFailedCommits<Store>(db, {
    ...reads,
    ...joined,
    // What must work on a full disk: to start, to remove something from it, and to lock somebody out.
    releaseDeadLeases: removals.releaseDeadLeases,
    deleteFile: removals.deleteFile,
    deleteBatch: removals.deleteBatch,
    deleteWebhookEndpoint: removals.deleteWebhookEndpoint,
    revokeApiKey: removals.revokeApiKey,
    expireFiles: async (now, limit) => {
      // Called now and then, and there may be room again.
      reserve.restore();
      return await removals.expireFiles(now, limit);
    },
    cancelUpload: removals.cancelUpload,
    expireUploads: removals.expireUploads,
    removeUploadParts: removals.removeUploadParts,
    finishBatch: async (options) => {
      const finished = await joined.finishBatch(options);
      trim.start();
      return finished;
    },
    purgeEvents: async (before) => {
      const purged = await joined.purgeEvents(before);
      trim.start();
      return purged;
    },
    ping: async () => {
      probe.get();
    },
    close: async () => {
      group.flush();
      trim.stop();
      db.close();
    },
  });
}

type Verbs = Omit<Store, 'ping' | 'close'>;

/** Verbs that write nothing. */
const READS = [
  'getFile',
  'listFiles',
  'blobInUse',
  'getBatch',
  'listBatches',
  'isBatchLive',
  'readChunks',
  'readSegments',
  'findStoppedBatches',
  'findApiKey',
  'hasApiKeys',
  'getApiKey',
  'listApiKeys',
  'readSegmentsAfter',
  'readBatchEvents',
  'findSubmission',
  'getWebhookEndpoint',
  'listWebhookEndpoints',
  'getWebhookSecrets',
  'listDeliveries',
  'getUpload',
  'readUploadParts',
  'listBatchesBefore',
  'getBatchFormat',
  'getOwner',
  'listOwnerNames',
  'readOwnerUsage',
] as const satisfies readonly (keyof Verbs)[];
type ReadVerb = (typeof READS)[number];

/** Reads need not wait for the writes of their turn: what those change, nobody has been told yet. */
function splitVerbs(verbs: Verbs): { reads: Pick<Verbs, ReadVerb>; writes: Omit<Verbs, ReadVerb> } {
  const isRead = ([name]: [string, unknown]): boolean => (READS as readonly string[]).includes(name);
  const all = Object.entries(verbs);
  const reads = Object.fromEntries(all.filter(isRead)) as Pick<Verbs, ReadVerb>;
  const writes = Object.fromEntries(all.filter((entry) => !isRead(entry))) as Omit<Verbs, ReadVerb>;
  return { reads, writes };
}

const NO_RESERVE: Reserve = { spend: () => false, restore() {} };

/** Opening writes, too. */
function openWithReserve(path: string, reserve: Reserve): Database {
  for (;;) {
    try {
      return openDatabase(path);
    } catch (error) {
      if (!isFull(error) || !reserve.spend()) throw error;
    }
  }
}
