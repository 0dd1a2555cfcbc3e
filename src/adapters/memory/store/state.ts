/** What the memory store holds. Insertion order of the maps stands for time of insertion. */
import { isTerminal, NO_USAGE } from '../../../engine/batches/batch.ts';
import type { ApiKey } from '../../../engine/owners/api-key.ts';
import type { Batch, Usage } from '../../../engine/batches/batch.ts';
import type { NewChunk, SegmentRecord } from '../../../engine/run/chunk.ts';
import type { Delivery, EventRecord } from '../../../engine/webhooks/event.ts';
import type { BlobRef, FileRecord } from '../../../engine/files/file.ts';
import type { Owner } from '../../../engine/owners/owner.ts';
import type { AttemptTrace } from '../../../engine/ports.ts';
import type { WebhookEndpoint } from '../../../engine/webhooks/webhook-endpoint.ts';
import type { UploadPart, UploadRecord } from '../../../engine/files/upload.ts';
import { addUsage } from '../../../engine/run/usage.ts';

export interface StoreState {
  readonly files: Map<string, FileRecord>;
  readonly uploads: Map<string, UploadState>;
  readonly batches: Map<string, BatchState>;
  readonly events: Map<string, EventState>;
  readonly deliveries: Map<string, DeliveryState>;
  /** The number of the last segment. */
  segmentSeq: number;
  readonly apiKeys: Map<string, ApiKeyState>;
  readonly endpoints: Map<string, EndpointState>;
  readonly owners: Map<string, Owner>;
  /** The worker that said last that it is alive. */
  liveWorker: string | null;
}

export interface UploadState {
  upload: UploadRecord;
  endedAt: number | null;
  readonly parts: UploadPart[];
  /** Of the parts, equal ones counted once. */
  partBytes: number;
}

export interface BatchState {
  /** Its counts and usage are right once it has ended; before, `liveBatch` sums them. */
  batch: Batch;
  input: BlobRef | null;
  /** Null: nobody holds its step. */
  stepWorker: string | null;
  stepEpoch: number;
  /** By number, ascending. */
  chunks: Map<number, ChunkState>;
}

export interface ChunkState {
  readonly chunk: NewChunk;
  /** Null: ready, or done. */
  worker: string | null;
  epoch: number;
  crashes: number;
  trying: { readonly place: number; readonly deaths: number } | null;
  done: Uint8Array;
  completed: number;
  failed: number;
  usage: Usage;
  /** `seq` rises with each commit of the store. */
  readonly segments: (SegmentRecord & { readonly seq: number })[];
}

export interface EventState {
  readonly record: EventRecord;
  /** Those that were made with it, and its replays. */
  readonly deliveries: DeliveryState[];
}

export interface DeliveryState {
  delivery: Delivery;
  state: 'pending' | 'delivered' | 'failed';
  nextAt: number;
  /** Null: nobody makes an attempt. */
  worker: string | null;
  readonly createdAt: number;
  /** Null before the first attempt. */
  lastAttempt: LastAttempt | null;
  lastError: string | null;
}

interface LastAttempt extends Partial<AttemptTrace> {
  readonly at: number;
  readonly statusCode: number | null;
}

export interface EndpointState {
  endpoint: WebhookEndpoint;
  secret: string;
  /** The replaced one, and until when it signs as well. */
  oldSecret: { readonly secret: string; readonly until: number } | null;
  failingSince: number | null;
}

export interface ApiKeyState {
  key: ApiKey;
  hash: string;
  /** The secret before the last rotation. */
  old: { readonly hash: string; readonly until: number } | null;
}

/** The batch of this owner, or undefined. */
export function findBatch(state: StoreState, owner: string, id: string): BatchState | undefined {
  const found = state.batches.get(id);
  return found?.batch.owner === owner ? found : undefined;
}

/** The batch with its counts and usage as of now. */
export function liveBatch({ batch, chunks }: BatchState): Batch {
  if (isTerminal(batch.status)) return batch;
  const all = [...chunks.values()];
  const counts = { total: batch.counts.total, completed: sum(all, 'completed'), failed: sum(all, 'failed') };
  return { ...batch, counts, usage: all.map(({ usage }) => usage).reduce(addUsage, NO_USAGE) };
}

/** The time of the batch's next step, which is never before the last one. */
export function stepTime(batch: Batch, now: number): number {
  const { createdAt, inProgressAt, finalizingAt, cancellingAt } = batch;
  return Math.max(now, createdAt, inProgressAt ?? 0, finalizingAt ?? 0, cancellingAt ?? 0);
}

function sum(chunks: readonly ChunkState[], key: 'completed' | 'failed'): number {
  return chunks.reduce((total, chunk) => total + chunk[key], 0);
}

/** True where all of the chunk's lines are done. */
export function isChunkDone({ chunk, completed, failed }: ChunkState): boolean {
  return completed + failed === chunk.lineCount;
}
