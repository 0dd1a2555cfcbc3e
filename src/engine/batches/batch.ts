import { randomBytes } from 'node:crypto';

/** The eight states of a batch (contract of the official API). */
export const BATCH_STATUSES = [
  'validating',
  'failed',
  'in_progress',
  'finalizing',
  'completed',
  'expired',
  'cancelling',
  'cancelled',
] as const;
export type BatchStatus = (typeof BATCH_STATUSES)[number];

/**
 * Legal transitions. A batch whose deadline passes goes through `finalizing`, because its files are still
 * to be written; a cancelled one goes through `cancelling` for the same reason. Terminal states have no exit.
 */
const TRANSITIONS: Readonly<Record<BatchStatus, readonly BatchStatus[]>> = {
  validating: ['in_progress', 'failed', 'cancelling'],
  in_progress: ['finalizing', 'cancelling'],
  finalizing: ['completed', 'expired'],
  cancelling: ['cancelled'],
  failed: [],
  completed: [],
  expired: [],
  cancelled: [],
};

/** True where a batch may go from `from` to `to`. */
export function canTransition(from: BatchStatus, to: BatchStatus): boolean {
  return TRANSITIONS[from].includes(to);
}

/** What decides how a batch may end: its state, and for a finalizing one how that was to be. */
type Ending = Pick<Batch, 'id' | 'status' | 'ending'>;

/** Throws where the batch cannot end like this: the caller confuses batches or states. */
export function checkEnd({ id, status, ending }: Ending, end: 'completed' | 'expired' | 'cancelled'): void {
  const expected = status === 'cancelling' ? 'cancelled' : ending;
  if (canTransition(status, end) && end === expected) return;
  const how = ending === null ? '' : ` (ending ${ending})`;
  throw new Error(`batch ${id} is ${status}${how} and cannot become ${end}`);
}

/** True for states that never change again: completed, failed, expired, cancelled. */
export function isTerminal(status: BatchStatus): boolean {
  return TRANSITIONS[status].length === 0;
}

/** The API that a batch was created through. */
export type BatchFormat = 'openai' | 'anthropic';

/** Tokens, summed over the answers of a batch. */
export interface Usage {
  readonly inputTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
  readonly reasoningTokens: number;
  readonly totalTokens: number;
}

export const NO_USAGE: Usage = {
  inputTokens: 0,
  cachedTokens: 0,
  outputTokens: 0,
  reasoningTokens: 0,
  totalTokens: 0,
};

/** Lines of a batch: `completed` succeeded, `failed` have a line in the error file. */
export interface RequestCounts {
  readonly total: number;
  readonly completed: number;
  readonly failed: number;
}

/** One fault that made a batch `failed`. `line` is 1-based and counts blank lines; null: the whole file. */
export interface BatchError {
  readonly code: string;
  readonly message: string;
  readonly param: string | null;
  readonly line: number | null;
}

/** A batch as the engine sees it. Times are integer milliseconds since 1970. */
export interface Batch {
  /** `batch_` and 32 hex digits, the first 8 being the unix time. */
  readonly id: string;
  readonly owner: string;
  readonly format: BatchFormat;
  readonly endpoint: string;
  readonly inputFileId: string;
  /** As the client wrote it, e.g. `24h`. */
  readonly completionWindow: string;
  readonly status: BatchStatus;
  /** How a finalizing batch will end: its lines ran out, or its time did. Null before. */
  readonly ending: 'completed' | 'expired' | null;
  /** The model of all its lines; null until known, and for a batch of several models. */
  readonly model: string | null;
  readonly errors: readonly BatchError[] | null;
  readonly outputFileId: string | null;
  readonly errorFileId: string | null;
  readonly counts: RequestCounts;
  /** Of an ended batch: failed lines that its cancelling or its deadline came before. */
  readonly unfinished: number;
  readonly usage: Usage;
  readonly metadata: Readonly<Record<string, string>> | null;
  /** −100…100; higher runs first. */
  readonly priority: number;
  readonly webhookUrl: string | null;
  /** Lifetime of the output and error files from their creation, in seconds; null: for ever. */
  readonly outputExpiresAfterSeconds: number | null;
  /** The models that the key allows which created the batch; null: all. */
  readonly allowedModels: readonly string[] | null;
  readonly createdAt: number;
  /** The deadline: created + completion window. */
  readonly expiresAt: number;
  readonly inProgressAt: number | null;
  readonly finalizingAt: number | null;
  readonly completedAt: number | null;
  readonly failedAt: number | null;
  readonly expiredAt: number | null;
  readonly cancellingAt: number | null;
  readonly cancelledAt: number | null;
}

/** A completion window such as `90m`, `24h` or `7d` in milliseconds; null where it is not of that form. */
export function parseCompletionWindow(text: string): number | null {
  const match = /^([1-9]\d{0,4})([mhd])$/.exec(text);
  if (match === null) return null;
  const unitMs = { m: 60_000, h: 3_600_000, d: 86_400_000 }[match[2] as 'm' | 'h' | 'd'];
  return Number(match[1]) * unitMs;
}

/** A new batch id: `batch_`, the unix time in 8 hex digits, 24 random hex digits. `now` in milliseconds. */
export function newBatchId(now: number): string {
  const seconds = Math.floor(now / 1000) % 0x1_0000_0000;
  return `batch_${seconds.toString(16).padStart(8, '0')}${randomBytes(12).toString('hex')}`;
}

/**
 * The id of one line's request, stable over retries and crashes, hence also its Idempotency-Key:
 * `batch_req_`, the batch's 24 random hex digits, the line number in 8.
 */
export function requestId(batchId: string, lineNumber: number): string {
  return `batch_req_${batchId.slice(-24)}${lineNumber.toString(16).padStart(8, '0')}`;
}
