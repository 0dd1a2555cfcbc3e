/** Uploads and their parts as rows. */
import type { UploadPurpose } from '../../engine/files/file.ts';
import type { UploadPart, UploadRecord, UploadStatus } from '../../engine/files/upload.ts';
import { toBlob } from './rows.ts';
import type { BlobRow } from './rows.ts';

export interface UploadRow {
  readonly seq: number;
  readonly id: string;
  readonly owner: string;
  readonly filename: string;
  readonly purpose: UploadPurpose;
  readonly bytes: number;
  readonly expires_after_seconds: number | null;
  readonly created_at: number;
  readonly expires_at: number;
  readonly status: UploadStatus;
  readonly file_id: string | null;
  readonly parts: number;
  readonly part_bytes: number;
}

export interface PartRow extends BlobRow {
  readonly id: string;
  readonly sha256: string;
  readonly created_at: number;
}

/** The upload as it is at `now`. */
export function toUpload(row: UploadRow, now: number): UploadRecord {
  return {
    id: row.id,
    owner: row.owner,
    filename: row.filename,
    purpose: row.purpose,
    bytes: row.bytes,
    expiresAfterSeconds: row.expires_after_seconds,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    status: row.status === 'pending' && row.expires_at <= now ? 'expired' : row.status,
    fileId: row.file_id,
  };
}

export function toPart(row: PartRow, uploadId: string): UploadPart {
  return { id: row.id, uploadId, blob: toBlob(row), sha256: row.sha256, createdAt: row.created_at };
}
