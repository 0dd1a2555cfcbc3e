/**
 * What the engine needs from the world. Adapters implement these; contract suites in `test/contracts/` say
 * what an implementation must do. Rules for all:
 *
 * - each Store method is one atomic verb and returns a promise; the engine never holds a transaction;
 * - time is passed in as `now`, integer milliseconds since 1970; no adapter reads a wall clock for a decision;
 * - a write whose fence (`epoch`) is old changes nothing and answers `lost`, as a plain value;
 * - a resolved promise of a write means durable: it survives power loss;
 * - failing storage rejects (any error; its `code` such as ENOSPC is kept).
 */
import type { Batch, BatchError, BatchStatus, RequestCounts } from './batch.ts';
import type { ClaimedChunk, NewChunk, NewSegment, SegmentRecord } from './chunk.ts';
import type { Delivery, NewEvent } from './event.ts';
import type { BlobRef, FilePurpose, FileRecord } from './file.ts';

export type Fenced = 'ok' | 'lost';

/** A page of a list. `hasMore`: there are items after the last one. */
export interface Page<T> {
  readonly data: readonly T[];
  readonly hasMore: boolean;
}

export interface FileQuery {
  readonly owner: string;
  readonly purpose?: FilePurpose | undefined;
  /** By creation; equal times are ordered by insertion. */
  readonly order: 'asc' | 'desc';
  /** The id of the item before the page's first one. */
  readonly after?: string | undefined;
  readonly limit: number;
  readonly now: number;
}

export type DeleteFileResult =
  | { readonly kind: 'deleted'; readonly blob: BlobRef }
  | { readonly kind: 'missing' }
  /** A batch that is not yet in a terminal state reads it. */
  | { readonly kind: 'in_use'; readonly batchId: string };

export type CancelResult =
  | { readonly kind: 'missing' }
  | { readonly kind: 'refused'; readonly status: BatchStatus }
  /** `changed` is false where the batch was cancelling or cancelled already. */
  | { readonly kind: 'ok'; readonly batch: Batch; readonly changed: boolean };

/** A step of a batch's life that a worker holds: `prepare` of a validating one, `finalize` of a finalizing or cancelling one. */
export interface BatchStep {
  readonly step: 'prepare' | 'finalize';
  readonly batch: Batch;
  /** The input's bytes as `startBatch` recorded them; null before. */
  readonly input: BlobRef | null;
  readonly epoch: number;
}

/** What a worker needs to know of a batch whose chunk it holds. */
export interface RunningBatch {
  readonly id: string;
  readonly owner: string;
  readonly endpoint: string;
  readonly priority: number;
  readonly expiresAt: number;
  readonly input: BlobRef;
}

export interface ChunkClaim {
  readonly batch: RunningBatch;
  readonly chunk: ClaimedChunk;
}

export interface ClaimChunksQuery {
  readonly worker: string;
  readonly now: number;
  readonly limit: number;
  /** No more than this many chunks of one model of one batch are claimed at a time, those held already included. */
  readonly perModel: number;
  /** Only batches of which no chunk is claimed at present; at most one chunk of each. */
  readonly idleBatchesOnly: boolean;
  /** Only batches of at least this priority. */
  readonly minPriority: number;
}

export interface ChunkRef {
  readonly batchId: string;
  readonly chunkNumber: number;
  readonly epoch: number;
}

/** A chunk at the end of its batch, for `finalize`. */
export interface ChunkRecord extends NewChunk {
  readonly done: Uint8Array;
}

export type DeliveryResult =
  | { readonly kind: 'delivered'; readonly statusCode: number }
  | {
      readonly kind: 'retry';
      readonly at: number;
      readonly statusCode: number | null;
      readonly error: string;
    }
  | { readonly kind: 'failed'; readonly statusCode: number | null; readonly error: string };

/** State: files, batches, chunks, segments, events, deliveries. */
export interface Store {
  // Files

  insertFile(file: FileRecord): Promise<void>;
  /** Null where the id is unknown, another owner's, or expired at `now`. */
  getFile(owner: string, id: string, now: number): Promise<FileRecord | null>;
  /** Null where `after` is unknown (or another owner's). Expired files are not listed. */
  listFiles(query: FileQuery): Promise<Page<FileRecord> | null>;
  /** Removes the row. The blob is the caller's to remove, if `blobInUse` says no. */
  deleteFile(owner: string, id: string, now: number): Promise<DeleteFileResult>;
  /** Removes rows of up to `limit` expired files, except inputs of live batches; answers their blobs. */
  expireFiles(now: number, limit: number): Promise<readonly BlobRef[]>;
  /** True where a file row names the blob, or a live batch reads it. */
  blobInUse(sha256: string): Promise<boolean>;

  // Batches, for clients

