/** Failures in the envelope of the Messages API. */
import { HttpError, toErrorAnswer } from '../errors.ts';

export interface MessageErrorBody {
  readonly type: 'error';
  readonly error: { readonly type: string; readonly message: string };
  readonly request_id: string | null;
}

export interface MessageErrorAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: MessageErrorBody;
}

const ERROR_TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  408: 'timeout_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  504: 'timeout_error',
  529: 'overloaded_error',
};

/** The type of an error with this status. */
export function errorTypeOf(status: number): string {
  return ERROR_TYPES[status] ?? (status >= 500 ? 'api_error' : 'invalid_request_error');
}

/** An error in its envelope. */
export function messageError(type: string, message: string, requestId: string | null): MessageErrorBody {
  return { type: 'error', error: { type, message }, request_id: requestId };
}

/** What the client of the Messages API is told of `error`. */
export function toMessageErrorAnswer(error: unknown, requestId: string): MessageErrorAnswer {
  const { status, headers, body } = toErrorAnswer(error);
  const message = status === 401 ? keyMessage(error) : body.error.message;
  return { status, headers, body: messageError(errorTypeOf(status), message, requestId) };
}

/** The key was looked for in another header than those of the other API. */
function keyMessage(error: unknown): string {
  return error instanceof HttpError && error.code === 'invalid_api_key'
    ? 'invalid x-api-key'
    : 'x-api-key header is required';
}
