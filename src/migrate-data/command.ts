/** `migrate-data` as a command: settings in, lines and an exit code out. */
import { createPostgresResultLog } from '../adapters/postgres/index.ts';
import { bucketMark, createS3BlobStore, createS3ResultObjects } from '../adapters/s3/index.ts';
import type { BlobUrl, Config } from '../config.ts';
import { openBlobUrl, placeOf } from '../storage.ts';
import { migrateData } from './index.ts';
import type { TargetStorage } from './index.ts';

/** Answers the exit code. Lines go to stdout, the one that says why it failed to stderr. A signal stops it; the next run goes on. */
export async function runMigrateData(config: Config): Promise<number> {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => stop.abort(new Error('it was stopped')));
  }
  // A reader that goes away does not end the move.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  try {
    if (config.DATABASE_URL === null) {
      throw new Error(
        'DATABASE_URL is not set: it says where the data goes, e.g. postgres://user:password@host:5432/database.',
      );
    }
    await migrateData({
      dataDir: config.DATA_DIR,
      databaseUrl: config.DATABASE_URL,
      maxConnections: config.DATABASE_CONNECTIONS,
      storage: config.BLOB_URL === null ? null : sharedStorage(config.BLOB_URL),
      say: (line) => void process.stdout.write(`${line}\n`),
      signal: stop.signal,
    });
    return 0;
  } catch (error) {
    const next = stop.signal.aborted ? ' Start it again, and it goes on where it was.' : '';
    process.stderr.write(`cannot move: ${reasonOf(error)}${next}\n`);
    return 1;
  }
}

function sharedStorage(blobUrl: BlobUrl): TargetStorage {
  return {
    name: placeOf(blobUrl),
    async open(db) {
      const bucket = await openBlobUrl(blobUrl);
      const results = createPostgresResultLog({ db, objects: createS3ResultObjects({ bucket }) });
      return {
        blobs: createS3BlobStore({ bucket }),
        mark: bucketMark(bucket),
        results,
        async close() {
          await results.close();
          bucket.close();
        },
      };
    },
  };
}

/** Some errors of connections say nothing themselves. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.message !== '') return error.message;
  const code = 'code' in error ? String(error.code) : error.name;
  return code;
}
