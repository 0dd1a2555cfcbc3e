/** Builders of what a Store keeps, and the steps that bring a batch into a state. */
import { createHash } from 'node:crypto';
import { newApiKeyId } from '../../src/engine/owners/api-key.ts';
import type { ApiKey } from '../../src/engine/owners/api-key.ts';
import { newBatchId, NO_USAGE } from '../../src/engine/batches/batch.ts';
import type { Batch, BatchStatus } from '../../src/engine/batches/batch.ts';
import { encodeLineIndex } from '../../src/engine/run/chunk.ts';
import type { ClaimedChunk, NewChunk, NewSegment } from '../../src/engine/run/chunk.ts';
import { newEventId } from '../../src/engine/webhooks/event.ts';
import type { EventType, NewEvent, PlainTarget } from '../../src/engine/webhooks/event.ts';
import { newFileId } from '../../src/engine/files/file.ts';
import type { BlobRef, FileRecord } from '../../src/engine/files/file.ts';
import { newOwner } from '../../src/engine/owners/owner.ts';
import type { Owner } from '../../src/engine/owners/owner.ts';
import type { BatchStep, ChunkClaim, ChunkRef, ClaimChunksQuery, Store } from '../../src/engine/ports.ts';

/** The time of the tests: milliseconds. */
export const T0 = 1_800_000_000_000;
export const HOUR_MS = 3_600_000;

/** A blob reference; equal texts give equal blobs. */
export function aBlob(text: string): BlobRef {
  return { key: createHash('sha256').update(text).digest('hex'), bytes: text.length };
}

export function aFile(fields: Partial<FileRecord> = {}): FileRecord {
  const id = fields.id ?? newFileId();
  return {
    id,
    owner: 'ann',
    purpose: 'batch',
    filename: 'input.jsonl',
    blob: aBlob(id),
    createdAt: T0,
    expiresAt: null,
    ...fields,
  };
}

/** A batch as the engine creates it: validating. */
export function aBatch(fields: Partial<Batch> = {}): Batch {
  const createdAt = fields.createdAt ?? T0;
  return {
    id: newBatchId(createdAt),
    owner: 'ann',
    format: 'openai',
    endpoint: '/v1/chat/completions',
    inputFileId: 'file-input',
    completionWindow: '24h',
    status: 'validating',
    ending: null,
    model: null,
    errors: null,
    outputFileId: null,
    errorFileId: null,
    counts: { total: 0, completed: 0, failed: 0 },
    unfinished: 0,
    usage: NO_USAGE,
    metadata: null,
    priority: 0,
    webhookUrl: null,
    outputExpiresAfterSeconds: null,
    allowedModels: null,
    createdAt,
    expiresAt: createdAt + 24 * HOUR_MS,
    inProgressAt: null,
    finalizingAt: null,
    completedAt: null,
    failedAt: null,
    expiredAt: null,
    cancellingAt: null,
    cancelledAt: null,
    ...fields,
  };
}

/** The hash of a secret. */
export function hashOf(secret: string): string {
  return aBlob(secret).key;
}

/** A key that allows everything and never expires. */
export function anApiKey(fields: Partial<ApiKey> = {}): ApiKey {
  return {
    id: newApiKeyId(),
    owner: 'ann',
    name: 'laptop',
    requestsPerMinute: null,
    hint: 'sk-abc...wxyz',
    models: null,
    endpoints: null,
    createdAt: T0,
    expiresAt: null,
    revokedAt: null,
    lastUsedAt: null,
    ...fields,
  };
}

/** An event of the batch; one delivery for each URL. */
export function anEvent(
  batch: Pick<Batch, 'id' | 'owner'> & Partial<Pick<Batch, 'format'>>,
  type: EventType,
  createdAt = T0,
  urls: readonly string[] = [],
): NewEvent {
  const targets = urls.map((url): PlainTarget => ({ url, origin: 'configured' }));
  const { id: batchId, owner, format = 'openai' } = batch;
  return { event: { id: newEventId(), owner, batchId, format, type, createdAt }, targets };
}

