/** The Store port: state. `ports.ts` has the other ports, and the rules for all of them. */
import type { ApiKeyStore } from './owners/api-key-store.ts';
import type { Batch, BatchError, BatchFormat, BatchStatus, RequestCounts } from './batches/batch.ts';
import type { HeldChunks } from './run/claim-room.ts';
import type { ModelDemand, WorkerLease } from './run/model-share.ts';
import type { ClaimedChunk, NewChunk, NewSegment, SegmentRecord } from './run/chunk.ts';
import type { DeliveryShare } from './webhooks/delivery-share.ts';
import type { Delivery, NewEvent } from './webhooks/event.ts';
import type { BlobRef, FilePurpose, FileRecord } from './files/file.ts';
import type { LiveStore } from './batches/live-store.ts';
import type { MessageBatchStore } from './batches/message-batch-store.ts';
import type { Inserted, OverLimit, OwnerLimits } from './owners/owner.ts';
import type { OwnerStore } from './owners/owner-store.ts';
import type { Page } from './page.ts';
import type { SecondChancesStore } from './batches/second-chances-store.ts';
import type { UploadStore } from './files/upload-store.ts';
import type { WebhookEndpointStore } from './webhooks/webhook-endpoint-store.ts';

export type * from './owners/api-key-store.ts';
export type { OwnerQuery } from './owners/owner-store.ts';
export type { Page } from './page.ts';

export type Fenced = 'ok' | 'lost';

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
  | { readonly kind: 'in_use'; readonly batch: Pick<Batch, 'id' | 'format'> };

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
  /** Its owner's share of the worker, next to those of others. */
  readonly weight: number;
}

export interface ChunkClaim {
  readonly batch: RunningBatch;
  readonly chunk: ClaimedChunk;
  /** True where chunks of the batch are left that nobody has claimed, at the end of the call. */
  readonly hasMore: boolean;
}

