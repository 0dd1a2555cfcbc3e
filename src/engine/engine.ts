import type { ApiKey } from './owners/api-key.ts';
import {
  createApiKey,
  createUseNotes,
  findApiKey,
  getApiKey,
  listApiKeys,
  revokeApiKey,
  rotateApiKey,
} from './owners/api-keys.ts';
import type {
  CreateApiKeyRequest,
  ListApiKeysRequest,
  RotateApiKeyRequest,
  SecretKey,
} from './owners/api-keys.ts';
import type { Batch, BatchFormat } from './batches/batch.ts';
import { createBatchWatch } from './batches/batch-watch.ts';
import type { StartedWatch, WatchRequest } from './batches/batch-watch.ts';
import { cancelBatch, createBatch, getBatch, listBatches } from './batches/batches.ts';
import type { CreateBatchRequest, ListBatchesRequest } from './batches/batches.ts';
import { KeyLock } from './key-lock.ts';
import { checkInput } from './input/check-input.ts';
import type { CheckInputRequest, InputCheck } from './input/check-input.ts';
import { systemClock } from './clock.ts';
import { deleteBatch } from './batches/delete-batch.ts';
import { DEFAULT_SETTINGS } from './context.ts';
import type { EngineContext, EngineSettings } from './context.ts';
import { storageError } from './errors.ts';
import type { FileRecord } from './files/file.ts';
import { openFinishedLines } from './batches/finished-lines.ts';
import type { FinishedLines, FinishedLinesRequest } from './batches/finished-lines.ts';
import { deleteFile, getFile, listFiles, readFile, receiveUpload } from './files/files.ts';
import type { ListFilesRequest, ReceivedUpload, ReceiveOptions, StoreUploadOptions } from './files/files.ts';
import { createOwnerBook } from './owners/owner-book.ts';
import { createOwnerVerbs } from './owners/owners.ts';
import type { OwnerVerbs } from './owners/owners.ts';
import { readLines } from './run/outcomes.ts';
import type { LineOutcome } from './run/outcomes.ts';
import { createSteadyClock } from './steady-clock.ts';
import { retryBatch } from './batches/retry-batch.ts';
import type { RetryBatchRequest } from './batches/retry-batch.ts';
import { createBatchOnce, submitUpload } from './batches/submit.ts';
import type { SubmittedBatch, SubmitUploadRequest } from './batches/submit.ts';
import type {
  BlobStore,
  Clock,
  IdempotencyKey,
  Log,
  Page,
  ResultLog,
  Store,
  TokenCounter,
  Upstream,
  WebhookSender,
} from './ports.ts';
import { createWebhookEndpointVerbs } from './webhooks/webhook-endpoint-verbs.ts';
import type { WebhookEndpointVerbs } from './webhooks/webhook-endpoint-verbs.ts';
import { createCompletion } from './files/complete-upload.ts';
import type { CompletedUpload, CompleteUploadRequest } from './files/complete-upload.ts';
import type { UploadRecord } from './files/upload.ts';
import { cancelUpload, createUpload, receivePart } from './files/uploads.ts';
import type { CreateUploadRequest, ReceivedPart } from './files/uploads.ts';

/** The parts of an engine. Whoever made them closes them, after the engine's workers have stopped. */
export interface EngineParts {
  readonly store: Store;
  readonly blobs: BlobStore;
  readonly results: ResultLog;
  readonly upstream: Upstream;
  /** Default: webhooks cannot be asked for. */
  readonly webhooks?: WebhookSender | undefined;
  /** Default: tokens are not estimated. */
  readonly tokens?: TokenCounter | undefined;
  /** Default: the system's clock. */
  readonly clock?: Clock | undefined;
  /** Default: silent. */
  readonly log?: Log | undefined;
  /** What is left out is as in DEFAULT_SETTINGS. */
  readonly settings?: Partial<EngineSettings> | undefined;
}

