/** What a Store keeps of uploads. The rules of `ports.ts` hold. */
import type { BlobRef, FileRecord } from './file.ts';
import type { Inserted, OverLimit, OwnerLimits } from '../owners/owner.ts';
import type { UploadPart, UploadRecord } from './upload.ts';

/** How an upload that may not be pending answers a change. */
export type UploadChange =
  | { readonly kind: 'ok'; readonly upload: UploadRecord }
  /** Unknown, or another owner's. */
  | { readonly kind: 'missing' }
  /** It has ended, as its status says. */
  | { readonly kind: 'refused'; readonly upload: UploadRecord };

export type AddPartResult =
  | Exclude<UploadChange, { kind: 'ok' }>
  /** `blob`: what the part's row names. */
  | { readonly kind: 'ok'; readonly upload: UploadRecord; readonly blob: BlobRef }
  | OverLimit
  /** One part more than MAX_PARTS, or more bytes than were declared; both as they are stored without this part. */
  | {
      readonly kind: 'full';
      readonly upload: UploadRecord;
      readonly parts: number;
      readonly partBytes: number;
    };

/** Uploads and their parts. A pending upload is answered, and treated, as expired from its time on. */
export interface UploadStore {
  /** Inserts a pending upload, unless its owner has no room for its declared bytes within `limits`. It takes none itself. */
  insertUpload(upload: UploadRecord, limits?: OwnerLimits): Promise<Inserted>;
  /** Null where unknown or another owner's. */
  getUpload(owner: string, id: string, now: number): Promise<UploadRecord | null>;
  /**
   * Adds a part to a pending upload, at the time `part.createdAt`. Parts with the same `sha256` count once against the
   * declared bytes and the owner's `limits`, for one that is sent again takes no room: it names the blob of the first one, and
   * nothing comes to name its own.
   */
  addUploadPart(owner: string, part: UploadPart, limits?: OwnerLimits): Promise<AddPartResult>;
  /** All parts of an upload, in no order; of an ended one those that are left. */
  readUploadParts(uploadId: string): Promise<readonly UploadPart[]>;
  /**
   * pending → completed, and inserts its file, unless its owner has no room within `limits` for what the file has more than
   * the parts. `now`: when that was asked for, for it may take longer than an upload lives.
   */
  completeUpload(
    owner: string,
    id: string,
    now: number,
    file: FileRecord,
    limits?: OwnerLimits,
  ): Promise<UploadChange | OverLimit>;
  /** pending → cancelled. */
  cancelUpload(owner: string, id: string, now: number): Promise<UploadChange>;
  /** pending → expired for up to `limit` uploads that expired at or before `before`; answers how many. */
  expireUploads(before: number, limit: number): Promise<number>;
  /** Removes up to `limit` parts of one ended upload; answers their blobs, none only where no ended upload has parts left. */
  removeUploadParts(limit: number): Promise<readonly BlobRef[]>;
  /** Removes uploads without parts that ended before `before`; answers how many. */
  purgeUploads(before: number): Promise<number>;
}
