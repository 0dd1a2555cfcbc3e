/** Failures as clients see them: one envelope, and one table from the engine's codes to statuses. */
import type { FastifyError } from 'fastify';
import { EngineError } from '../engine/index.ts';
import type { EngineErrorCode } from '../engine/index.ts';
import { BODY_LIMIT_BYTES } from './wire.ts';

/** The error envelope; all four keys are always there. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: 'invalid_request_error' | 'rate_limit_error' | 'server_error';
    readonly param: string | null;
    readonly code: string | null;
  };
}

export interface ErrorAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: ErrorBody;
}

interface HttpErrorOptions {
  readonly code?: string | undefined;
  readonly param?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly cause?: unknown;
}

/** A refusal that only HTTP knows of: no key, no such route, an unreadable body. `message` is for the client. */
export class HttpError extends Error {
  readonly status: number;
  readonly code: string | null;
  readonly param: string | null;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, options: HttpErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'HttpError';
    this.status = status;
    this.code = options.code ?? null;
    this.param = options.param ?? null;
    this.headers = options.headers ?? {};
  }
}

/** The answer to a path or method that this service does not know. */
export function invalidUrl(method: string, path: string): HttpError {
  return new HttpError(404, `Invalid URL (${method} ${path})`);
}

interface EngineErrorRule {
  readonly status: number;
  readonly code: string | null;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Batches end in minutes or hours, not within the SDKs' retries. */
const NOT_SOON = { 'x-should-retry': 'false', 'retry-after': '60' };

const ENGINE_ERRORS: Readonly<Record<EngineErrorCode, EngineErrorRule>> = {
  invalid_value: { status: 400, code: 'invalid_value' },
  invalid_purpose: { status: 400, code: null },
  missing_parameter: { status: 400, code: 'missing_required_parameter' },
  invalid_type: { status: 400, code: 'invalid_type' },
  above_maximum: { status: 400, code: 'integer_above_max_value' },
  below_minimum: { status: 400, code: 'integer_below_min_value' },
  string_too_long: { status: 400, code: 'string_above_max_length' },
  too_many_properties: { status: 400, code: 'object_above_max_properties' },
  invalid_file: { status: 400, code: null },
  too_large: { status: 413, code: null },
  file_not_found: { status: 404, code: null },
  batch_not_found: { status: 404, code: null },
  api_key_not_found: { status: 404, code: null },
  not_allowed: { status: 403, code: null },
  webhook_endpoint_not_found: { status: 404, code: null },
  webhook_delivery_not_found: { status: 404, code: null },
  upload_not_found: { status: 404, code: null },
  upload_expired: { status: 410, code: null },
  upload_not_pending: { status: 400, code: null },
  // The SDKs retry a 409 unless told not to; trying again does not change a state.
  conflict: { status: 409, code: null, headers: { 'x-should-retry': 'false' } },
  // Not 429: the SDKs would try again, and room comes of deletes alone.
  storage_limit_exceeded: { status: 403, code: 'storage_limit_exceeded' },
  batch_limit_exceeded: { status: 429, code: 'batch_limit_exceeded', headers: NOT_SOON },
  queued_lines_limit_exceeded: { status: 429, code: 'queued_lines_limit_exceeded', headers: NOT_SOON },
  out_of_space: { status: 507, code: null },
  unavailable: { status: 503, code: null, headers: { 'retry-after': '5' } },
};

/** What the client is told of `error`. Of an unexpected one it learns nothing but that it happened. */
export function toErrorAnswer(error: unknown): ErrorAnswer {
  if (error instanceof EngineError) {
    const rule = ENGINE_ERRORS[error.code];
    return errorAnswer({ ...rule, message: error.message, param: error.param });
  }
  if (error instanceof HttpError) return errorAnswer(error);
  if (isFrameworkRefusal(error)) {
    const message = FRAMEWORK_MESSAGES[error.code] ?? error.message;
    return errorAnswer({ status: error.statusCode, message, code: null, param: null });
  }
  return errorAnswer({
    status: 500,
    message: 'The server had an unexpected error. Its log tells more, under the x-request-id of this answer.',
    code: null,
    param: null,
  });
}

function errorAnswer(error: {
  readonly status: number;
  readonly message: string;
  readonly code: string | null;
  readonly param: string | null;
  readonly headers?: Readonly<Record<string, string>>;
}): ErrorAnswer {
  const { status, message, code, param } = error;
  return {
    status,
    headers: error.headers ?? {},
    body: { error: { message, type: errorType(status), param, code } },
  };
}

function errorType(status: number): ErrorBody['error']['type'] {
  if (status >= 500) return 'server_error';
  return status === 429 ? 'rate_limit_error' : 'invalid_request_error';
}

const FRAMEWORK_MESSAGES: Readonly<Record<string, string>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: `The request body is larger than the limit of ${BODY_LIMIT_BYTES} bytes.`,
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'The Content-Type header is malformed.',
};

/** True for what Fastify itself refuses in a request, such as a body over the limit. */
function isFrameworkRefusal(error: unknown): error is FastifyError & { readonly statusCode: number } {
  if (!(error instanceof Error) || !('statusCode' in error) || typeof error.statusCode !== 'number')
    return false;
  return error.statusCode >= 400 && error.statusCode < 500;
}
