import type { Batch } from './batch.ts';
import { createBatchWatch } from './batch-watch.ts';
import type { StartedWatch, WatchRequest } from './batch-watch.ts';
import { cancelBatch, createBatch, deleteBatch, getBatch, listBatches } from './batches.ts';
import type { CreateBatchRequest, ListBatchesRequest } from './batches.ts';
import { BlobLock } from './blob-lock.ts';
import { systemClock } from './clock.ts';
import { DEFAULT_SETTINGS } from './context.ts';
import type { EngineContext, EngineSettings } from './context.ts';
import { storageError } from './errors.ts';
import type { FileRecord } from './file.ts';
import { openFinishedLines } from './finished-lines.ts';
import type { FinishedLines, FinishedLinesRequest } from './finished-lines.ts';
import { deleteFile, getFile, listFiles, readFile, receiveUpload } from './files.ts';
import type { ListFilesRequest, ReceivedUpload, StoreUploadOptions } from './files.ts';
import { readLines } from './outcomes.ts';
import type { LineOutcome } from './outcomes.ts';
import { createSteadyClock } from './steady-clock.ts';
import type { BlobStore, Clock, Log, Page, ResultLog, Store, Upstream, WebhookSender } from './ports.ts';

/** The parts of an engine. Whoever made them closes them, after the engine's workers have stopped. */
export interface EngineParts {
  readonly store: Store;
  readonly blobs: BlobStore;
  readonly results: ResultLog;
  readonly upstream: Upstream;
  /** Default: webhooks cannot be asked for. */
  readonly webhooks?: WebhookSender | undefined;
  /** Default: the system's clock. */
  readonly clock?: Clock | undefined;
  /** Default: silent. */
  readonly log?: Log | undefined;
  /** What is left out is as in DEFAULT_SETTINGS. */
  readonly settings?: Partial<EngineSettings> | undefined;
}

/** Files and batches over one set of parts. Rejections are EngineErrors (`errors.ts`). */
export interface Engine {
  readonly files: {
    /** Streams bytes in; the second step names their purpose. */
    receive(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<ReceivedUpload>;
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
  readonly batches: {
    create(request: CreateBatchRequest): Promise<Batch>;
    get(owner: string, id: string): Promise<Batch>;
    list(request: ListBatchesRequest): Promise<Page<Batch>>;
    cancel(owner: string, id: string): Promise<Batch>;
    delete(owner: string, id: string): Promise<void>;
    /** The finished lines with their outcomes: all of an ended batch, those so far of a running one. */
    lines(owner: string, id: string): AsyncIterable<LineOutcome>;
    /** The same as result lines, byte for byte, and what was finished since an earlier call. */
    openLines(request: FinishedLinesRequest): Promise<FinishedLines>;
    /** Tells a listener how a batch goes on, until its end. */
    watch(request: WatchRequest): Promise<StartedWatch>;
  };
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
  const ctx: EngineContext = {
    store: parts.store,
    blobs: parts.blobs,
    results: parts.results,
    upstream: parts.upstream,
    webhooks: parts.webhooks ?? noWebhooks,
    clock: createSteadyClock(parts.clock ?? systemClock, log),
    log,
    settings: { ...DEFAULT_SETTINGS, ...parts.settings },
    blobLock: new BlobLock(),
    wake: () => {
      for (const listener of listeners) listener();
    },
  };
  const watch = createBatchWatch(ctx);
  return {
    files: {
      receive: (source) => receiveUpload(ctx, source),
      upload: async ({ source, ...options }) => (await receiveUpload(ctx, source)).store(options),
      get: (owner, id) => told(getFile(ctx, owner, id)),
      list: (request) => told(listFiles(ctx, request)),
      delete: (owner, id) => told(deleteFile(ctx, owner, id)),
      read: (file, range) => readFile(ctx, file, range),
    },
    batches: {
      create: (request) => told(createBatch(ctx, request)),
      get: (owner, id) => told(getBatch(ctx, owner, id)),
      list: (request) => told(listBatches(ctx, request)),
      cancel: (owner, id) => told(cancelBatch(ctx, owner, id)),
      delete: (owner, id) => told(deleteBatch(ctx, owner, id)),
      lines: (owner, id) => readLines(ctx, owner, id),
      openLines: (request) => told(openFinishedLines(ctx, request)),
      watch: (request) => told(watch.start(request)),
    },
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
