/** The output line of a finished line, as bytes. Whatever comes from outside is copied, never parsed and printed. */

import { asBuffer } from './bytes.ts';

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const EMPTY = Buffer.alloc(0);

/** Why a line has no answer. */
interface LineError {
  readonly code: string;
  readonly message: string;
}

/** The error of lines that were not finished before the deadline. */
export const BATCH_EXPIRED: LineError = {
  code: 'batch_expired',
  message: 'This request could not be executed before the completion window expired.',
};

/** The error of lines that were not finished before their batch was cancelled. */
export const BATCH_CANCELLED: LineError = {
  code: 'batch_cancelled',
  message: 'This request was not executed because the batch was cancelled.',
};

interface LineIdentity {
  /** `batch_req_…`: letters, digits and underscores. */
  readonly id: string;
  /** The `custom_id` as a JSON string, quotes included. */
  readonly customId: Uint8Array;
}

interface Answer extends LineIdentity {
  readonly status: number;
  readonly requestId: string;
  readonly body: Uint8Array;
}

/**
 * The line of an answer whose body is valid JSON. The body is copied byte for byte, white space around it included;
 * only line breaks (between its tokens, for there they stand in JSON) become spaces. `hasLineBreaks` is what the
 * scan of the body told; false skips the search.
 */
export function answerLine(answer: Answer & { readonly hasLineBreaks: boolean }): Buffer {
  const line = assemble(answer, responseHead(answer), answer.body, '},"error":null}\n');
  if (answer.hasLineBreaks) replaceLineBreaks(line.subarray(0, -1));
  return line;
}

/** The line of an answer whose body is not JSON: the body as a JSON string, invalid UTF-8 in it replaced by U+FFFD. */
export function textAnswerLine(answer: Answer): Buffer {
  const body = Buffer.from(JSON.stringify(asBuffer(answer.body).toString()));
  return assemble(answer, responseHead(answer), body, '},"error":null}\n');
}

/** The line of a request that got no usable answer. */
export function errorLine(error: LineIdentity & LineError): Buffer {
  const { code, message } = error;
  const rest = `,"response":null,"error":{"code":${JSON.stringify(code)},"message":${JSON.stringify(message)}}}\n`;
  return assemble(error, rest, EMPTY, '');
}

function responseHead({ status, requestId }: Answer): string {
  return `,"response":{"status_code":${status},"request_id":${JSON.stringify(requestId)},"body":`;
}

/** One allocation of the exact size. `tail` is ASCII. */
function assemble({ id, customId }: LineIdentity, middle: string, body: Uint8Array, tail: string): Buffer {
  const head = `{"id":"${id}","custom_id":`;
  const size = head.length + customId.length + Buffer.byteLength(middle) + body.length + tail.length;
  const line = Buffer.allocUnsafe(size);
  let at = line.write(head, 'latin1');
  line.set(customId, at);
  at += customId.length;
  at += line.write(middle, at);
  line.set(body, at);
  line.write(tail, at + body.length, 'latin1');
  return line;
}

function replaceLineBreaks(bytes: Uint8Array): void {
  for (let i = 0; i < bytes.length; i++) if (bytes[i] === LF || bytes[i] === CR) bytes[i] = SPACE;
}
