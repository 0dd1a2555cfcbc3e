/** Rows as SQL databases answer them, and the records that they mean. */
import type {
  Batch,
  BatchError,
  BatchFormat,
  BatchStatus,
  RequestCounts,
  Usage,
} from '../../engine/batches/batch.ts';
import type { BlobRef, FilePurpose, FileRecord } from '../../engine/files/file.ts';

export interface BlobRow {
  readonly blob_key: string;
  readonly bytes: number;
}

export interface FileRow extends BlobRow {
  readonly id: string;
  readonly owner: string;
  readonly purpose: FilePurpose;
  readonly filename: string;
  readonly created_at: number;
  readonly expires_at: number | null;
}

export function toBlob(row: BlobRow): BlobRef {
  return { key: row.blob_key, bytes: row.bytes };
}

export function toFile(row: FileRow): FileRecord {
  return {
    id: row.id,
    owner: row.owner,
    purpose: row.purpose,
    filename: row.filename,
    blob: toBlob(row),
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  };
}

/** Finished lines and their tokens: summed over chunks, or as a batch row keeps them once it has ended. */
export interface ProgressRow {
  readonly completed: number;
  readonly failed: number;
  readonly input_tokens: number;
  readonly cached_tokens: number;
  readonly output_tokens: number;
  readonly reasoning_tokens: number;
  readonly total_tokens: number;
}

export interface BatchRow extends ProgressRow {
  readonly seq: number;
  readonly id: string;
  readonly owner: string;
  readonly format: BatchFormat;
  readonly endpoint: string;
  readonly input_file_id: string;
  readonly completion_window: string;
  readonly status: BatchStatus;
  readonly ending: 'completed' | 'expired' | null;
  readonly model: string | null;
  readonly errors: string | null;
  readonly output_file_id: string | null;
  readonly error_file_id: string | null;
  readonly total: number;
  readonly unfinished: number;
  readonly metadata: string | null;
  readonly priority: number;
  readonly webhook_url: string | null;
  readonly output_expires_after_seconds: number | null;
  readonly allowed_models: string | null;
  readonly created_at: number;
  readonly expires_at: number;
  readonly in_progress_at: number | null;
  readonly finalizing_at: number | null;
  readonly completed_at: number | null;
  readonly failed_at: number | null;
  readonly expired_at: number | null;
  readonly cancelling_at: number | null;
  readonly cancelled_at: number | null;
}

/** `progress` is the row itself for an ended batch, else the sum over its chunks. */
export function toBatch(row: BatchRow, progress: ProgressRow): Batch {
  return {
    id: row.id,
    owner: row.owner,
    format: row.format,
    endpoint: row.endpoint,
    inputFileId: row.input_file_id,
    completionWindow: row.completion_window,
    status: row.status,
    ending: row.ending,
    model: row.model,
    errors: row.errors === null ? null : (JSON.parse(row.errors) as BatchError[]),
    outputFileId: row.output_file_id,
    errorFileId: row.error_file_id,
    counts: toCounts(row.total, progress),
    unfinished: row.unfinished,
    usage: toUsage(progress),
    metadata: row.metadata === null ? null : (JSON.parse(row.metadata) as Record<string, string>),
    priority: row.priority,
    webhookUrl: row.webhook_url,
    outputExpiresAfterSeconds: row.output_expires_after_seconds,
    allowedModels: toList(row.allowed_models),
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    inProgressAt: row.in_progress_at,
    finalizingAt: row.finalizing_at,
    completedAt: row.completed_at,
    failedAt: row.failed_at,
    expiredAt: row.expired_at,
    cancellingAt: row.cancelling_at,
    cancelledAt: row.cancelled_at,
  };
}

/** A list that is kept as JSON; null where there is none. */
export function toList(json: string | null): readonly string[] | null {
  return json === null ? null : (JSON.parse(json) as string[]);
}

/** The other way round. */
export function fromList(list: readonly string[] | null): string | null {
  return list === null ? null : JSON.stringify(list);
}

function toCounts(total: number, progress: ProgressRow): RequestCounts {
  return { total, completed: progress.completed, failed: progress.failed };
}

function toUsage(progress: ProgressRow): Usage {
  return {
    inputTokens: progress.input_tokens,
    cachedTokens: progress.cached_tokens,
    outputTokens: progress.output_tokens,
    reasoningTokens: progress.reasoning_tokens,
    totalTokens: progress.total_tokens,
  };
}
