/** An upload: a file that comes in parts. Its states, its limits, and which parts make its file. Pure. */
import { randomBytes } from 'node:crypto';
import { EngineError } from '../errors.ts';
import type { BlobRef, UploadPurpose } from './file.ts';

/** Largest part, bytes: the official API's 64 MB, as its SDKs count them. */
export const MAX_PART_BYTES = 64 * 1024 * 1024;
/** Most parts of one upload. All their ids fit into the body of the call that completes it. */
export const MAX_PARTS = 10_000;
/** An upload must be completed within this time, milliseconds. */
export const UPLOAD_LIFETIME_MS = 3_600_000;

/** Only a pending upload changes; the other states are ends. */
export type UploadStatus = 'pending' | 'completed' | 'cancelled' | 'expired';

/** An upload row. Times are integer milliseconds since 1970. */
export interface UploadRecord {
  /** `upload_` and 32 hex digits. */
  readonly id: string;
  readonly owner: string;
  readonly filename: string;
  readonly purpose: UploadPurpose;
  /** What its parts must have in all. */
  readonly bytes: number;
  /** Of the file, counted from the file's creation; null: as the purpose has it. */
  readonly expiresAfterSeconds: number | null;
  readonly createdAt: number;
  /** From this moment on the upload can be neither added to nor completed. */
  readonly expiresAt: number;
  readonly status: UploadStatus;
  /** What it was completed to. */
  readonly fileId: string | null;
}

/** A part row: it names a blob, as a file row does. */
export interface UploadPart {
  /** `part_` and 32 hex digits. */
  readonly id: string;
  readonly uploadId: string;
  readonly blob: BlobRef;
  /** Of its bytes, 64 lower-case hex digits: what tells equal parts, for equal blobs may have different keys. */
  readonly sha256: string;
  readonly createdAt: number;
}

export function newUploadId(): string {
  return `upload_${randomBytes(16).toString('hex')}`;
}

export function newPartId(): string {
  return `part_${randomBytes(16).toString('hex')}`;
}

/**
 * The parts with these ids, in this order, of those that are stored. Throws `invalid_value` where an id comes twice or is
 * none of this upload's, or where the parts do not have the declared bytes in all. Stored parts that are not named are
 * no mistake: a client sends a part again where it has lost the answer.
 */
export function arrangeParts(
  upload: UploadRecord,
  stored: readonly UploadPart[],
  partIds: readonly string[],
): BlobRef[] {
  const blobs = new Map(stored.map((part) => [part.id, part.blob]));
  const named = new Set<string>();
  const arranged = partIds.map((id) => {
    const blob = blobs.get(id);
    if (blob === undefined) throw invalidParts(`'${id}' is not a part of this upload`);
    if (named.has(id)) throw invalidParts(`'${id}' is named more than once`);
    named.add(id);
    return blob;
  });
  const bytes = arranged.reduce((sum, blob) => sum + blob.bytes, 0);
  if (bytes !== upload.bytes) {
    throw invalidParts(`the parts have ${bytes} bytes, but the upload was created for ${upload.bytes} bytes`);
  }
  return arranged;
}

function invalidParts(reason: string): EngineError {
  return new EngineError('invalid_value', `Invalid 'part_ids': ${reason}.`, { param: 'part_ids' });
}
