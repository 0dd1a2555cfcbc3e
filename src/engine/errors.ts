/** Every way in which the engine says no. Closed: `http/errors.ts` maps each code to a status, once. */
export type EngineErrorCode =
  /** A value that the caller gave is missing or not acceptable; `param` names it. */
  | 'invalid_value'
  | 'missing_parameter'
  | 'invalid_type'
  | 'above_maximum'
  | 'below_minimum'
  | 'string_too_long'
  | 'too_many_properties'
  /** The purpose of an upload is none that files can have. */
  | 'invalid_purpose'
  /** The uploaded bytes do not look like JSONL. */
  | 'invalid_file'
  /** More bytes than a limit allows. */
  | 'too_large'
  | 'file_not_found'
  | 'batch_not_found'
  | 'api_key_not_found'
  /** The caller's key does not allow it. */
  | 'not_allowed'
  | 'webhook_endpoint_not_found'
  | 'webhook_delivery_not_found'
  | 'upload_not_found'
  /** Its time to be completed is over. */
  | 'upload_expired'
  /** It is completed or cancelled. */
  | 'upload_not_pending'
  /** The owner has used up what it may store, have live, or have queued. */
  | 'storage_limit_exceeded'
  | 'batch_limit_exceeded'
  | 'queued_lines_limit_exceeded'
  /** The state of the thing does not allow it (cancel of a completed batch, delete of a file in use). */
  | 'conflict'
  /** The disk is full (ENOSPC, EDQUOT). */
  | 'out_of_space'
  /** Storage failed in another way (EIO, …), or the service is stopping. */
  | 'unavailable';

/** The one error class of the engine. `message` is written for the API's client; a cause never leaves the logs. */
export class EngineError extends Error {
  readonly code: EngineErrorCode;
  /** The request parameter at fault, as a dotted path, or null. */
  readonly param: string | null;

  constructor(
    code: EngineErrorCode,
    message: string,
    options: { param?: string | null; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'EngineError';
    this.code = code;
    this.param = options.param ?? null;
  }
}

/** Thrown by a BlobStore that has no such blob. */
export class BlobMissingError extends Error {
  constructor(key: string) {
    super(`blob ${key} is missing`);
    this.name = 'BlobMissingError';
  }
}

/** The codes of a disk without space, and of a database on one. */
const FULL = new Set(['ENOSPC', 'EDQUOT', 'SQLITE_FULL']);

/** Codes of a system that fails; not Node's own (ERR_…), which are faults of this program. */
const FAILING = /^(E(AI_)?[A-Z0-9]+|SQLITE_\w+)$/;

/**
 * What failing storage means to a client: a full disk is `out_of_space`, another failure of the system (an error
 * with a code such as EIO, EAI_AGAIN or SQLITE_BUSY) or a missing blob `unavailable`. Any other error passes unchanged.
 */
export function storageError(cause: unknown): unknown {
  if (cause instanceof EngineError || !(cause instanceof Error)) return cause;
  const code = 'code' in cause ? String(cause.code) : '';
  if (FULL.has(code)) {
    return new EngineError('out_of_space', 'The server has no space left to store this.', { cause });
  }
  if (!FAILING.test(code) && !(cause instanceof BlobMissingError)) return cause;
  return new EngineError('unavailable', 'The server could not store or read its data. Try again later.', {
    cause,
  });
}