/** Files, batches and keys over one set of parts. Rejections are EngineErrors (`errors.ts`). */
export interface Engine {
  readonly files: {
    /** Streams bytes in; the second step names their purpose. */
    receive(
      source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
      options?: ReceiveOptions,
    ): Promise<ReceivedUpload>;
    /** Both steps at once. */
    upload(
      options: StoreUploadOptions & { readonly source: AsyncIterable<Uint8Array> | Iterable<Uint8Array> },
    ): Promise<FileRecord>;
    get(owner: string, id: string): Promise<FileRecord>;
    list(request: ListFilesRequest): Promise<Page<FileRecord>>;
    delete(owner: string, id: string): Promise<void>;
    /** Streams the bytes [start, end) of a file, or all. */
    read(
      file: FileRecord,
      range?: { readonly start: number; readonly end: number },
    ): AsyncIterable<Uint8Array>;
  };
  /** Files that come in parts. */
  readonly uploads: {
    create(request: CreateUploadRequest): Promise<UploadRecord>;
    /** Streams the bytes of a part in; the second step stores it. Parts may come at the same time. */
    receivePart(
      upload: { readonly owner: string; readonly id: string },
      source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    ): Promise<ReceivedPart>;
    complete(request: CompleteUploadRequest): Promise<CompletedUpload>;
    cancel(owner: string, id: string): Promise<UploadRecord>;
  };
  readonly batches: {
    create(request: CreateBatchRequest): Promise<Batch>;
    /** The same, but no second one for a key that was used with the same request within 24 hours. */
    createOnce(request: CreateBatchRequest, once: IdempotencyKey): Promise<SubmittedBatch>;
    /** The same over an upload, which becomes the input file in the same step. */
    createOver(upload: ReceivedUpload, request: SubmitUploadRequest): Promise<Batch>;
    get(owner: string, id: string): Promise<Batch>;
    /** Which API the batch was created through; null where there is none. Cheaper than `get`, which sums up what runs. */
    format(owner: string, id: string): Promise<BatchFormat | null>;
    list(request: ListBatchesRequest): Promise<Page<Batch>>;
    cancel(owner: string, id: string): Promise<Batch>;
    /** Checks a file as the preparation of a batch does, and estimates its tokens. Creates nothing. */
    checkInput(request: CheckInputRequest): Promise<InputCheck>;
    /** A new batch of the lines of an ended one that failed. */
    retry(request: RetryBatchRequest): Promise<SubmittedBatch>;
    /** Removes an ended batch; its files stay. */
    delete(owner: string, id: string): Promise<void>;
    /** The finished lines with their outcomes: all of an ended batch, those so far of a running one. */
    lines(owner: string, id: string): AsyncIterable<LineOutcome>;
    /** The same as result lines, byte for byte, and what was finished since an earlier call. */
    openLines(request: FinishedLinesRequest): Promise<FinishedLines>;
    /** Tells a listener how a batch goes on, until its end. */
    watch(request: WatchRequest): Promise<StartedWatch>;
  };
  /** Keys that an administrator hands out. Who may call what is for the caller to see to. */
  readonly keys: {
    create(request: CreateApiKeyRequest): Promise<SecretKey>;
    get(id: string): Promise<ApiKey>;
    list(request: ListApiKeysRequest): Promise<Page<ApiKey>>;
    revoke(id: string): Promise<void>;
    rotate(request: RotateApiKeyRequest): Promise<SecretKey>;
    /** The key that a secret opens, or null. */
    find(secret: string | Uint8Array): Promise<ApiKey | null>;
    /** True where there is a key, even one that is revoked or expired. */
    exist(): Promise<boolean>;
    /** Notes that the key was used, at most once a minute; nothing to wait for. */
    noteUse(key: ApiKey): void;
  };
  /** What an administrator sets for owners. Who may call what is for the caller to see to. */
  readonly owners: OwnerVerbs;
  readonly webhookEndpoints: WebhookEndpointVerbs;
  /** Rejects where the store cannot be read. */
  ping(): Promise<void>;
  /** Calls `listener` whenever there may be work; answers how to stop that. For workers. */
  onWake(listener: () => void): () => void;
  /** What a worker drives the steps of a batch with. */
  readonly context: EngineContext;
}

