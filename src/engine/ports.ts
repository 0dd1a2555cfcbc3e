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
import type { BlobRef } from './files/file.ts';

export type * from './batches/second-chances-store.ts';
export type * from './batches/message-batch-store.ts';
export type * from './store-port.ts';
export type * from './tokens/token-counter.ts';
export type * from './webhooks/webhook-endpoint-store.ts';

/** Receives one blob. `publish` or `discard` ends it. */
export interface BlobWriter {
  /** Resolves when more may be written. */
  write(bytes: Uint8Array): Promise<void>;
  /** No more writes: the key is known; nobody can read the bytes yet. */
  seal(): Promise<BlobRef>;
  /** Makes the sealed blob readable under its key, durably; where equal blobs share it, one that is there already is kept or replaced. */
  publish(): Promise<void>;
  /** Removes every trace of what is not published. Safe at any time, also during or after `publish`, and twice. */
  discard(): Promise<void>;
}

/**
 * Bytes by key. Equal blobs may share a key only where one process owns the store, and serializes the two (`KeyLock`): of two
 * processes, one could remove what the other has just published and not yet named in a row. In a store that processes share,
 * each blob gets a key of its own, so that whoever removes one can only mean that one.
 */
export interface BlobStore {
  /**
   * `isOwn`: this process makes the bytes, in few blobs at a time. Others' come as slowly as clients send them, so where memory is
   * short they wait for it, and one that comes too slowly may be given up for those that wait; its own neither wait nor are given up.
   */
  create(options?: { readonly isOwn?: boolean }): Promise<BlobWriter>;
  /**
   * Streams bytes [start, end) (default: all) in buffers of at most 64 KiB: each slow reader holds some. Rejects on first
   * read where the blob is missing (`BlobMissingError`) or shorter than `end`.
   */
  read(key: string, range?: { readonly start: number; readonly end: number }): AsyncIterable<Uint8Array>;
  /** Exactly the bytes [start, start + length). */
  readRange(key: string, start: number, length: number): Promise<Buffer>;
  /** Removes the blob; a missing one is no error. */
  delete(key: string): Promise<void>;
  /**
   * The keys of all published blobs; in a store that processes share, only of those old enough that a row names them by now if
   * any ever will.
   */
  list(): AsyncIterable<string>;
  /**
   * Removes what writers left who are gone, as far as it was not removed at creation; answers how much. In a store that processes
   * share, what is old enough that no writer goes on with it.
   */
  removeAbandoned(): Promise<number>;
}

/** One append-only log of finished result lines for each batch. */
export interface ResultLog {
  /** Appends, syncs, and answers where the first byte lies. The engine makes the calls for one batch one after another. */
  append(batchId: string, parts: readonly Uint8Array[]): Promise<{ readonly position: number }>;
  /** Exactly the bytes [position, position + length). */
  read(batchId: string, position: number, length: number): Promise<Buffer>;
  /** Opens the log for reading, also of what is in it when it is dropped meanwhile. Rejects where there is none. */
  open(batchId: string): Promise<LogReader>;
  /** Removes the log; a missing one is no error. */
  drop(batchId: string): Promise<void>;
  /** The batches that have a log. */
  list(): AsyncIterable<string>;
  close(): Promise<void>;
}

/** A log that stays readable until it is closed. */
export interface LogReader {
  /** Exactly the bytes [position, position + length). */
  read(position: number, length: number): Promise<Buffer>;
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
  | {
      readonly kind: 'answered';
      readonly status: number;
      readonly retryAfter: string | null;
      /** How the body began (1 KB at most), undecoded, as text; bytes that are no UTF-8 are replaced. */
      readonly body: string;
    }
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
