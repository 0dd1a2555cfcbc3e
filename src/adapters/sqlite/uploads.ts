import type { Database } from 'better-sqlite3';
import type { BlobRef, FileRecord } from '../../engine/files/file.ts';
import type { Inserted, OverLimit, OwnerLimits } from '../../engine/owners/owner.ts';
import { MAX_PARTS } from '../../engine/files/upload.ts';
import type { UploadPart, UploadRecord } from '../../engine/files/upload.ts';
import type { AddPartResult, UploadChange, UploadStore } from '../../engine/files/upload-store.ts';
import type { InsertFile } from './files.ts';
import type { Room } from './owner-usage.ts';
import { toBlob } from '../sql/rows.ts';
import type { BlobRow } from '../sql/rows.ts';
import { toPart, toUpload } from '../sql/upload-rows.ts';
import type { PartRow, UploadRow } from '../sql/upload-rows.ts';
import { transaction } from './transaction.ts';

interface UploadParts {
  readonly insertFile: InsertFile;
  readonly room: Room;
}

/** Files that come in parts. */
export function createUploadVerbs(db: Database, { insertFile, room }: UploadParts): UploadStore {
  const find = createFindUpload(db);
  const add = createAddPart(db, find, room);
  const complete = createCompleteUpload(db, find, { insertFile, room });
  const cancel = createCancelUpload(db, find);
  const removeParts = createRemoveParts(db);
  const insert = db.prepare(`
    insert into uploads (
      id, owner, filename, purpose, bytes, expires_after_seconds, created_at, expires_at, status, file_id
    )
    values (
      :id, :owner, :filename, :purpose, :bytes, :expiresAfterSeconds, :createdAt, :expiresAt, :status, :fileId
    )
  `);
  const insertWithin = transaction(db, (upload: UploadRecord, limits: OwnerLimits | undefined): Inserted => {
    const over = room.bytes(upload.owner, limits, upload.bytes);
    if (over !== null) return over;
    insert.run(upload);
    return { kind: 'ok' };
  });
  const parts = db.prepare<[string], PartRow>(`
    select p.id, p.blob_key, p.bytes, p.sha256, p.created_at
    from uploads u
    join upload_parts p on p.upload = u.seq
    where u.id = ?
  `);
  const expire = db.prepare<[number, number]>(`
    update uploads
    set status = 'expired', ended_at = expires_at
    where seq in (
      select seq from uploads where status = 'pending' and expires_at <= ? order by expires_at limit ?
    )
  `);
  const purge = db.prepare<[number]>('delete from uploads where ended_at < ? and parts = 0');

  return {
    insertUpload: async (upload, limits) => insertWithin(upload, limits),
    getUpload: async (owner, id, now) => {
      const row = find(owner, id);
      return row === undefined ? null : toUpload(row, now);
    },
    addUploadPart: async (owner, part, limits) => add(owner, part, limits),
    readUploadParts: async (uploadId) => parts.all(uploadId).map((row) => toPart(row, uploadId)),
    completeUpload: async (owner, id, now, file, limits) => complete(owner, { id, now, file, limits }),
    cancelUpload: async (owner, id, now) => cancel(owner, id, now),
    expireUploads: async (before, limit) => expire.run(before, limit).changes,
    removeUploadParts: async (limit) => removeParts(limit),
    purgeUploads: async (before) => purge.run(before).changes,
  };
}

/** The owner's upload, or undefined. */
type FindUpload = (owner: string, id: string) => UploadRow | undefined;

function createFindUpload(db: Database): FindUpload {
  const find = db.prepare<[string, string], UploadRow>(`
    select seq, id, owner, filename, purpose, bytes, expires_after_seconds, created_at, expires_at, status, file_id,
      parts, part_bytes
    from uploads
    where id = ? and owner = ?
  `);
  return (owner, id) => find.get(id, owner);
}

