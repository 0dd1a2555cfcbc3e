import type { Batch } from '../../engine/batches/batch.ts';
import type { FileRecord } from '../../engine/files/file.ts';
import type { FileQuery, Store } from '../../engine/ports.ts';
import { toBlob, toFile } from '../sql/rows.ts';
import type { BlobRow, FileRow } from '../sql/rows.ts';
import type { Database, Sql } from './database.ts';
import { refuseBytes } from './owner-usage.ts';

export type FileVerbs = Pick<
  Store,
  'insertFile' | 'getFile' | 'listFiles' | 'deleteFile' | 'expireFiles' | 'blobInUse'
>;

/** Inserts a file row, within the caller's transaction. */
export async function insertFile(sql: Sql, file: FileRecord): Promise<void> {
  const { id, owner, purpose, filename, blob, createdAt, expiresAt } = file;
  await sql.run(
    `
    insert into files (id, owner, purpose, filename, blob_key, bytes, created_at, expires_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8)
    `,
    id,
    owner,
    purpose,
    filename,
    blob.key,
    blob.bytes,
    createdAt,
    expiresAt,
  );
}

/** Uploaded and produced files. */
export function createFileVerbs(db: Database): FileVerbs {
  return {
    insertFile: (file, limits) =>
      db.transaction(async (sql) => {
        const over = await refuseBytes(sql, file.owner, limits, file.blob.bytes);
        if (over !== null) return over;
        await insertFile(sql, file);
        return { kind: 'ok' };
      }),
    async getFile(owner, id, now) {
      const row = await db.get<FileRow>(
        `
        select id, owner, purpose, filename, blob_key, bytes, created_at, expires_at
        from files
        where id = $1 and owner = $2 and (expires_at is null or expires_at > $3)
        `,
        id,
        owner,
        now,
      );
      return row === undefined ? null : toFile(row);
    },
    listFiles: (query) => listFiles(db, query),
    deleteFile: (owner, id, now) => db.transaction((sql) => deleteFile(sql, owner, id, now)),
    expireFiles: (now, limit) => db.transaction((sql) => expireFiles(sql, now, limit)),
    async blobInUse(key) {
      const row = await db.get<{ readonly used: boolean }>(
        `
        select exists (select 1 from files where blob_key = $1)
          or exists (select 1 from upload_parts where blob_key = $1)
          or exists (
            select 1
            from batches
            where input_key = $1 and status in ('validating', 'in_progress', 'finalizing', 'cancelling')
          ) as used
        `,
        key,
      );
      return row?.used === true;
    },
  };
}

/** A place between two files of the list. */
interface Cursor {
  readonly created_at: number;
  readonly seq: number;
}

const BEFORE_ALL: Cursor = { created_at: -1, seq: -1 };
const AFTER_ALL: Cursor = { created_at: Number.MAX_SAFE_INTEGER, seq: Number.MAX_SAFE_INTEGER };

const OLDEST_FIRST = `
  select id, owner, purpose, filename, blob_key, bytes, created_at, expires_at
  from files
  where owner = $1
    and (created_at, seq) > ($2, $3)
    and ($4::text is null or purpose = $4)
    and (expires_at is null or expires_at > $5)
  order by created_at, seq
  limit $6
`;
const NEWEST_FIRST = `
  select id, owner, purpose, filename, blob_key, bytes, created_at, expires_at
  from files
  where owner = $1
    and (created_at, seq) < ($2, $3)
    and ($4::text is null or purpose = $4)
    and (expires_at is null or expires_at > $5)
  order by created_at desc, seq desc
  limit $6
`;

async function listFiles(
  sql: Sql,
  { owner, purpose, order, after, limit, now }: FileQuery,
): ReturnType<Store['listFiles']> {
  const cursor =
    after === undefined
      ? order === 'asc'
        ? BEFORE_ALL
        : AFTER_ALL
      : await findCursor(sql, owner, after, now);
  if (cursor === undefined) return null;
  const rows = await sql.all<FileRow>(
    order === 'asc' ? OLDEST_FIRST : NEWEST_FIRST,
    owner,
    cursor.created_at,
    cursor.seq,
    purpose ?? null,
    now,
    limit + 1,
  );
  return { data: rows.slice(0, limit).map(toFile), hasMore: rows.length > limit };
}

async function findCursor(sql: Sql, owner: string, id: string, now: number): Promise<Cursor | undefined> {
  return await sql.get<Cursor>(
    `
    select created_at, seq
    from files
    where id = $1 and owner = $2 and (expires_at is null or expires_at > $3)
    `,
    id,
    owner,
    now,
  );
}

async function deleteFile(sql: Sql, owner: string, id: string, now: number): ReturnType<Store['deleteFile']> {
  const file = await sql.get<BlobRow & { readonly seq: number }>(
    `
    select seq, blob_key, bytes
    from files
    where id = $1 and owner = $2 and (expires_at is null or expires_at > $3)
    for update
    `,
    id,
    owner,
    now,
  );
  if (file === undefined) return { kind: 'missing' };
  const reader = await sql.get<Pick<Batch, 'id' | 'format'>>(
    `
    select id, format
    from batches
    where input_file_id = $1
      and owner = $2
      and status in ('validating', 'in_progress', 'finalizing', 'cancelling')
    order by seq
    limit 1
    `,
    id,
    owner,
  );
  if (reader !== undefined) return { kind: 'in_use', batch: reader };
  await sql.run('delete from files where seq = $1', file.seq);
  return { kind: 'deleted', blob: toBlob(file) };
}

async function expireFiles(sql: Sql, now: number, limit: number): ReturnType<Store['expireFiles']> {
  const rows = await sql.all<BlobRow>(
    `
    delete from files
    where seq in (
      select f.seq
      from files f
      where f.expires_at <= $1
        and not exists (
          select 1
          from batches b
          where b.input_file_id = f.id
            and b.owner = f.owner
            and b.status in ('validating', 'in_progress', 'finalizing', 'cancelling')
        )
      order by f.expires_at
      limit $2
      for update skip locked
    )
    returning blob_key, bytes
    `,
    now,
    limit,
  );
  return rows.map(toBlob);
}