  /** Inserts the batch (status `validating`) and its event. */
  createBatch(batch: Batch, event: NewEvent): Promise<void>;
  /** Null where unknown or another owner's. Counts and usage of a live batch are summed as of now. */
  getBatch(owner: string, id: string): Promise<Batch | null>;
  /** Newest first. Null where `after` is unknown (or another owner's). */
  listBatches(owner: string, after: string | undefined, limit: number): Promise<Page<Batch> | null>;
  /** validating, in_progress → cancelling. Refused for finalizing and the other terminal states. */
  cancelBatch(owner: string, id: string, now: number): Promise<CancelResult>;

  // Steps of a batch, for workers

  /**
   * Claims the next batch to prepare (validating) or finalize (finalizing, or cancelling; in both cases with no
   * chunk claimed any more), unless another worker holds its step. By priority, then deadline. Raises its epoch.
   * Null where there is none.
   */
  claimBatchStep(worker: string, now: number): Promise<BatchStep | null>;
  /** Gives a claimed step back undone, so that it can be claimed again. */
  releaseBatchStep(batchId: string, epoch: number): Promise<Fenced>;
  /** validating → in_progress with its chunks; `lost` also where the batch is no longer validating. */
  startBatch(start: {
    readonly batchId: string;
    readonly epoch: number;
    readonly now: number;
    readonly input: BlobRef;
    readonly model: string | null;
    /** At least one, ascending by `number`. */
    readonly chunks: readonly NewChunk[];
    readonly event: NewEvent;
  }): Promise<Fenced>;
  /** validating → failed; `lost` also where the batch is no longer validating. */
  failBatch(fail: {
    readonly batchId: string;
    readonly epoch: number;
    readonly now: number;
    readonly errors: readonly BatchError[];
    readonly event: NewEvent;
  }): Promise<Fenced>;
  /** in_progress → finalizing (ending `expired`) for each batch whose deadline is at or before `now`; answers how many. */
  expireBatches(now: number): Promise<number>;
  /** A page of the batch's chunks, ascending from `fromNumber`. */
  readChunks(batchId: string, fromNumber: number, limit: number): Promise<readonly ChunkRecord[]>;
  /** The committed segments of one chunk. */
  readSegments(batchId: string, chunkNumber: number): Promise<readonly SegmentRecord[]>;
  /** finalizing → its `ending`, or cancelling → cancelled: inserts the files, freezes counts and usage, drops chunks and segments. */
  finishBatch(finish: {
    readonly batchId: string;
    readonly epoch: number;
    readonly now: number;
    readonly status: 'completed' | 'expired' | 'cancelled';
    readonly counts: RequestCounts;
    readonly outputFile: FileRecord | null;
    readonly errorFile: FileRecord | null;
    readonly event: NewEvent;
  }): Promise<Fenced>;
  /** False for terminal and unknown batches (the janitor drops their result logs). */
  isBatchLive(batchId: string): Promise<boolean>;

  // Chunks, for workers

  /**
   * Claims chunks of in_progress batches: highest priority first; among equals the batch with the fewest chunks
   * claimed; among those the nearest deadline; within a batch by number. Raises each chunk's epoch.
   */
  claimChunks(query: ClaimChunksQuery): Promise<readonly ChunkClaim[]>;
  /** Notes durably which line (place in the chunk) is about to be tried alone; null: none. The same again keeps its deaths. */
  markTrying(chunk: ChunkRef, place: number | null): Promise<Fenced>;
  /**
   * Commits segments in one transaction: row, done bits, counters. A segment whose epoch is old, or which holds a
   * line that is done already, is `lost` and leaves no trace. Progress clears a chunk's count of crashes. The chunk whose last line is done is released; where
   * it was the batch's last one, an in_progress batch becomes finalizing (ending `completed`).
   */
  commitSegments(segments: readonly NewSegment[], now: number): Promise<readonly Fenced[]>;
  /** Gives chunks back with lines undone; not counted as a crash. Old epochs are ignored. */
  releaseChunks(chunks: readonly ChunkRef[]): Promise<void>;
  /** Batches of which `worker` holds chunks and which are no longer in_progress. */
  findStoppedBatches(worker: string): Promise<readonly string[]>;
  /** Frees what dead workers held: steps, chunks (each counts one crash, its line being tried one death), deliveries. For SQLite: everything, at start. */
  releaseDeadLeases(now: number): Promise<void>;

  // Deliveries

  /** Claims due deliveries, the longest due first; raises their epochs. */
  claimDeliveries(worker: string, now: number, limit: number): Promise<readonly Delivery[]>;
  /** Records the attempt (counts it) and what comes next. */
  settleDelivery(id: string, epoch: number, now: number, result: DeliveryResult): Promise<Fenced>;
  /** Gives claimed deliveries back without counting an attempt. Old epochs are ignored. */
  releaseDeliveries(deliveries: readonly { readonly id: string; readonly epoch: number }[]): Promise<void>;
  /** Removes events created before `before` whose deliveries are all settled; answers how many. */
  purgeEvents(before: number): Promise<number>;

