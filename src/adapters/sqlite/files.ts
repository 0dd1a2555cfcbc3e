import type { Database } from 'better-sqlite3';
import type { Batch } from '../../engine/batches/batch.ts';
import type { FileRecord } from '../../engine/files/file.ts';
import type { Inserted, OwnerLimits } from '../../engine/owners/owner.ts';
import type { DeleteFileResult, FileQuery, Store } from '../../engine/ports.ts';
import type { Room } from './owner-usage.ts';
import { toBlob, toFile } from '../sql/rows.ts';
import type { BlobRow, FileRow } from '../sql/rows.ts';
import { transaction } from './transaction.ts';

export type FileVerbs = Pick<
  Store,
  'insertFile' | 'getFile' | 'listFiles' | 'deleteFile' | 'expireFiles' | 'blobInUse'
>;

/** Inserts a file row, within the caller's transaction. */
export type InsertFile = (file: FileRecord) => void;

export function createInsertFile(db: Database): InsertFile {
  const insert = db.prepare(`
    insert into files (id, owner, purpose, filename, blob_key, bytes, created_at, expires_at)
    values (:id, :owner, :purpose, :filename, :key, :bytes, :createdAt, :expiresAt)
  `);
  return ({ blob, ...file }) => {
    insert.run({ ...file, ...blob });
  };
}

/** Uploaded and produced files. */
export function createFileVerbs(
  db: Database,
  { insertFile, room }: { readonly insertFile: InsertFile; readonly room: Room },
): FileVerbs {
  const get = db.prepare<[string, string, number], FileRow>(`
    select id, owner, purpose, filename, blob_key, bytes, created_at, expires_at
    from files
    where id = ? and owner = ? and (expires_at is null or expires_at > ?)
  `);
  const insertWithin = transaction(db, (file: FileRecord, limits: OwnerLimits | undefined): Inserted => {
    const over = room.bytes(file.owner, limits, file.blob.bytes);
    if (over !== null) return over;
    insertFile(file);
    return { kind: 'ok' };
  });
  const deleteFile = createDeleteFile(db);
  const expire = db.prepare<[number, number], BlobRow>(`
    delete from files
    where seq in (
      select f.seq
      from files f
      where f.expires_at <= ?
        and not exists (
          select 1
          from batches b
          where b.input_file_id = f.id
            and b.owner = f.owner
            and b.status in ('validating', 'in_progress', 'finalizing', 'cancelling')
        )
      order by f.expires_at
      limit ?
    )
    returning blob_key, bytes
  `);
  const blobInUse = db
    .prepare<[string, string, string], number>(
      `
      select exists (select 1 from files where blob_key = ?)
        or exists (select 1 from upload_parts where blob_key = ?)
        or exists (
          select 1
          from batches
          where input_key = ? and status in ('validating', 'in_progress', 'finalizing', 'cancelling')
        )
      `,
    )
    .pluck();

  return {
    insertFile: async (file, limits) => insertWithin(file, limits),
    getFile: async (owner, id, now) => {
      const row = get.get(id, owner, now);
      return row === undefined ? null : toFile(row);
    },
    listFiles: createListFiles(db),
    deleteFile: async (owner, id, now) => deleteFile(owner, id, now),
    expireFiles: async (now, limit) => expire.all(now, limit).map(toBlob),
    blobInUse: async (key) => blobInUse.get(key, key, key) === 1,
  };
}

interface ListParams {
  readonly owner: string;
  readonly purpose: string | null;
  readonly now: number;
  readonly afterCreatedAt: number;
  readonly afterSeq: number;
  readonly limit: number;
}

/** A place between two files of the list. */
interface Cursor {
  readonly created_at: number;
  readonly seq: number;
}

const BEFORE_ALL: Cursor = { created_at: -1, seq: -1 };
const AFTER_ALL: Cursor = { created_at: Number.MAX_SAFE_INTEGER, seq: Number.MAX_SAFE_INTEGER };

function createListFiles(db: Database): Store['listFiles'] {
  const find = db.prepare<[string, string, number], Cursor>(`
    select created_at, seq
    from files
    where id = ? and owner = ? and (expires_at is null or expires_at > ?)
  `);
  const oldestFirst = db.prepare<[ListParams], FileRow>(`
    select id, owner, purpose, filename, blob_key, bytes, created_at, expires_at
    from files
    where owner = :owner
      and (created_at, seq) > (:afterCreatedAt, :afterSeq)
      and (:purpose is null or purpose = :purpose)
      and (expires_at is null or expires_at > :now)
    order by created_at, seq
    limit :limit
  `);
  const newestFirst = db.prepare<[ListParams], FileRow>(`
    select id, owner, purpose, filename, blob_key, bytes, created_at, expires_at
    from files
    where owner = :owner
      and (created_at, seq) < (:afterCreatedAt, :afterSeq)
      and (:purpose is null or purpose = :purpose)
      and (expires_at is null or expires_at > :now)
    order by created_at desc, seq desc
    limit :limit
  `);

  return async ({ owner, purpose, order, after, limit, now }: FileQuery) => {
    const start = order === 'asc' ? BEFORE_ALL : AFTER_ALL;
    const cursor = after === undefined ? start : find.get(after, owner, now);
    if (cursor === undefined) return null;
    const rows = (order === 'asc' ? oldestFirst : newestFirst).all({
      owner,
      purpose: purpose ?? null,
      now,
      afterCreatedAt: cursor.created_at,
      afterSeq: cursor.seq,
      limit: limit + 1,
    });
    return { data: rows.slice(0, limit).map(toFile), hasMore: rows.length > limit };
  };
}

function createDeleteFile(db: Database): (owner: string, id: string, now: number) => DeleteFileResult {
  const find = db.prepare<[string, string, number], BlobRow & { readonly seq: number }>(`
    select seq, blob_key, bytes
    from files
    where id = ? and owner = ? and (expires_at is null or expires_at > ?)
  `);
  const findReader = db.prepare<[string, string], Pick<Batch, 'id' | 'format'>>(`
    select id, format
    from batches
    where input_file_id = ?
      and owner = ?
      and status in ('validating', 'in_progress', 'finalizing', 'cancelling')
    order by seq
    limit 1
  `);
  const remove = db.prepare<[number]>('delete from files where seq = ?');

  return transaction(db, (owner: string, id: string, now: number): DeleteFileResult => {
    const file = find.get(id, owner, now);
    if (file === undefined) return { kind: 'missing' };
    const batch = findReader.get(id, owner);
    if (batch !== undefined) return { kind: 'in_use', batch };
    remove.run(file.seq);
    return { kind: 'deleted', blob: toBlob(file) };
  });
}
