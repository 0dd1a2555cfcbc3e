import { isNumbered, MOVED_TABLES } from '../sql/moved-tables.ts';
import { SERVICE_NAME } from './database.ts';
import type { Database, Sql } from './database.ts';

export interface NewMove {
  /** As the folder's mark has it. */
  readonly id: string;
  /** The folder, for messages. */
  readonly source: string;
  /** Where its files go; null: they stay. */
  readonly files: string | null;
}

/** Whether a move to a database may begin, and that it has ended. */
export interface MoveStates {
  /**
   * What is known of the move. Rejects where it cannot be begun or gone on with: the database has data of its
   * own, somebody uses it, or the files of the move go elsewhere.
   */
  stateOf(move: NewMove): Promise<'new' | 'under_way' | 'finished'>;
  /** Notes that a new move began; changes nothing where it has begun already. Rejects as `stateOf`. */
  begin(move: NewMove): Promise<void>;
  /** Counts what owners have stored and sets the numbers of new rows, by `highest`, and lets the service start. */
  finish(move: string, highest: ReadonlyMap<string, number>): Promise<void>;
}

export function createMoveStates(db: Database): MoveStates {
  return {
    stateOf: (move) => db.transaction((sql) => stateOf(sql, move)),
    begin: (move) =>
      db.transaction(async (sql) => {
        await sql.run('lock table data_moves in exclusive mode');
        if ((await stateOf(sql, move)) !== 'new') return;
        const { id, source, files } = move;
        await sql.run('insert into data_moves (id, source, files) values ($1, $2, $3)', id, source, files);
      }),
    finish: (move, highest) => db.transaction((sql) => finish(sql, move, highest)),
  };
}

/** Rejects where a move to this database is not finished: it has some of the rows only. */
export async function refuseHalfMoved(sql: Sql): Promise<void> {
  const move = await findUnfinished(sql);
  if (move === undefined) return;
  throw new Error(
    `The move of the data folder ${move.source} to this database is not finished. Run \`migrate-data\` again with the settings that it began with; it goes on where it was.`,
  );
}

interface MoveRow {
  readonly id: string;
  readonly source: string;
  readonly files: string | null;
}

async function findUnfinished(sql: Sql): Promise<MoveRow | undefined> {
  return await sql.get<MoveRow>('select id, source, files from data_moves where finished_at is null');
}

async function stateOf(sql: Sql, { id, files }: NewMove): Promise<'new' | 'under_way' | 'finished'> {
  const finished = await sql.get<MoveRow>(
    'select id, source, files from data_moves where id = $1 and finished_at is not null',
    id,
  );
  if (finished !== undefined) {
    if (finished.files === files) return 'finished';
    throw new Error(
      `The data folder was moved already, with files that ${placeOf(finished.files)}; BLOB_URL now says that they ${placeOf(files)}, and files do not move by themselves.`,
    );
  }
  await refuseUsed(sql);
  const unfinished = await findUnfinished(sql);
  if (unfinished === undefined) {
    await refuseFilled(sql);
    return 'new';
  }
  if (unfinished.id !== id) {
    throw new Error(
      `The database has part of another move, that of the data folder ${unfinished.source}. Finish that one, or empty the database.`,
    );
  }
  if (unfinished.files === files) return 'under_way';
  throw new Error(
    `The move began with files that ${placeOf(unfinished.files)}, and BLOB_URL now says that they ${placeOf(files)}. Start it with the setting that it began with.`,
  );
}

function placeOf(files: string | null): string {
  return files === null ? 'stay in the data folder' : `go to ${files}`;
}

/** What a service that runs on it wrote would be mixed with what is moved. */
async function refuseUsed(sql: Sql): Promise<void> {
  const user = await sql.get(
    `
    select from workers where alive_until > now()
    union all
    select from pg_stat_activity where datname = current_database() and application_name = $1
    `,
    SERVICE_NAME,
  );
  if (user === undefined) return;
  throw new Error(
    'A service uses the database, or did so half a minute ago: stop every one on it, then start the move again.',
  );
}

async function refuseFilled(sql: Sql): Promise<void> {
  for (const { name } of MOVED_TABLES) {
    const row = await sql.get(`select from ${name} limit 1`);
    if (row === undefined) continue;
    throw new Error(
      `The database has data of its own (in the table ${name}); a data folder moves to an empty one only.`,
    );
  }
}

async function finish(sql: Sql, move: string, highest: ReadonlyMap<string, number>): Promise<void> {
  // The triggers counted files, but parts of uploads only as they are added or removed.
  await sql.run('delete from owner_usage');
  await sql.run(`
    insert into owner_usage (owner, stored_bytes)
    select owner, sum(bytes)
    from (
      select owner, bytes from files
      union all
      select owner, part_bytes from uploads where status = 'pending'
    ) as stored
    group by owner
  `);
  for (const { name } of MOVED_TABLES.filter(isNumbered)) {
    await sql.run(
      `select setval(pg_get_serial_sequence('${name}', 'seq'), greatest(max(seq), $1, 1)) from ${name}`,
      highest.get(name) ?? 0,
    );
  }
  await sql.run('delete from moved_blobs');
  await sql.run('update data_moves set finished_at = now() where id = $1', move);
}
