import { join } from 'node:path';

/** Where things lie in a data folder. */
export interface DataPaths {
  readonly lock: string;
  /** Says who holds the lock, for the message that another process shows. */
  readonly lockOwner: string;
  readonly database: string;
  /** Names the database elsewhere that the files here belong to. */
  readonly databaseId: string;
  /** Names the database here, for files that are elsewhere. */
  readonly ownDatabaseId: string;
  /** Says where the files of the database here are. */
  readonly filesPlace: string;
  /** Says where the data went; only there once a move has begun. */
  readonly moved: string;
  /** Blobs that are being received. */
  readonly tmp: string;
  /** `<first two digits>/<sha256>`. */
  readonly blobs: string;
  /** `<batch id>.log`. */
  readonly results: string;
}

export function dataPaths(root: string): DataPaths {
  return {
    lock: join(root, 'lock'),
    lockOwner: join(root, 'lock-owner'),
    database: join(root, 'database.db'),
    databaseId: join(root, 'database-id'),
    ownDatabaseId: join(root, 'own-database-id'),
    filesPlace: join(root, 'files-place'),
    moved: join(root, 'moved'),
    tmp: join(root, 'tmp'),
    blobs: join(root, 'blobs'),
    results: join(root, 'results'),
  };
}

/** The 256 folders that share the blobs among them, `00` to `ff`. */
export const SHARDS = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'));

const SHA256 = /^[0-9a-f]{64}$/;
const BATCH_ID = /^batch_[0-9a-f]{1,64}$/;
const LOG_SUFFIX = '.log';

/** The folder of a blob. Throws for anything but a hash, so that no name can lead out of the data folder. */
export function shardPath(blobs: string, key: string): string {
  if (!SHA256.test(key)) throw new Error(`${JSON.stringify(key)} is not a SHA-256 in lower-case hex`);
  return join(blobs, key.slice(0, 2));
}

/** The file of a blob. Throws as `shardPath`. */
export function blobPath(blobs: string, key: string): string {
  return join(shardPath(blobs, key), key);
}

/** The hash of the blob in a file of this name, or null where it is no blob. */
export function blobOfFile(name: string): string | null {
  return SHA256.test(name) ? name : null;
}

/** The result log of a batch. Throws for anything but a batch id, so that no name can lead out of the data folder. */
export function logPath(results: string, batchId: string): string {
  if (!BATCH_ID.test(batchId)) throw new Error(`${JSON.stringify(batchId)} is not a batch id`);
  return join(results, batchId + LOG_SUFFIX);
}

/** The batch whose log is in a file of this name, or null where it is no log. */
export function batchOfFile(name: string): string | null {
  const batchId = name.slice(0, -LOG_SUFFIX.length);
  return name.endsWith(LOG_SUFFIX) && BATCH_ID.test(batchId) ? batchId : null;
}
