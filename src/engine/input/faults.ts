/**
 * Every fault that validation finds in an input file: codes and messages of the official API where it has them,
 * all in this one place.
 */
import type { BatchError } from '../batches/batch.ts';

/** A fault of a line or of the file, without the place where it was found. */
export type Fault = Omit<BatchError, 'line'>;

/** The members of an input line, as they are named to the client. */
export type LineParam = 'custom_id' | 'method' | 'url' | 'body' | 'body.model' | 'body.stream';

/** The fault as the batch shows it. `line` is 1-based; null: the whole file. */
export function toBatchError(fault: Fault, line: number | null): BatchError {
  return { ...fault, line };
}

/** Names from the input are quoted up to this many characters: a name may be as long as a line. */
const MAX_QUOTED = 200;

function quoted(text: string): string {
  return text.length <= MAX_QUOTED ? `'${text}'` : `'${text.slice(0, MAX_QUOTED)}…'`;
}

// Faults of one line by itself

/** Not JSON, or not an object. */
export function invalidJsonLine(): Fault {
  return { code: 'invalid_json_line', message: 'This line is not parseable as valid JSON.', param: null };
}

export function missingParameter(param: LineParam): Fault {
  return { code: 'missing_required_parameter', message: `Missing required parameter: '${param}'.`, param };
}

/** `expected` and `got` with their articles, e.g. `a string`. */
export function invalidType(param: LineParam, expected: string, got: string): Fault {
  const message = `Invalid type for '${param}': expected ${expected}, but got ${got} instead.`;
  return { code: 'invalid_type', message, param };
}

/** Lengths in characters. */
export function stringTooLong(param: LineParam, maxLength: number, length: number): Fault {
  const message = `Invalid '${param}': string too long. Expected a string with maximum length ${maxLength}, but got a string with length ${length} instead.`;
  return { code: 'string_above_max_length', message, param };
}

export function invalidMethod(method: string): Fault {
  const message = `Invalid method: only POST is supported, but got ${quoted(method)}.`;
  return { code: 'invalid_method', message, param: 'method' };
}

export function invalidUrl(): Fault {
  const message = 'The URL provided for this request does not match the batch endpoint.';
  return { code: 'invalid_url', message, param: 'url' };
}

export function streamingUnsupported(): Fault {
  const message = 'Chat Completions: Streaming is not supported in the Batch API.';
  return { code: 'streaming_unsupported', message, param: 'body.stream' };
}

/** Lengths in bytes. */
export function lineTooLong(maxBytes: number, bytes: number): Fault {
  const message = `This line is too long: at most ${maxBytes} bytes are allowed, but it has ${bytes}.`;
  return { code: 'line_too_long', message, param: null };
}

// Faults of a line among the others

export function duplicateCustomId(customId: string): Fault {
  const message = `The custom_id ${quoted(customId)} for this request is a duplicate of another request. The custom_id parameter must be unique for each request in a batch.`;
  return { code: 'duplicate_custom_id', message, param: 'custom_id' };
}

/** `why` is a sentence: why the model is refused, and what to set. */
export function modelNotFound(model: string, why: string): Fault {
  const message = `The provided model ${quoted(model)} is not supported by the Batch API. ${why}`;
  return { code: 'model_not_found', message, param: 'body.model' };
}

/** `expected` is the model that line `line` named first. */
export function mismatchedModel(expected: string, line: number, model: string): Fault {
  const message = `Expected model ${quoted(expected)} as on line ${line}, but got ${quoted(model)}. All requests of a batch must name the same model.`;
  return { code: 'mismatched_model', message, param: 'body.model' };
}

export function tooManyTasks(maxLines: number): Fault {
  const message = `Too many requests: at most ${maxLines} are allowed in a batch, but the input file has more than that (at least ${maxLines + 1}).`;
  return { code: 'too_many_tasks', message, param: null };
}

// Faults of the whole file

export function emptyFile(): Fault {
  const message = 'The input file is empty. Please ensure that the batch contains at least one request.';
  return { code: 'empty_file', message, param: null };
}

/** `bytes` were read before reading stopped. */
export function fileTooLarge(maxBytes: number, bytes: number): Fault {
  const message = `The input file is too large: at most ${maxBytes} bytes are allowed in a batch, but it has more than that (at least ${bytes}).`;
  return { code: 'file_too_large', message, param: null };
}

/** `more` faults were found beyond those that are told one by one. */
export function tooManyErrors(more: number): Fault {
  const message = `… and ${more} more ${more === 1 ? 'error' : 'errors'}.`;
  return { code: 'too_many_errors', message, param: null };
}