export interface ClaimChunksQuery {
  readonly worker: string;
  readonly now: number;
  readonly limit: number;
  /** So many chunks of one model of one batch may be held at a time, those in `held` included. */
  readonly perModel: number;
  /**
   * What counts against `perModel` from the start; a model of a batch that is missing: none. The worker says it, for only
   * it knows which of its chunks have lines left to send and which merely wait for retries or commits.
   */
  readonly held: readonly HeldChunks[];
  /** So many chunks of a model at the most, of all batches together. A model that is missing: as many as `perModel` lets. */
  readonly modelRoom?: ReadonlyMap<string, number> | undefined;
  /** Where set: at most one chunk of each batch, and none of these batches (ids). */
  readonly oneEachExcept: ReadonlySet<string> | null;
  /** By owner: only batches of a higher priority than this. An owner that is missing: all. */
  readonly above: ReadonlyMap<string, number>;
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

/** What the history of an endpoint's deliveries keeps of an attempt, besides its result. */
export interface AttemptTrace {
  readonly durationMs: number;
  /** How the answer's body began; null where no answer came. */
  readonly response: string | null;
}

/**
 * State: files, batches, chunks, segments, events, deliveries, keys. The time of a batch's step is `now`, but never before the
 * time of the step before it: the clock may have been set back between them.
 */
export interface Store
  extends
    ApiKeyStore,
    LiveStore,
    MessageBatchStore,
    OwnerStore,
    SecondChancesStore,
    UploadStore,
    WebhookEndpointStore {
  // Files

  /** Unless its owner has no room for its bytes within `limits`. */
  insertFile(file: FileRecord, limits?: OwnerLimits): Promise<Inserted>;
  /** Null where the id is unknown, another owner's, or expired at `now`. */
  getFile(owner: string, id: string, now: number): Promise<FileRecord | null>;
  /** Null where `after` is unknown (or another owner's). Expired files are not listed. */
  listFiles(query: FileQuery): Promise<Page<FileRecord> | null>;
  /** Removes the row. The blob is the caller's to remove, if `blobInUse` says no. */
  deleteFile(owner: string, id: string, now: number): Promise<DeleteFileResult>;
  /** Removes rows of up to `limit` expired files, except inputs of live batches; answers their blobs. */
  expireFiles(now: number, limit: number): Promise<readonly BlobRef[]>;
  /** True where a file row or an upload's part names the blob, or a live batch reads it. */
  blobInUse(key: string): Promise<boolean>;

  // Batches, for clients

  /** Inserts the batch (status `validating`) and its event, unless its owner has no room within `limits`. */
  createBatch(batch: Batch, event: NewEvent, limits?: OwnerLimits): Promise<Inserted>;
  /** Null where unknown or another owner's. Counts and usage of a live batch are summed as of now; tokens end at 2^53 − 1. */
  getBatch(owner: string, id: string): Promise<Batch | null>;
  /** Those of one format (default: openai), newest first. Null where `after` is unknown, another owner's or of another format. */
  listBatches(
    owner: string,
    after: string | undefined,
    limit: number,
    format?: BatchFormat,
  ): Promise<Page<Batch> | null>;
  /** validating, in_progress → cancelling. Refused for finalizing and the other terminal states. */
  cancelBatch(owner: string, id: string, now: number): Promise<CancelResult>;

  // Steps of a batch, for workers

  /**
   * Claims the next batch to prepare (validating) or finalize (finalizing, or cancelling; in both cases with no
   * chunk claimed any more), unless another worker holds its step: of the owner with the fewest steps under way for its
   * weight, by priority, then deadline. Owners with as few take turns. Raises its epoch.
   * Null where there is none.
   */
  claimBatchStep(worker: string, now: number): Promise<BatchStep | null>;
  /** Gives a claimed step back undone, so that it can be claimed again. */
  releaseBatchStep(batchId: string, epoch: number): Promise<Fenced>;
  /**
   * validating → in_progress with its chunks; `lost` also where the batch is no longer validating. Where its lines have no room
   * within `limits` beside those of the owner's others, it stays as it is, with the step held.
   */
  startBatch(start: {
    readonly batchId: string;
    readonly epoch: number;
    readonly now: number;
    readonly input: BlobRef;
    readonly model: string | null;
    /** At least one, ascending by `number`. */
    readonly chunks: readonly NewChunk[];
    readonly event: NewEvent;
    readonly limits?: OwnerLimits | undefined;
  }): Promise<Fenced | OverLimit>;
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
    /** Default: none. */
    readonly unfinished?: number | undefined;
    readonly outputFile: FileRecord | null;
    readonly errorFile: FileRecord | null;
    readonly event: NewEvent;
  }): Promise<Fenced>;
  /** False for terminal and unknown batches (the janitor drops their result logs). */
  isBatchLive(batchId: string): Promise<boolean>;

  // Chunks, for workers

  /**
   * Claims chunks of in_progress batches: of the owner with the fewest chunks claimed for its weight; of its batches highest
   * priority first; among equals the batch with the fewest chunks claimed; among those the nearest deadline; within a batch
   * by number. Owners with as few take turns. Raises each chunk's epoch.
   */
  claimChunks(query: ClaimChunksQuery): Promise<readonly ChunkClaim[]>;
  /**
   * Notes durably which line (place in the chunk) is about to be tried; null: none. Counts the death that it will have
   * caused if the process dies now, for afterwards nobody could tell; another line or null forgets that.
   */
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
  /**
   * Says that the worker is alive: what it holds stays its own for some 30 s from now on. (In a store that one process owns,
   * until another worker says so.) Shares the limits of models out to the workers that are alive: the sum of what they may use
   * is never above a limit. A model that is not among `demands` the worker has no slots of.
   */
  renewLease(worker: string, demands?: readonly ModelDemand[]): Promise<WorkerLease>;
  /**
   * True where nobody has taken this turn within the last `everyMs` milliseconds; it is taken then. For what one worker does for all,
   * now and then. (In a store that one process owns it is always that one's turn.)
   */
  takeTurn(task: 'sweep', everyMs: number): Promise<boolean>;
  /** Frees what workers held that are no longer alive, or never said that they are: steps, chunks (each counts one crash), deliveries. */
  releaseDeadLeases(now: number): Promise<void>;

  // Deliveries

  /**
   * Claims due deliveries, the longest due first but no more of one receiver than its share; raises their epochs. One
   * that is put off by more than MAX_DELIVERY_WAIT_MS is due: the clock was set back since.
   */
  claimDeliveries(
    worker: string,
    now: number,
    limit: number,
    share?: DeliveryShare,
  ): Promise<readonly Delivery[]>;
  /** Records the attempt (counts it) and what comes next. */
  settleDelivery(
    id: string,
    epoch: number,
    now: number,
    result: DeliveryResult,
    trace?: AttemptTrace,
  ): Promise<Fenced>;
  /** Gives claimed deliveries back without counting an attempt. Old epochs are ignored. */
  releaseDeliveries(deliveries: readonly { readonly id: string; readonly epoch: number }[]): Promise<void>;
  /** Removes events created before `before` whose deliveries are all settled; answers how many. */
  purgeEvents(before: number): Promise<number>;

  /** Rejects where the store cannot be read. */
  ping(): Promise<void>;
  close(): Promise<void>;
}