  /** Rejects where the store cannot be read. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** Receives one blob. `publish` or `discard` ends it. */
export interface BlobWriter {
  /** Resolves when more may be written. */
  write(bytes: Uint8Array): Promise<void>;
  /** No more writes: the bytes are synced, their hash is known; nobody can read them yet. */
  seal(): Promise<BlobRef>;
  /** Makes the sealed blob readable under its hash, durably; an equal blob that is there already is kept or replaced. */
  publish(): Promise<void>;
  /** Removes every trace of what is not published. Safe at any time, also during or after `publish`, and twice. */
  discard(): Promise<void>;
}

/** Bytes by content. */
export interface BlobStore {
  create(): Promise<BlobWriter>;
  /**
   * Streams bytes [start, end) (default: all) in large buffers. Rejects on first read where the blob is missing
   * (`BlobMissingError`) or shorter than `end`.
   */
  read(sha256: string, range?: { readonly start: number; readonly end: number }): AsyncIterable<Uint8Array>;
  /** Exactly the bytes [start, start + length). */
  readRange(sha256: string, start: number, length: number): Promise<Buffer>;
  /** Removes the blob; a missing one is no error. */
  delete(sha256: string): Promise<void>;
  /** The hashes of all published blobs. */
  list(): AsyncIterable<string>;
}

/** One append-only log of finished result lines for each batch. */
export interface ResultLog {
  /** Appends, syncs, and answers where the first byte lies. The engine makes the calls for one batch one after another. */
  append(batchId: string, parts: readonly Uint8Array[]): Promise<{ readonly position: number }>;
  /** Exactly the bytes [position, position + length). */
  read(batchId: string, position: number, length: number): Promise<Buffer>;
  /** Removes the log; a missing one is no error. */
  drop(batchId: string): Promise<void>;
  /** The batches that have a log. */
  list(): AsyncIterable<string>;
  close(): Promise<void>;
}

/** One request to an upstream: one line. */
export interface UpstreamRequest {
  readonly model: string;
  /** The line's `url`, e.g. `/v1/chat/completions`. */
  readonly url: string;
  /** Sent byte for byte. */
  readonly body: Uint8Array;
  readonly idempotencyKey: string;
}

/** How one attempt ended. */
export type Outcome =
  | {
      readonly kind: 'answer';
      readonly status: number;
      /** The answer's bytes, untouched. */
      readonly body: Buffer;
      /** Header values as they came, or null. */
      readonly requestId: string | null;
      readonly retryAfterMs: string | null;
      readonly retryAfter: string | null;
      readonly shouldRetry: string | null;
      readonly contentEncoding: string | null;
    }
  /** No connection could be opened, so nothing was sent: the upstream is down, not this line at fault. */
  | { readonly kind: 'unreachable'; readonly message: string }
  | {
      readonly kind: 'failed';
      readonly code: 'request_timeout' | 'request_failed' | 'response_too_large';
      readonly message: string;
    }
  /** The caller aborted it. */
  | { readonly kind: 'aborted' };

/** Sends requests to model servers. Not a promise a line: at tens of thousands a second that shows. */
export interface Upstream {
  /** Null where requests for this model are accepted, else a sentence that says why not and what to set. */
  refuses(model: string): string | null;
  /**
   * Sends one request and calls `settle` exactly once, never before `send` has returned. Never throws.
   * Answers a function that aborts the attempt (then the outcome is `aborted`, unless it had ended already).
   */
  send(request: UpstreamRequest, settle: (outcome: Outcome) => void): () => void;
  close(): Promise<void>;
}

export interface WebhookRequest {
  readonly url: string;
  /** False: private, loopback, link-local and metadata addresses are refused, whatever the name resolves to. */
  readonly trusted: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export type WebhookOutcome =
  | { readonly kind: 'answered'; readonly status: number; readonly retryAfter: string | null }
  /** The address is not one that may be called. */
  | { readonly kind: 'refused'; readonly message: string }
  | { readonly kind: 'failed'; readonly message: string }
  /** The signal aborted it. */
  | { readonly kind: 'aborted' };

/** Posts webhooks. */
export interface WebhookSender {
  /** Null where the URL may be used as an untrusted one, else why not (its form or a literal address; names are resolved at each send). */
  check(url: string): string | null;
  /** Never rejects. */
  send(request: WebhookRequest, signal: AbortSignal): Promise<WebhookOutcome>;
  close(): Promise<void>;
}

/** Time. Waits use the monotonic clock; only deadlines and timestamps use the wall clock. */
export interface Clock {
  /** Wall clock, integer milliseconds since 1970. */
  now(): number;
  /** Milliseconds from an arbitrary origin, never going back. */
  monotonic(): number;
  /** Calls `fn` once after `ms` milliseconds; the answer cancels it. */
  after(ms: number, fn: () => void): () => void;
}

/** Structured log, the shape of pino's. Never given secrets, bodies or answers. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
