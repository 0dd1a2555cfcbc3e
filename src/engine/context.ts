import { KeyLock } from './key-lock.ts';
import { NO_LIMITS } from './owners/owner.ts';
import type { OwnerLimits } from './owners/owner.ts';
import type { OwnerBook } from './owners/owner-book.ts';
import type { BlobStore, Log, ResultLog, Store, TokenCounter, Upstream, WebhookSender } from './ports.ts';
import type { SteadyClock } from './steady-clock.ts';

/** Limits and rules of the engine; `config.ts` fills them from the environment. Bytes, lines and milliseconds. */
export interface EngineSettings {
  /** Largest upload, bytes. */
  readonly maxFileBytes: number;
  /** Largest file that comes in parts, bytes. */
  readonly maxUploadBytes: number;
  /** Largest input file of a batch, bytes. */
  readonly maxBatchBytes: number;
  readonly maxBatchLines: number;
  /** Longest input line, bytes. */
  readonly maxLineBytes: number;
  /** Accepted `endpoint` values, e.g. `/v1/chat/completions`. */
  readonly endpoints: readonly string[];
  /** Accepted `completion_window` values, e.g. `24h`; `24h` always works. */
  readonly completionWindows: readonly string[];
  /** True: a batch whose lines name several models fails validation. */
  readonly oneModelPerBatch: boolean;
  /** Attempts after the first one. */
  readonly maxRetries: number;
  /** The first wait between attempts; doubled each time, up to 60 s, with jitter. */
  readonly retryBaseMs: number;
  /** Receive every event of every batch. */
  readonly webhookUrls: readonly string[];
  /** Signs what goes to them and to a batch's own URL, which needs it. Webhook endpoints have secrets of their own. */
  readonly webhookSigningSecret: string | null;
  /** Of each owner for whom an administrator has set no others; null: none. */
  readonly ownerLimits: OwnerLimits;
}

/** The official API's limits and endpoints, and no webhooks. */
export const DEFAULT_SETTINGS: EngineSettings = {
  maxFileBytes: 512 * 1024 * 1024,
  maxUploadBytes: 8 * 1024 * 1024 * 1024,
  maxBatchBytes: 200 * 1024 * 1024,
  maxBatchLines: 50_000,
  maxLineBytes: 16 * 1024 * 1024,
  endpoints: [
    '/v1/chat/completions',
    '/v1/responses',
    '/v1/embeddings',
    '/v1/completions',
    '/v1/moderations',
    '/v1/images/generations',
    '/v1/images/edits',
    '/v1/videos',
  ],
  completionWindows: ['24h'],
  oneModelPerBatch: false,
  maxRetries: 5,
  retryBaseMs: 500,
  webhookUrls: [],
  webhookSigningSecret: null,
  ownerLimits: NO_LIMITS,
};

/** What every verb of the engine works with. */
export interface EngineContext {
  readonly store: Store;
  readonly blobs: BlobStore;
  readonly results: ResultLog;
  readonly upstream: Upstream;
  readonly webhooks: WebhookSender;
  /** Null: tokens cannot be estimated. */
  readonly tokens: TokenCounter | null;
  readonly clock: SteadyClock;
  readonly log: Log;
  readonly settings: EngineSettings;
  readonly owners: OwnerBook;
  /**
   * By key of a blob: serializes "publish it and insert its row" with "no row names it, so remove it", for equal blobs may share a
   * key. One process owns a store in which they do, so a lock in memory is enough; `BlobStore` says how others do without.
   */
  readonly blobLock: KeyLock;
  /** Tells the workers of this process that there may be something to do. A hint: polling finds it without. */
  readonly wake: () => void;
}
