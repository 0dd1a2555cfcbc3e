import type { Database } from './database.ts';
import { MAX_DELETES, objectName } from './result-objects.ts';
import type { ResultObjects } from './result-objects.ts';

/** Logs that are looked at together. */
const LOGS_A_STEP = 100;
/** Pieces that one statement deletes: some ten MB at the most, as large ones are objects. */
const PIECES_A_STEP = 64;
/**
 * For so long after a drop something may still come in that was on its way: the pieces of a worker that was frozen, or an object that
 * takes its time. The names of objects stay until then, to be removed once more.
 */
const ARRIVALS = "interval '1 hour'";

/**
 * What is deleted takes room until a vacuum. The database itself looks once a minute, in which gigabytes can come and go; so who has
 * deleted this many bytes asks for one.
 */
const VACUUM_BYTES = 128 * 1024 * 1024;

/** Removes what is in dropped logs that nobody reads. */
export interface ResultRemoval {
  /** That of one log; does nothing where it is not dropped, or is being read. */
  remove(log: number): Promise<void>;
  /** What crashes and dead readers have left. */
  sweep(): Promise<void>;
  /** Resolves when nothing is under way. */
  close(): Promise<void>;
}

interface DroppedLog {
  readonly log: number;
  readonly batchId: string;
  /** True: nothing comes in any more. */
  readonly isOver: boolean;
}

export function createResultRemoval(
  db: Database,
  objects: ResultObjects,
  vacuumBytes = VACUUM_BYTES,
): ResultRemoval {
  let deletedBytes = 0;
  let vacuum: Promise<unknown> | null = null;

  /** Not waited for: it takes a second or two. Where it fails, or somebody else is at it, the database comes to it by itself. */
  function vacuumAfter(bytes: number): void {
    deletedBytes += bytes;
    if (deletedBytes < vacuumBytes || vacuum !== null) return;
    deletedBytes = 0;
    vacuum = db
      .run('vacuum (skip_locked, truncate false) result_pieces')
      .catch(() => {})
      .finally(() => (vacuum = null));
  }

  async function removeFrom(logs: readonly DroppedLog[]): Promise<void> {
    const ids = logs.map(({ log }) => log);
    vacuumAfter(await deleteBytes(db, ids));
    await deleteObjects(db, objects, logs);
    const over = logs.filter(({ isOver }) => isOver).map(({ log }) => log);
    if (over.length === 0) return;
    await db.run('delete from result_pieces where log = any ($1::bigint[])', over);
    await db.run('delete from result_logs where seq = any ($1::bigint[])', over);
  }

  return {
    async remove(log) {
      await removeFrom(await findDropped(db, log, log));
    },
    async sweep() {
      await db.run('delete from result_readers where alive_until < now()');
      let last = 0;
      for (;;) {
        const logs = await findDropped(db, last + 1, Number.MAX_SAFE_INTEGER);
        if (logs.length > 0) await removeFrom(logs);
        if (logs.length < LOGS_A_STEP) return;
        last = logs.at(-1)?.log ?? last;
      }
    },
    async close() {
      await vacuum;
    },
  };
}

/** Dropped logs from `first` to `last` that nobody reads, in order. */
async function findDropped(db: Database, first: number, last: number): Promise<DroppedLog[]> {
  return await db.all<DroppedLog>(
    `
    select seq as log, batch_id as "batchId", dropped_at < now() - ${ARRIVALS} as "isOver"
    from result_logs
    where dropped_at is not null and seq between $1 and $2 and not exists (
      select from result_readers reader where reader.log = result_logs.seq and reader.alive_until > now()
    )
    order by seq
    limit ${LOGS_A_STEP}
    `,
    first,
    last,
  );
}

/** A piece by its key: where to go on after it. */
interface Key {
  readonly log: number;
  readonly position: number;
}

const START: Key = { log: 0, position: -1 };

/** Answers how many there were. */
async function deleteBytes(db: Database, logs: readonly number[]): Promise<number> {
  let deleted = 0;
  for (let last = START; ;) {
    const rows = await db.all<Key & { readonly length: number }>(
      `
      delete from result_pieces
      where ctid = any (array (
        select ctid
        from result_pieces
        where log = any ($1::bigint[]) and (log, position) > ($2::bigint, $3::bigint) and bytes is not null
        order by log, position
        limit ${PIECES_A_STEP}
      ))
      returning log, position, length
      `,
      logs,
      last.log,
      last.position,
    );
    for (const { length } of rows) deleted += length;
    if (rows.length < PIECES_A_STEP) return deleted;
    last = rows.reduce((a, b) => (b.log > a.log || (b.log === a.log && b.position > a.position) ? b : a));
  }
}

/** Their rows stay: what is on its way must be found when it has come. */
async function deleteObjects(
  db: Database,
  objects: ResultObjects,
  logs: readonly DroppedLog[],
): Promise<void> {
  const batchIds = new Map(logs.map(({ log, batchId }) => [log, batchId]));
  for (let last = START; ;) {
    const rows = await db.all<Key>(
      `
      select log, position
      from result_pieces
      where log = any ($1::bigint[]) and (log, position) > ($2::bigint, $3::bigint) and bytes is null
      order by log, position
      limit ${MAX_DELETES}
      `,
      [...batchIds.keys()],
      last.log,
      last.position,
    );
    const names = rows.map(({ log, position }) =>
      objectName({ batchId: batchIds.get(log) ?? '', log, position }),
    );
    if (names.length > 0) await objects.delete(names);
    if (rows.length < MAX_DELETES) return;
    last = rows.at(-1) ?? last;
  }
}
