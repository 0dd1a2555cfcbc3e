import type { FileRecord } from '../../engine/files/file.ts';
import { MAX_PARTS } from '../../engine/files/upload.ts';
import type { UploadPart, UploadRecord } from '../../engine/files/upload.ts';
import type { UploadStore } from '../../engine/files/upload-store.ts';
import type { OwnerLimits } from '../../engine/owners/owner.ts';
import { toBlob } from '../sql/rows.ts';
import type { BlobRow } from '../sql/rows.ts';
import { toPart, toUpload } from '../sql/upload-rows.ts';
import type { PartRow, UploadRow } from '../sql/upload-rows.ts';
import type { Database, Sql } from './database.ts';
import { insertFile } from './files.ts';
import { refuseBytes } from './owner-usage.ts';

/** Files that come in parts. */
export function createUploadVerbs(db: Database): UploadStore {
  return {
    insertUpload: (upload, limits) =>
      db.transaction(async (sql) => {
        const over = await refuseBytes(sql, upload.owner, limits, upload.bytes);
        if (over !== null) return over;
        await insertUpload(sql, upload);
        return { kind: 'ok' };
      }),
    async getUpload(owner, id, now) {
      const row = await findUpload(db, owner, id);
      return row === undefined ? null : toUpload(row, now);
    },
    addUploadPart: (owner, part, limits) => db.transaction((sql) => addPart(sql, owner, part, limits)),
    async readUploadParts(uploadId) {
      const rows = await db.all<PartRow>(
        `
        select p.id, p.blob_key, p.bytes, p.sha256, p.created_at
        from uploads u
          join upload_parts p on p.upload = u.seq
        where u.id = $1
        `,
        uploadId,
      );
      return rows.map((row) => toPart(row, uploadId));
    },
    completeUpload: (owner, id, now, file, limits) =>
      db.transaction((sql) => completeUpload(sql, owner, { id, now, file, limits })),
    cancelUpload: (owner, id, now) => db.transaction((sql) => cancelUpload(sql, owner, id, now)),
    expireUploads: (before, limit) =>
      db.transaction((sql) =>
        sql.run(
          `
          update uploads
          set status = 'expired', ended_at = expires_at
          where seq in (
            select seq
            from uploads
            where status = 'pending' and expires_at <= $1
            order by expires_at
            limit $2
            for update skip locked
          )
          `,
          before,
          limit,
        ),
      ),
    removeUploadParts: (limit) => db.transaction((sql) => removeParts(sql, limit)),
    purgeUploads: (before) =>
      db.transaction((sql) => sql.run('delete from uploads where ended_at < $1 and parts = 0', before)),
  };
}

async function insertUpload(sql: Sql, upload: UploadRecord): Promise<void> {
  const { id, owner, filename, purpose, bytes, expiresAfterSeconds, createdAt, expiresAt, status, fileId } =
    upload;
  await sql.run(
    `
    insert into uploads (
      id, owner, filename, purpose, bytes, expires_after_seconds, created_at, expires_at, status, file_id
    )
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    `,
    id,
    owner,
    filename,
    purpose,
    bytes,
    expiresAfterSeconds,
    createdAt,
    expiresAt,
    status,
    fileId,
  );
}

const FIND = `
  select seq, id, owner, filename, purpose, bytes, expires_after_seconds, created_at, expires_at, status, file_id,
    parts, part_bytes
  from uploads
  where id = $1 and owner = $2
`;

/** The owner's upload, or undefined. */
async function findUpload(sql: Sql, owner: string, id: string): Promise<UploadRow | undefined> {
  return await sql.get<UploadRow>(FIND, id, owner);
}

/** The same, and nobody else changes it within this transaction. */
async function lockUpload(sql: Sql, owner: string, id: string): Promise<UploadRow | undefined> {
  return await sql.get<UploadRow>(`${FIND} for update`, id, owner);
}

async function addPart(
  sql: Sql,
  owner: string,
  { id, uploadId, blob: own, sha256, createdAt }: UploadPart,
  limits: OwnerLimits | undefined,
): ReturnType<UploadStore['addUploadPart']> {
  const row = await lockUpload(sql, owner, uploadId);
  if (row === undefined) return { kind: 'missing' };
  const upload = toUpload(row, createdAt);
  if (upload.status !== 'pending') return { kind: 'refused', upload };
  const equal = await sql.get<BlobRow>(
    'select blob_key, bytes from upload_parts where upload = $1 and sha256 = $2 limit 1',
    row.seq,
    sha256,
  );
  const added = equal === undefined ? own.bytes : 0;
  if (row.parts >= MAX_PARTS || row.part_bytes + added > row.bytes) {
    return { kind: 'full', upload, parts: row.parts, partBytes: row.part_bytes };
  }
  const over = await refuseBytes(sql, owner, limits, added);
  if (over !== null) return over;
  const blob = equal === undefined ? own : toBlob(equal);
  await sql.run(
    'insert into upload_parts (id, upload, blob_key, bytes, sha256, created_at) values ($1, $2, $3, $4, $5, $6)',
    id,
    row.seq,
    blob.key,
    blob.bytes,
    sha256,
    createdAt,
  );
  await sql.run(
    'update uploads set parts = parts + 1, part_bytes = part_bytes + $1 where seq = $2',
    added,
    row.seq,
  );
  return { kind: 'ok', upload, blob };
}

interface Completion {
  readonly id: string;
  readonly now: number;
  readonly file: FileRecord;
  readonly limits: OwnerLimits | undefined;
}

async function completeUpload(
  sql: Sql,
  owner: string,
  { id, now, file, limits }: Completion,
): ReturnType<UploadStore['completeUpload']> {
  const row = await lockUpload(sql, owner, id);
  if (row === undefined) return { kind: 'missing' };
  const upload = toUpload(row, now);
  if (upload.status !== 'pending') return { kind: 'refused', upload };
  // The parts are no longer counted then.
  const over = await refuseBytes(sql, owner, limits, file.blob.bytes - row.part_bytes);
  if (over !== null) return over;
  await insertFile(sql, file);
  await sql.run(
    `update uploads set status = 'completed', file_id = $1, ended_at = $2 where seq = $3`,
    file.id,
    file.createdAt,
    row.seq,
  );
  return { kind: 'ok', upload: { ...upload, status: 'completed', fileId: file.id } };
}

async function cancelUpload(
  sql: Sql,
  owner: string,
  id: string,
  now: number,
): ReturnType<UploadStore['cancelUpload']> {
  const row = await lockUpload(sql, owner, id);
  if (row === undefined) return { kind: 'missing' };
  const upload = toUpload(row, now);
  if (upload.status !== 'pending') return { kind: 'refused', upload };
  await sql.run(`update uploads set status = 'cancelled', ended_at = $1 where seq = $2`, now, row.seq);
  return { kind: 'ok', upload: { ...upload, status: 'cancelled' } };
}

async function removeParts(sql: Sql, limit: number): ReturnType<UploadStore['removeUploadParts']> {
  const ended = await sql.get<{ readonly seq: number }>(
    `
    select seq
    from uploads
    where ended_at is not null and parts > 0
    order by ended_at
    limit 1
    for update skip locked
    `,
  );
  if (ended === undefined) return [];
  const removed = await sql.all<BlobRow>(
    `
    delete from upload_parts
    where seq in (select seq from upload_parts where upload = $1 limit $2)
    returning blob_key, bytes
    `,
    ended.seq,
    limit,
  );
  await sql.run('update uploads set parts = parts - $1 where seq = $2', removed.length, ended.seq);
  return removed.map(toBlob);
}
