/** The wire's shapes: schemas of what comes in, and the objects that go out, with their keys in order. */
import { z } from 'zod';
import type { Batch, FileRecord, Page } from '../engine/index.ts';

/** Largest body of a request other than an upload. */
export const BODY_LIMIT_BYTES = 1024 * 1024;

/** An integer written as text, as queries and forms carry it. */
export const integerText = z
  .string()
  .regex(/^-?\d+$/)
  .transform(Number);

/** Query values that are empty count as not given. */
export function given<S extends z.ZodType>(schema: S) {
  return z.preprocess((value) => (value === '' ? undefined : value), schema.optional());
}

export const listFilesQuery = z.object({
  purpose: given(z.string()),
  limit: given(integerText),
  order: given(z.enum(['asc', 'desc'])),
  after: given(z.string()),
});

export const listBatchesQuery = z.object({ limit: given(integerText), after: given(z.string()) });

/** How long after its creation a file expires. */
export const expiresAfter = <S extends z.ZodType>(seconds: S) =>
  z.object({ anchor: z.literal('created_at'), seconds });

export const listResultsQuery = z.object({
  status: given(z.enum(['succeeded', 'failed'])),
  after: given(z.string()),
});

/** The fields of an upload, besides its file. */
export const uploadForm = z.object({
  purpose: z.string(),
  expires_after: expiresAfter(integerText).optional(),
});

/** An object of strings. zod's own records leave out a member named `__proto__`, in silence. */
const stringMembers = z.unknown().transform((value, context): Readonly<Record<string, string>> => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    context.addIssue({ code: 'invalid_type', expected: 'record', input: value });
    return z.NEVER;
  }
  for (const [name, member] of Object.entries(value)) {
    if (typeof member === 'string') continue;
    context.addIssue({ code: 'invalid_type', expected: 'string', input: member, path: [name] });
  }
  return value as Readonly<Record<string, string>>;
});

export const createBatchBody = z.object({
  input_file_id: z.string(),
  endpoint: z.string(),
  completion_window: z.string(),
  metadata: stringMembers.nullish(),
  output_expires_after: expiresAfter(z.int()).nullish(),
  priority: z.int().nullish(),
  webhook_url: z.string().nullish(),
});

export const validateBatchBody = z.object({ input_file_id: z.string(), endpoint: z.string() });

/** What a retry may have otherwise than the batch that it retries. */
export const retryBatchBody = z.object({
  metadata: stringMembers.nullish(),
  completion_window: z.string().nullish(),
  priority: z.int().nullish(),
  webhook_url: z.string().nullish(),
});

/** A File object. */
export function toFileObject(file: FileRecord) {
  return {
    object: 'file',
    id: file.id,
    purpose: file.purpose,
    filename: file.filename,
    bytes: file.blob.bytes,
    created_at: toUnixSeconds(file.createdAt),
    expires_at: toUnixSeconds(file.expiresAt),
    // SDK helpers poll this until it is `processed`; nothing remains to be done to a stored file.
    status: 'processed',
    status_details: null,
  };
}

/** A Batch object. */
export function toBatchObject(batch: Batch) {
  return {
    id: batch.id,
    object: 'batch',
    endpoint: batch.endpoint,
    model: batch.model,
    errors: batch.errors === null ? null : toErrorsObject(batch.errors),
    input_file_id: batch.inputFileId,
    completion_window: batch.completionWindow,
    status: batch.status,
    output_file_id: batch.outputFileId,
    error_file_id: batch.errorFileId,
    created_at: toUnixSeconds(batch.createdAt),
    in_progress_at: toUnixSeconds(batch.inProgressAt),
    expires_at: toUnixSeconds(batch.expiresAt),
    finalizing_at: toUnixSeconds(batch.finalizingAt),
    completed_at: toUnixSeconds(batch.completedAt),
    failed_at: toUnixSeconds(batch.failedAt),
    expired_at: toUnixSeconds(batch.expiredAt),
    cancelling_at: toUnixSeconds(batch.cancellingAt),
    cancelled_at: toUnixSeconds(batch.cancelledAt),
    ...toProgressMembers(batch),
    metadata: batch.metadata,
    ...addedFields(batch),
  };
}

/** How far a batch is. */
export function toProgressObject(batch: Batch) {
  return { id: batch.id, object: 'batch.progress', status: batch.status, ...toProgressMembers(batch) };
}

function toProgressMembers({ counts, usage }: Batch) {
  return {
    request_counts: { total: counts.total, completed: counts.completed, failed: counts.failed },
    usage: toUsageObject(usage),
  };
}

/** What this service adds to the official object: only where the batch makes use of it. */
function addedFields(batch: Batch) {
  return {
    ...(batch.priority === 0 ? {} : { priority: batch.priority }),
    ...(batch.webhookUrl === null ? {} : { webhook_url: batch.webhookUrl }),
  };
}

/** The faults of an input file. */
export function toErrorsObject(errors: NonNullable<Batch['errors']>) {
  return { object: 'list', data: errors.map(toBatchErrorObject) };
}

function toBatchErrorObject(error: NonNullable<Batch['errors']>[number]) {
  return { code: error.code, message: error.message, param: error.param, line: error.line };
}

function toUsageObject(usage: Batch['usage']) {
  return {
    input_tokens: usage.inputTokens,
    input_tokens_details: { cached_tokens: usage.cachedTokens },
    output_tokens: usage.outputTokens,
    output_tokens_details: { reasoning_tokens: usage.reasoningTokens },
    total_tokens: usage.totalTokens,
  };
}

/** The envelope of every list. */
export function toList<T>(page: Page<T>, toObject: (item: T) => { readonly id: string }) {
  const data = page.data.map(toObject);
  return {
    object: 'list',
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: page.hasMore,
  };
}

/** Milliseconds as the wire has times. */
export function toUnixSeconds(timeMs: number): number;
export function toUnixSeconds(timeMs: number | null): number | null;
export function toUnixSeconds(timeMs: number | null): number | null {
  return timeMs === null ? null : Math.floor(timeMs / 1000);
}
