import type { LogReader, ResultLog } from '../../engine/ports.ts';
import type { Database } from './database.ts';
import { createPieceInserter } from './result-appends.ts';
import { createObjectReader, objectName } from './result-objects.ts';
import type { ResultObjects } from './result-objects.ts';
import { createResultReaders } from './result-readers.ts';
import { createPieceReader } from './result-reads.ts';
import type { LogSource, ReadPieces } from './result-reads.ts';
import { createResultRemoval } from './result-removal.ts';
import { createResultSlots } from './result-slots.ts';

/**
 * An append of more bytes than this becomes an object. Up to here a row takes some 4 ms, an object those of a request (6 ms at a store
 * beside, 20 to 60 ms at a far one), so small batches end sooner as rows. But each byte of a row costs the one database that all share
 * two of its log: one when it is written and, where a checkpoint was since, one when it is removed. So one process sends 3 MB/s of one
 * batch into the table at the most (50 appends a second). Beyond that, objects cost 8 cents a GB or less, at the 5 dollars that S3 takes
 * for a million of them.
 */
const OBJECT_BYTES = 64 * 1024;
/** Readers that ask for less read up to here, for they will ask for what is next to it. */
const AHEAD_BYTES = 64 * 1024;

export interface PostgresResultLogOptions {
  readonly db: Database;
  /** Where large appends lie; without it all bytes are in the database. */
  readonly objects?: ResultObjects | null;
  /** Appends of more bytes than this become objects. */
  readonly objectBytes?: number;
  /** After this time a reader counts as dead whose process is not heard of, milliseconds. */
  readonly readerLeaseMs?: number;
  /** When this many bytes were deleted from the table, it is vacuumed. */
  readonly vacuumBytes?: number;
}

/**
 * Result logs that any number of processes append to and read: small appends as rows of a table, large ones as objects that a row
 * names. The row is there before its object, so that a drop finds every object there can be; bytes that are named but missing are
 * those of an append that failed, and no segment names them.
 *
 * Uses the pool of `db`, which stays open when the log is closed.
 */
export function createPostgresResultLog(options: PostgresResultLogOptions): ResultLog {
  const { db, objectBytes = OBJECT_BYTES } = options;
  const objects = options.objects ?? noObjects;
  const maxRowBytes = options.objects ? objectBytes : Infinity;
  const slots = createResultSlots(db);
  const insertPiece = createPieceInserter(db);
  const readPieces = createPieceReader(db, createObjectReader(objects));
  const readers = createResultReaders(db, options.readerLeaseMs);
  const removal = createResultRemoval(db, objects, options.vacuumBytes);

  return {
    async append(batchId, parts) {
      const length = parts.reduce((sum, part) => sum + part.length, 0);
      const isObject = length > maxRowBytes;
      for (;;) {
        const { log, position } = await slots.take(batchId, length);
        if (length === 0) return { position };
        if (await insertPiece({ log, position, length, parts: isObject ? null : parts })) {
          if (isObject) await objects.put(objectName({ batchId, log, position }), parts);
          return { position };
        }
        // It was dropped, perhaps elsewhere: what is appended now begins a new one.
        slots.forget(batchId, log);
      }
    },
    read: (batchId, position, length) =>
      readExactly(db, readPieces, { batchId, log: null }, position, length),
    async open(batchId) {
      const reader = await readers.open(batchId);
      if (reader === undefined) throw noLog(batchId);
      const { id, log } = reader;
      return logReader(db, readPieces, { batchId, log }, async () => {
        await readers.close(id);
        // Whoever has read is not to hear that it fails: the next sweep tries again.
        await removal.remove(log).catch(() => {});
      });
    },
    async drop(batchId) {
      slots.forget(batchId);
      const dropped = await db.all<{ readonly log: number }>(
        'update result_logs set dropped_at = now() where batch_id = $1 and dropped_at is null returning seq as log',
        batchId,
      );
      for (const { log } of dropped) await removal.remove(log);
    },
    async *list() {
      // Whoever lists looks for what is left behind: so does this.
      await removal.sweep();
      yield* listLogs(db);
    },
    async close() {
      await readers.stop();
      await removal.close();
    },
  };
}

const noObjects: ResultObjects = {
  put: () => Promise.reject(missingStore()),
  readRange: () => Promise.reject(missingStore()),
  delete: () => Promise.reject(missingStore()),
};

function missingStore(): Error {
  return new Error('result lines lie in a store of objects, which the settings do not name any more');
}

function noLog(batchId: string): Error {
  return new Error(`there is no result log of ${batchId}`);
}

async function readExactly(
  db: Database,
  readPieces: ReadPieces,
  source: LogSource,
  position: number,
  length: number,
): Promise<Buffer> {
  if (length === 0) return Buffer.alloc(0);
  const { bytes, end } = await readPieces(source, position, length);
  if (bytes.length === length) return bytes;
  if (bytes.length === 0 && source.log === null && !(await hasLog(db, source.batchId)))
    throw noLog(source.batchId);
  throw new Error(
    `the result log of ${source.batchId} ends at byte ${end}, before byte ${position + length}`,
  );
}

async function hasLog(db: Database, batchId: string): Promise<boolean> {
  const row = await db.get('select from result_logs where batch_id = $1 and dropped_at is null', batchId);
  return row !== undefined;
}

/** Reads small parts ahead: lines are read one by one, and each would cost a round trip. */
function logReader(
  db: Database,
  readPieces: ReadPieces,
  source: LogSource,
  close: () => Promise<void>,
): LogReader {
  let held: { readonly position: number; readonly bytes: Buffer } = { position: 0, bytes: Buffer.alloc(0) };
  return {
    async read(position, length) {
      if (length >= AHEAD_BYTES) return await readExactly(db, readPieces, source, position, length);
      const at = position - held.position;
      if (at < 0 || at + length > held.bytes.length) {
        const { bytes } = await readPieces(source, position, length, AHEAD_BYTES);
        if (bytes.length < length) return await readExactly(db, readPieces, source, position, length);
        held = { position, bytes };
        return Buffer.from(bytes.subarray(0, length));
      }
      return Buffer.from(held.bytes.subarray(at, at + length));
    },
    close,
  };
}

/** In pages, so that logs may be dropped meanwhile. */
async function* listLogs(db: Database): AsyncGenerator<string> {
  const LOGS_A_PAGE = 1000;
  let last = '';
  for (;;) {
    const rows = await db.all<{ readonly batchId: string }>(
      `
      select batch_id as "batchId"
      from result_logs
      where dropped_at is null and batch_id > $1
      order by batch_id
      limit ${LOGS_A_PAGE}
      `,
      last,
    );
    for (const { batchId } of rows) yield batchId;
    if (rows.length < LOGS_A_PAGE) return;
    last = rows.at(-1)?.batchId ?? last;
  }
}