/** Builds an engine from its parts. It does nothing by itself: a worker drives the batches. */
export function createEngine(parts: EngineParts): Engine {
  const listeners = new Set<() => void>();
  const log = parts.log ?? silentLog;
  const clock = createSteadyClock(parts.clock ?? systemClock, log);
  const given = { ...DEFAULT_SETTINGS, ...parts.settings };
  const completionWindows = [...new Set([...DEFAULT_SETTINGS.completionWindows, ...given.completionWindows])];
  const settings = { ...given, completionWindows };
  const ctx: EngineContext = {
    store: parts.store,
    blobs: parts.blobs,
    results: parts.results,
    upstream: parts.upstream,
    webhooks: parts.webhooks ?? noWebhooks,
    tokens: parts.tokens ?? null,
    clock,
    log,
    settings,
    owners: createOwnerBook({ store: parts.store, clock, settings: settings.ownerLimits }),
    blobLock: new KeyLock(),
    wake: () => {
      for (const listener of listeners) listener();
    },
  };
  const watch = createBatchWatch(ctx);
  const completeUpload = createCompletion(ctx);
  return {
    files: {
      receive: (source, options) => receiveUpload(ctx, source, options),
      upload: async ({ source, ...options }) => (await receiveUpload(ctx, source, options)).store(options),
      get: (owner, id) => told(getFile(ctx, owner, id)),
      list: (request) => told(listFiles(ctx, request)),
      delete: (owner, id) => told(deleteFile(ctx, owner, id)),
      read: (file, range) => readFile(ctx, file, range),
    },
    uploads: {
      create: (request) => told(createUpload(ctx, request)),
      receivePart: (upload, source) => receivePart(ctx, upload, source),
      complete: (request) => told(completeUpload(request)),
      cancel: (owner, id) => told(cancelUpload(ctx, owner, id)),
    },
    batches: {
      create: (request) => told(createBatch(ctx, request)),
      createOnce: (request, once) => told(createBatchOnce(ctx, request, once)),
      createOver: (upload, request) => submitUpload(ctx, upload, request),
      get: (owner, id) => told(getBatch(ctx, owner, id)),
      format: (owner, id) => told(ctx.store.getBatchFormat(owner, id)),
      list: (request) => told(listBatches(ctx, request)),
      cancel: (owner, id) => told(cancelBatch(ctx, owner, id)),
      checkInput: (request) => told(checkInput(ctx, request)),
      retry: (request) => told(retryBatch(ctx, request)),
      delete: (owner, id) => told(deleteBatch(ctx, owner, id)),
      lines: (owner, id) => readLines(ctx, owner, id),
      openLines: (request) => told(openFinishedLines(ctx, request)),
      watch: (request) => told(watch.start(request)),
    },
    keys: {
      create: (request) => told(createApiKey(ctx, request)),
      get: (id) => told(getApiKey(ctx, id)),
      list: (request) => told(listApiKeys(ctx, request)),
      revoke: (id) => told(revokeApiKey(ctx, id)),
      rotate: (request) => told(rotateApiKey(ctx, request)),
      find: (secret) => told(findApiKey(ctx, secret)),
      exist: () => told(ctx.store.hasApiKeys()),
      noteUse: createUseNotes(ctx),
    },
    owners: createOwnerVerbs(ctx, told),
    webhookEndpoints: createWebhookEndpointVerbs(ctx, told),
    ping: () => ctx.store.ping(),
    onWake(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    context: ctx,
  };
}

/** Tells a client of failing storage in the engine's own codes. */
async function told<T>(verb: Promise<T>): Promise<T> {
  try {
    return await verb;
  } catch (error) {
    throw storageError(error);
  }
}

const noWebhooks: WebhookSender = {
  check: () => 'webhooks are not set up',
  send: async () => ({ kind: 'refused', message: 'webhooks are not set up' }),
  close: async () => {},
};

const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };
