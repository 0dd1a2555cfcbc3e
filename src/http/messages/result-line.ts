/** One line of an output or error file as a line of a Message Batch's results. Answers are copied, never parsed and printed. */
import { asBuffer } from '../../engine/bytes.ts';
import { createJsonScanner } from '../../engine/json/json-scan.ts';
import type { JsonScanner } from '../../engine/json/json-scan.ts';
import { kindAt, stringAt } from '../../engine/json/json-spans.ts';
import { BATCH_CANCELLED, BATCH_EXPIRED } from '../../engine/run/result.ts';
import type { ResultLine } from '../../engine/run/result.ts';
import { errorTypeOf, messageError } from './errors.ts';
import { joinedLine } from './joined-line.ts';
import type { Span } from './piece.ts';

const MEMBERS = [
  'custom_id',
  'response',
  'response.status_code',
  'response.request_id',
  'response.body',
  'error',
  'error.code',
  'error.message',
] as const;
const [CUSTOM_ID, RESPONSE, STATUS, REQUEST_ID, BODY, , CODE, MESSAGE] = [0, 1, 2, 3, 4, 5, 6, 7] as const;
const ERROR_MEMBERS = ['type', 'error', 'error.type', 'error.message', 'request_id', 'message'] as const;
const [E_TYPE, E_ERROR, E_ERROR_TYPE, E_ERROR_MESSAGE, E_REQUEST_ID, E_MESSAGE] = [0, 1, 2, 3, 4, 5] as const;

const START = Buffer.from('{"custom_id":');
const SUCCEEDED = Buffer.from(',"result":{"type":"succeeded","message":');
const ERRORED = Buffer.from(',"result":{"type":"errored","error":');
const ERROR_START = Buffer.from('{"type":"error","error":');
const ERROR_ID = Buffer.from(',"request_id":');
const CLOSE = Buffer.from('}');
const END = Buffer.from('}}\n');
const CANCELED = Buffer.from(',"result":{"type":"canceled"}}\n');
const EXPIRED = Buffer.from(',"result":{"type":"expired"}}\n');

/** An upstream's own words about an error are cut after this many characters where they are not an error object. */
const MAX_MESSAGE = 1000;

/** Why a line has no answer. */
export type NoAnswer = { readonly kind: 'canceled' } | { readonly kind: 'errored'; readonly message: string };

export interface ResultTranslator {
  /** The result of a line of the output file. */
  succeeded(line: Span): ResultLine;
  /** The result of a line of the error file. */
  failed(line: Span): ResultLine;
  /** The result of a line of the input file, of a batch that ended without any. */
  unanswered(line: Span, why: NoAnswer): ResultLine;
}

/** Makes a translator. Its lines are good as long as the bytes that they were made of. */
export function createResultTranslator(): ResultTranslator {
  const scanner = createJsonScanner(MEMBERS);
  const errorScanner = createJsonScanner(ERROR_MEMBERS);

  /** Finds the members of a line; throws where it is none of the engine's. */
  function scan({ bytes, start, end }: Span): void {
    if (scanner.scan(bytes, start, end) && scanner.start(CUSTOM_ID) !== -1) return;
    throw new Error('a line of a result file is not what was written there');
  }

  const member = ({ bytes }: Span, slot: number): Buffer =>
    bytes.subarray(scanner.start(slot), scanner.end(slot));

  const errored = (customId: Buffer, error: readonly Uint8Array[]): ResultLine =>
    joinedLine([START, customId, ERRORED, ...error, END]);

  function answeredError(line: Span): readonly Uint8Array[] {
    const body = member(line, BODY);
    const requestId = member(line, REQUEST_ID);
    if (isErrorObject(errorScanner, body)) {
      if (errorScanner.start(E_REQUEST_ID) !== -1) return [body];
      const error = body.subarray(errorScanner.start(E_ERROR), errorScanner.end(E_ERROR));
      return [ERROR_START, error, ERROR_ID, requestId, CLOSE];
    }
    const status = Number(asBuffer(member(line, STATUS)).toString());
    const id = stringAt(requestId, 0, requestId.length);
    return [jsonBytes(messageError(errorTypeOf(status), messageOf(errorScanner, body, status), id))];
  }

  return {
    succeeded(line) {
      scan(line);
      return joinedLine([START, member(line, CUSTOM_ID), SUCCEEDED, member(line, BODY), END]);
    },
    failed(line) {
      scan(line);
      const customId = member(line, CUSTOM_ID);
      if (kindAt(line.bytes, scanner.start(RESPONSE)) !== 'null')
        return errored(customId, answeredError(line));
      const code = stringAt(line.bytes, scanner.start(CODE), scanner.end(CODE));
      if (code === BATCH_CANCELLED.code) return joinedLine([START, customId, CANCELED]);
      if (code === BATCH_EXPIRED.code) return joinedLine([START, customId, EXPIRED]);
      const message = stringAt(line.bytes, scanner.start(MESSAGE), scanner.end(MESSAGE));
      const type = code === 'request_timeout' ? 'timeout_error' : 'api_error';
      return errored(customId, [jsonBytes(messageError(type, message, null))]);
    },
    unanswered(line, why) {
      scan(line);
      const customId = member(line, CUSTOM_ID);
      if (why.kind === 'canceled') return joinedLine([START, customId, CANCELED]);
      return errored(customId, [jsonBytes(messageError('invalid_request_error', why.message, null))]);
    },
  };
}

/** Whether the JSON `body` is `{"type": "error", "error": {"type", "message"}}`; the scanner then knows its members. */
function isErrorObject(scanner: JsonScanner, body: Buffer): boolean {
  if (!scanner.scan(body, 0, body.length)) return false;
  return (
    textOf(scanner, body, E_TYPE) === 'error' &&
    textOf(scanner, body, E_ERROR_TYPE) !== null &&
    textOf(scanner, body, E_ERROR_MESSAGE) !== null
  );
}

/** What an answer in another shape says of the error: its own message, or the beginning of all that it has. */
function messageOf(scanner: JsonScanner, body: Buffer, status: number): string {
  scanner.scan(body, 0, body.length);
  const own =
    textOf(scanner, body, E_ERROR_MESSAGE) ??
    textOf(scanner, body, E_MESSAGE) ??
    textOf(scanner, body, E_ERROR);
  if (own !== null) return own;
  // A body that was not JSON stands in its line as a string.
  const isText = kindAt(body, scanner.valueAt) === 'string';
  const text = isText
    ? stringAt(body, scanner.valueAt, body.length)
    : body.toString('utf8', 0, 4 * MAX_MESSAGE);
  const words = text.length > MAX_MESSAGE ? `${text.slice(0, MAX_MESSAGE)}…` : text;
  return `The upstream answered ${status}: ${words}`;
}

/** The text of a member that is a string; null for any other. */
function textOf(scanner: JsonScanner, bytes: Buffer, slot: number): string | null {
  const start = scanner.start(slot);
  if (start === -1 || kindAt(bytes, start) !== 'string') return null;
  return stringAt(bytes, start, scanner.end(slot));
}

function jsonBytes(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