/** A chunk of `lineCount` lines (default 4), each 100 bytes long. */
export function aChunk(number: number, fields: Partial<Omit<NewChunk, 'index'>> = {}): NewChunk {
  const lineCount = fields.lineCount ?? 4;
  const firstLine = fields.firstLine ?? number * lineCount + 1;
  const numbers = Array.from({ length: lineCount }, (_, i) => firstLine + i);
  return {
    number,
    model: 'small',
    lineCount,
    firstLine,
    bytes: lineCount * 100,
    index: encodeLineIndex({
      numbers,
      offsets: numbers.map((line) => (line - 1) * 101),
      lengths: numbers.map(() => 100),
      parts: numbers.map(() => ({ customIdStart: 13, customIdEnd: 18, bodyStart: 40, bodyEnd: 99 })),
    }),
    ...fields,
  };
}

/** `count` chunks, numbered from 0. */
export function chunksOf(count: number, fields: Partial<Omit<NewChunk, 'index'>> = {}): NewChunk[] {
  return Array.from({ length: count }, (_, number) => aChunk(number, fields));
}

/** A segment with the lines at `places`, by default all succeeded, of 10 bytes and without usage. */
export function aSegment(
  chunk: ClaimedChunk,
  places: readonly number[],
  fields: Partial<Pick<NewSegment, 'epoch' | 'logPosition' | 'usage'>> & {
    readonly failed?: readonly number[];
  } = {},
): NewSegment {
  const { failed = [], ...rest } = fields;
  return {
    ...refOf(chunk),
    logPosition: 0,
    lines: {
      places,
      lengths: places.map(() => 10),
      succeeded: places.map((place) => !failed.includes(place)),
    },
    usage: NO_USAGE,
    ...rest,
  };
}

/** A segment with all lines of the chunk. */
export function wholeSegment(chunk: ClaimedChunk): NewSegment {
  return aSegment(chunk, [...Array(chunk.lineCount).keys()]);
}

export function refOf(chunk: ClaimedChunk): ChunkRef {
  return { batchId: chunk.batchId, chunkNumber: chunk.number, epoch: chunk.epoch };
}

/** The record with its bytes as arrays, so that any kind of byte array compares equal. */
export function withPlainBytes(record: object): Record<string, unknown> {
  const entries = Object.entries(record) as [string, unknown][];
  return Object.fromEntries(
    entries.map(([key, value]) => [key, value instanceof Uint8Array ? [...value] : value]),
  );
}

/** Inserts a validating batch. */
export async function createBatch(store: Store, fields: Partial<Batch> = {}): Promise<Batch> {
  const batch = aBatch(fields);
  await store.createBatch(batch, anEvent(batch, 'batch.queued', batch.createdAt));
  return batch;
}

/** Claims the step of this very batch; the steps that come before it are given back. */
export async function claimStepOf(store: Store, batchId: string): Promise<BatchStep> {
  const others: BatchStep[] = [];
  for (;;) {
    const step = await store.claimBatchStep('worker', T0);
    if (step === null) throw new Error(`no step of batch ${batchId} can be claimed`);
    if (step.batch.id !== batchId) {
      others.push(step);
      continue;
    }
    for (const other of others) await store.releaseBatchStep(other.batch.id, other.epoch);
    return step;
  }
}

export type StartOptions = Parameters<Store['startBatch']>[0];
export type FailOptions = Parameters<Store['failBatch']>[0];
export type FinishOptions = Parameters<Store['finishBatch']>[0];

/** What `startBatch` is given for a claimed step; by default one chunk of four lines. */
export function startOf(
  step: Pick<BatchStep, 'batch' | 'epoch'>,
  fields: Partial<StartOptions> = {},
): StartOptions {
  const now = fields.now ?? T0;
  return {
    batchId: step.batch.id,
    epoch: step.epoch,
    now,
    input: aBlob('the input'),
    model: 'small',
    chunks: chunksOf(1),
    event: anEvent(step.batch, 'batch.in_progress', now),
    ...fields,
  };
}