function createAddPart(
  db: Database,
  find: FindUpload,
  room: Room,
): (owner: string, part: UploadPart, limits: OwnerLimits | undefined) => AddPartResult {
  const findEqual = db.prepare<[number, string], BlobRow>(
    'select blob_key, bytes from upload_parts where upload = ? and sha256 = ? limit 1',
  );
  const insert = db.prepare<[string, number, string, number, string, number]>(
    'insert into upload_parts (id, upload, blob_key, bytes, sha256, created_at) values (?, ?, ?, ?, ?, ?)',
  );
  const count = db.prepare<[number, number]>(
    'update uploads set parts = parts + 1, part_bytes = part_bytes + ? where seq = ?',
  );

  return transaction(
    db,
    (owner: string, part: UploadPart, limits: OwnerLimits | undefined): AddPartResult => {
      const { id, uploadId, sha256, createdAt } = part;
      const row = find(owner, uploadId);
      if (row === undefined) return { kind: 'missing' };
      const upload = toUpload(row, createdAt);
      if (upload.status !== 'pending') return { kind: 'refused', upload };
      const equal = findEqual.get(row.seq, sha256);
      const added = equal === undefined ? part.blob.bytes : 0;
      if (row.parts >= MAX_PARTS || row.part_bytes + added > row.bytes) {
        return { kind: 'full', upload, parts: row.parts, partBytes: row.part_bytes };
      }
      const over = room.bytes(owner, limits, added);
      if (over !== null) return over;
      const blob = equal === undefined ? part.blob : toBlob(equal);
      insert.run(id, row.seq, blob.key, blob.bytes, sha256, createdAt);
      count.run(added, row.seq);
      return { kind: 'ok', upload, blob };
    },
  );
}

interface Completion {
  readonly id: string;
  readonly now: number;
  readonly file: FileRecord;
  readonly limits: OwnerLimits | undefined;
}

function createCompleteUpload(
  db: Database,
  find: FindUpload,
  { insertFile, room }: UploadParts,
): (owner: string, completion: Completion) => UploadChange | OverLimit {
  const setCompleted = db.prepare<[string, number, number]>(
    `update uploads set status = 'completed', file_id = ?, ended_at = ? where seq = ?`,
  );
  return transaction(db, (owner: string, completion: Completion): UploadChange | OverLimit => {
    const { id, now, file, limits } = completion;
    const row = find(owner, id);
    if (row === undefined) return { kind: 'missing' };
    const upload = toUpload(row, now);
    if (upload.status !== 'pending') return { kind: 'refused', upload };
    // The parts are no longer counted then.
    const over = room.bytes(owner, limits, file.blob.bytes - row.part_bytes);
    if (over !== null) return over;
    insertFile(file);
    setCompleted.run(file.id, file.createdAt, row.seq);
    return { kind: 'ok', upload: { ...upload, status: 'completed', fileId: file.id } };
  });
}

function createCancelUpload(
  db: Database,
  find: FindUpload,
): (owner: string, id: string, now: number) => UploadChange {
  const setCancelled = db.prepare<[number, number]>(
    `update uploads set status = 'cancelled', ended_at = ? where seq = ?`,
  );
  return transaction(db, (owner: string, id: string, now: number): UploadChange => {
    const row = find(owner, id);
    if (row === undefined) return { kind: 'missing' };
    const upload = toUpload(row, now);
    if (upload.status !== 'pending') return { kind: 'refused', upload };
    setCancelled.run(now, row.seq);
    return { kind: 'ok', upload: { ...upload, status: 'cancelled' } };
  });
}

function createRemoveParts(db: Database): (limit: number) => BlobRef[] {
  const findEnded = db
    .prepare<[], number>(
      'select seq from uploads where ended_at is not null and parts > 0 order by ended_at limit 1',
    )
    .pluck();
  const remove = db.prepare<[number, number], BlobRow>(`
    delete from upload_parts
    where seq in (select seq from upload_parts where upload = ? limit ?)
    returning blob_key, bytes
  `);
  const count = db.prepare<[number, number]>('update uploads set parts = parts - ? where seq = ?');

  return transaction(db, (limit: number): BlobRef[] => {
    const seq = findEnded.get();
    if (seq === undefined) return [];
    const blobs = remove.all(seq, limit).map(toBlob);
    count.run(blobs.length, seq);
    return blobs;
  });
}
