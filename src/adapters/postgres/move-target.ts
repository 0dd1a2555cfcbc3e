import { columnsOf, isNumbered, liveCountsSql, MOVED_TABLES, placeOf } from '../sql/moved-tables.ts';
import type { LiveCounts, MovedRow, MovedTable, RowPlace } from '../sql/moved-tables.ts';
import { openPool } from './database.ts';
import type { Database, DatabaseOptions, Sql, SqlValue } from './database.ts';
import { checkDurability } from './durability.ts';
import { migrateDatabase } from './migrate.ts';
import { createMoveStates } from './move-states.ts';
import type { MoveStates } from './move-states.ts';

/** A blob of the folder, and where its bytes are now. */
export interface MovedBlob {
  readonly oldKey: string;
  readonly newKey: string;
  readonly bytes: number;
}

/** A database that rows of a data folder are moved to. Each verb is one transaction. */
export interface MoveTarget extends MoveStates {
  /** For what lies in the database beside the rows; open until the target is closed. */
  readonly db: Database;
  /** The key of the last row of the table that is here; null: none is. */
  placeIn(move: string, table: MovedTable): Promise<RowPlace | null>;
  /** Inserts the rows that come after `place`, which must be that of the last row that is here. */
  writeRows(
    move: string,
    table: MovedTable,
    place: RowPlace | null,
    rows: readonly MovedRow[],
  ): Promise<void>;
  writeBlob(blob: MovedBlob): Promise<void>;
  /** The new keys of those of the blobs that were moved, by their old ones. */
  findBlobs(oldKeys: readonly string[]): Promise<ReadonlyMap<string, string>>;
  countBlobs(): Promise<{ readonly blobs: number; readonly bytes: number }>;
  countRows(table: MovedTable): Promise<number>;
  /** Live batches, by `seq`. */
  readLiveCounts(afterSeq: number, limit: number): Promise<readonly LiveCounts[]>;
  close(): Promise<void>;
}

/** Opens the database and brings its tables up to date, also where a move to it is not finished. */
export async function openMoveTarget(options: DatabaseOptions): Promise<MoveTarget> {
  const db = openPool({ ...options, name: 'anyllm-batch migrate-data' });
  try {
    await checkDurability(db);
    await migrateDatabase(db);
    return createTarget(db, await readColumnTypes(db));
  } catch (error) {
    await db.close();
    throw error;
  }
}

function createTarget(db: Database, types: ReadonlyMap<string, string>): MoveTarget {
  const inserts = new Map(MOVED_TABLES.map((table) => [table, insertSql(table, types)]));
  return {
    db,
    ...createMoveStates(db),
    placeIn: async (move, { name }) => (await readProgress(db, move))[name] ?? null,
    writeRows: (move, table, place, rows) =>
      db.transaction(async (sql) => {
        const last = rows.at(-1);
        if (last === undefined) return;
        const progress = await readProgress(sql, move);
        // Another process moves the same folder, which its lock should have prevented.
        if (JSON.stringify(progress[table.name] ?? null) !== JSON.stringify(place))
          throw new Error(`somebody else has moved rows of ${table.name} meanwhile`);
        await sql.run(
          inserts.get(table) ?? '',
          ...columnsOf(table).map((column) => rows.map((row) => row[column] ?? null) as unknown as SqlValue),
        );
        await sql.run(
          'update data_moves set progress = $1 where id = $2',
          JSON.stringify({ ...progress, [table.name]: placeOf(table, last) }),
          move,
        );
      }),
    writeBlob: ({ oldKey, newKey, bytes }) =>
      db.transaction(async (sql) => {
        await sql.run(
          'insert into moved_blobs (old_key, new_key, bytes) values ($1, $2, $3)',
          oldKey,
          newKey,
          bytes,
        );
      }),
    async findBlobs(oldKeys) {
      const rows = await db.all<{ readonly old_key: string; readonly new_key: string }>(
        'select old_key, new_key from moved_blobs where old_key = any ($1::text[])',
        oldKeys,
      );
      return new Map(rows.map(({ old_key, new_key }) => [old_key, new_key]));
    },
    countBlobs: async () =>
      (await db.get<{ readonly blobs: number; readonly bytes: number }>(
        'select count(*) as blobs, coalesce(sum(bytes), 0)::bigint as bytes from moved_blobs',
      )) ?? { blobs: 0, bytes: 0 },
    async countRows({ name }) {
      const row = await db.get<{ readonly rows: number }>(`select count(*) as rows from ${name}`);
      return row?.rows ?? 0;
    },
    readLiveCounts: (afterSeq, limit) => db.all<LiveCounts>(liveCountsSql('$1', '$2'), afterSeq, limit),
    close: () => db.close(),
  };
}

async function readProgress(sql: Sql, move: string): Promise<Readonly<Record<string, RowPlace>>> {
  const row = await sql.get<{ readonly progress: string }>(
    'select progress from data_moves where id = $1 and finished_at is null for update',
    move,
  );
  if (row === undefined) throw new Error('the move is not under way any more');
  return JSON.parse(row.progress) as Record<string, RowPlace>;
}

/** The types of all columns, by `table.column`. */
async function readColumnTypes(sql: Sql): Promise<ReadonlyMap<string, string>> {
  const rows = await sql.all<{ readonly name: string; readonly type: string }>(
    `
    select c.relname || '.' || a.attname as name, format_type(a.atttypid, null) as type
    from pg_attribute a
      join pg_class c on c.oid = a.attrelid
    where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
    `,
  );
  return new Map(rows.map(({ name, type }) => [name, type]));
}

function insertSql(table: MovedTable, types: ReadonlyMap<string, string>): string {
  const columns = columnsOf(table);
  const lists = columns.map((column, i) => `$${i + 1}::${types.get(`${table.name}.${column}`)}[]`);
  return `
    insert into ${table.name} (${columns.join(', ')})
    ${isNumbered(table) ? 'overriding system value' : ''}
    select * from unnest(${lists.join(', ')})
  `;
}
