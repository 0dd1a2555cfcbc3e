import { randomBytes } from 'node:crypto';

/** What a client may upload a file for, in the order in which the official API lists them. */
export const UPLOAD_PURPOSES = ['fine-tune', 'assistants', 'batch', 'user_data', 'vision', 'evals'] as const;
export type UploadPurpose = (typeof UPLOAD_PURPOSES)[number];
export type FilePurpose = UploadPurpose | 'batch_output';

/** The bytes of a file. */
export interface BlobRef {
  /**
   * By which the blob store knows them, 64 lower-case hex digits; no other bytes ever have it. A store that one process owns
   * keeps equal bytes once, under their SHA-256; in one that many processes share no key is ever used twice (ports.ts says why), and
   * it is random.
   */
  readonly key: string;
  readonly bytes: number;
}

/** A file row. Times are integer milliseconds since 1970. */
export interface FileRecord {
  /** `file-` and 22 alphanumerics. */
  readonly id: string;
  readonly owner: string;
  readonly purpose: FilePurpose;
  readonly filename: string;
  readonly blob: BlobRef;
  readonly createdAt: number;
  /** From this moment on the file is answered as unknown; null: never. */
  readonly expiresAt: number | null;
}

/** Bounds of `expires_after[seconds]` and `output_expires_after.seconds` (the official API's). */
export const MIN_EXPIRY_SECONDS = 3600;
export const MAX_EXPIRY_SECONDS = 2_592_000;
/** Files with purpose `batch` expire after 30 days unless told otherwise; other purposes persist. */
export const BATCH_FILE_EXPIRY_SECONDS = 2_592_000;

const ALPHANUMERICS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** A new file id: `file-` and 22 random alphanumerics (about 131 bits). */
export function newFileId(): string {
  let id = 'file-';
  while (id.length < 27) {
    for (const byte of randomBytes(32)) {
      // 248 = 4 × 62: larger bytes would favour the first letters.
      if (byte < 248 && id.length < 27) id += ALPHANUMERICS[byte % 62];
    }
  }
  return id;
}
