/** The shapes of uploads: schemas of what comes in, and the objects that go out, with their keys in order. */
import { z } from 'zod';
import type { FileRecord, UploadPart, UploadRecord } from '../../engine/index.ts';
import { expiresAfter, toFileObject, toUnixSeconds } from '../wire.ts';

export const createUploadBody = z.object({
  filename: z.string(),
  purpose: z.string(),
  bytes: z.int(),
  // Asked for as the official API does; which types a purpose takes is not checked here.
  mime_type: z.string(),
  expires_after: expiresAfter(z.int()).nullish(),
});

export const completeUploadBody = z.object({ part_ids: z.array(z.string()), md5: z.string().nullish() });

/** An Upload object; `file` is what it was completed to. */
export function toUploadObject(upload: UploadRecord, file: FileRecord | null = null) {
  return {
    id: upload.id,
    object: 'upload',
    bytes: upload.bytes,
    created_at: toUnixSeconds(upload.createdAt),
    filename: upload.filename,
    purpose: upload.purpose,
    status: upload.status,
    expires_at: toUnixSeconds(upload.expiresAt),
    file: file === null ? null : toFileObject(file),
  };
}

/** An UploadPart object. */
export function toPartObject(part: UploadPart) {
  return {
    id: part.id,
    object: 'upload.part',
    created_at: toUnixSeconds(part.createdAt),
    upload_id: part.uploadId,
  };
}
