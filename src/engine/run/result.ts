/** The output line of a finished line. Whatever comes from outside is copied, never parsed and printed. */

import { asBuffer } from '../bytes.ts';

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const EMPTY = Buffer.alloc(0);
const ANSWER_END = '},"error":null}\n';

/** An output line that is yet to be written, so that it can be written where it is to lie. */
export interface ResultLine {
  /** Bytes, line break included. */
  readonly size: number;
  /** Writes the line at `at` of `target`, where there is room for it. */
  writeTo(target: Buffer, at: number): void;
}

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
export function answerLine(answer: Answer & { readonly hasLineBreaks: boolean }): ResultLine {
  return new AssembledLine(answer, responseHead(answer), answer.body, ANSWER_END, answer.hasLineBreaks);
}

/** The line of an answer whose body is not JSON: the body as a JSON string, invalid UTF-8 in it replaced by U+FFFD. */
export function textAnswerLine(answer: Answer): ResultLine {
  const body = Buffer.from(JSON.stringify(asBuffer(answer.body).toString()));
  return new AssembledLine(answer, responseHead(answer), body, ANSWER_END, false);
}

/** The line of a request that got no usable answer. */
export function errorLine(error: LineIdentity & LineError): ResultLine {
  const { code, message } = error;
  const rest = `,"response":null,"error":{"code":${JSON.stringify(code)},"message":${JSON.stringify(message)}}}\n`;
  return new AssembledLine(error, rest, EMPTY, '', false);
}

function responseHead({ status, requestId }: Answer): string {
  return `,"response":{"status_code":${status},"request_id":${JSON.stringify(requestId)},"body":`;
}

class AssembledLine implements ResultLine {
  readonly size: number;
  readonly #head: string;
  readonly #customId: Uint8Array;
  readonly #middle: string;
  readonly #middleBytes: number;
  readonly #body: Uint8Array;
  readonly #tail: string;
  readonly #hasLineBreaks: boolean;

  /** `tail` is ASCII. `hasLineBreaks`: there may be some in the body, which are to become spaces. */
  constructor(
    { id, customId }: LineIdentity,
    middle: string,
    body: Uint8Array,
    tail: string,
    hasLineBreaks: boolean,
  ) {
    this.#head = `{"id":"${id}","custom_id":`;
    this.#customId = customId;
    this.#middle = middle;
    this.#middleBytes = Buffer.byteLength(middle);
    this.#body = body;
    this.#tail = tail;
    this.#hasLineBreaks = hasLineBreaks;
    this.size = this.#head.length + customId.length + this.#middleBytes + body.length + tail.length;
  }

  writeTo(target: Buffer, start: number): void {
    let at = start + target.write(this.#head, start, 'latin1');
    target.set(this.#customId, at);
    at += this.#customId.length;
    target.write(this.#middle, at);
    at += this.#middleBytes;
    target.set(this.#body, at);
    const bodyEnd = at + this.#body.length;
    if (this.#hasLineBreaks) replaceLineBreaks(target, at, bodyEnd);
    target.write(this.#tail, bodyEnd, 'latin1');
  }
}

function replaceLineBreaks(bytes: Uint8Array, start: number, end: number): void {
  for (let i = start; i < end; i++) if (bytes[i] === LF || bytes[i] === CR) bytes[i] = SPACE;
}