/** What `failBatch` is given for a claimed step. */
export function failOf(
  step: Pick<BatchStep, 'batch' | 'epoch'>,
  fields: Partial<FailOptions> = {},
): FailOptions {
  const now = fields.now ?? T0;
  return {
    batchId: step.batch.id,
    epoch: step.epoch,
    now,
    errors: [{ code: 'empty_file', message: 'The input file is empty.', param: null, line: null }],
    event: anEvent(step.batch, 'batch.failed', now),
    ...fields,
  };
}

/** What `finishBatch` is given for a claimed step: no files, and the counts that the step came with. */
export function finishOf(
  step: Pick<BatchStep, 'batch' | 'epoch'>,
  status: FinishOptions['status'],
  fields: Partial<FinishOptions> = {},
): FinishOptions {
  const now = fields.now ?? T0;
  return {
    batchId: step.batch.id,
    epoch: step.epoch,
    now,
    status,
    counts: step.batch.counts,
    outputFile: null,
    errorFile: null,
    event: anEvent(step.batch, `batch.${status}`, now),
    ...fields,
  };
}

/** Inserts a batch and starts it with `chunks`; answers it as it then is. */
export async function startBatch(
  store: Store,
  fields: Partial<Batch> = {},
  chunks: readonly NewChunk[] = chunksOf(1),
): Promise<Batch> {
  const batch = await createBatch(store, fields);
  const step = await claimStepOf(store, batch.id);
  await store.startBatch(startOf(step, { chunks }));
  return await readBatch(store, batch.id, batch.owner);
}

/** Reads a batch that must be there. */
export async function readBatch(store: Store, id: string, owner = 'ann'): Promise<Batch> {
  const batch = await store.getBatch(owner, id);
  if (batch === null) throw new Error(`batch ${id} is missing`);
  return batch;
}

/** An owner of whom nothing was set but these fields. */
export function anOwner(fields: Partial<Owner> & Pick<Owner, 'name'>): Owner {
  return { ...newOwner(fields.name), ...fields };
}

/** Claims chunks for `worker`, without limits but those given. */
export async function claim(
  store: Store,
  query: Partial<ClaimChunksQuery> = {},
): Promise<readonly ChunkClaim[]> {
  return await store.claimChunks({
    worker: 'worker',
    now: T0,
    limit: 1000,
    perModel: 1000,
    held: [],
    oneEachExcept: null,
    above: new Map(),
    ...query,
  });
}

/** Claims one chunk that must be there. */
export async function claimOne(store: Store, query: Partial<ClaimChunksQuery> = {}): Promise<ClaimedChunk> {
  const [first] = await claim(store, { ...query, limit: 1 });
  if (first === undefined) throw new Error('no chunk can be claimed');
  return first.chunk;
}

/** The states of a batch, `finalizing` split by how it will end. */
export type Situation =
  Exclude<BatchStatus, 'finalizing'> | 'finalizing as completed' | 'finalizing as expired';

/** Makes a batch that is in this situation, with no chunk claimed and no step held. */
export async function batchIn(store: Store, situation: Situation): Promise<Batch> {
  const batch =
    situation === 'validating' || situation === 'failed' ? await createBatch(store) : await startBatch(store);
  switch (situation) {
    case 'validating':
    case 'in_progress':
      break;
    case 'failed':
      await store.failBatch(failOf(await claimStepOf(store, batch.id)));
      break;
    case 'finalizing as completed':
    case 'completed':
      for (const { chunk } of await claim(store)) await store.commitSegments([wholeSegment(chunk)], T0);
      break;
    case 'finalizing as expired':
    case 'expired':
      await store.expireBatches(batch.expiresAt);
      break;
    case 'cancelling':
    case 'cancelled':
      await store.cancelBatch(batch.owner, batch.id, T0);
      break;
  }
  if (situation === 'completed' || situation === 'expired' || situation === 'cancelled') {
    await store.finishBatch(finishOf(await claimStepOf(store, batch.id), situation));
  }
  return await readBatch(store, batch.id);
}
