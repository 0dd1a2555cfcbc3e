/** One element of `requests`: `{"custom_id", "params": {"model", …}}`, and the input line that it becomes. */
import { MESSAGES_ENDPOINT } from '../../engine/batches/batch-format.ts';
import { sameBytes } from '../../engine/bytes.ts';
import { createJsonScanner } from '../../engine/json/json-scan.ts';
import { kindAt, stringAt } from '../../engine/json/json-spans.ts';
import type { JsonKind } from '../../engine/json/json-spans.ts';
import type { ResultLine } from '../../engine/run/result.ts';
import { TextSet } from '../../engine/input/text-set.ts';
import { HttpError } from '../errors.ts';
import { joinedLine } from './joined-line.ts';
import type { Span } from './piece.ts';
import { requestTooLong } from './requests-splitter.ts';

const MEMBERS = ['custom_id', 'params', 'params.model', 'params.stream'] as const;
const [CUSTOM_ID, PARAMS, MODEL, STREAM] = [0, 1, 2, 3] as const;
const CUSTOM_ID_PATTERN = /^[a-zA-Z0-9_-]{1,64}$/;
const MAX_CUSTOM_ID_LENGTH = 64;
const TRUE = Buffer.from('true');

const LINE_START = Buffer.from('{"custom_id":');
const LINE_MIDDLE = Buffer.from(`,"method":"POST","url":"${MESSAGES_ENDPOINT}","body":`);
const LINE_END = Buffer.from('}\n');

export interface RequestReaderOptions {
  /** Longest line, bytes without its line break. */
  readonly maxLineBytes: number;
  readonly maxRequests: number;
  /** Null where the model is accepted, else a sentence that says why not. */
  readonly refusesModel: (model: string) => string | null;
}

export interface RequestReader {
  /** How many requests were read. */
  readonly count: number;
  /** The input line of the next request, good as long as its bytes are. Throws an HttpError that names what is wrong with it. */
  read(element: Span): ResultLine;
}

/** Makes a reader of the requests of one batch. The rest of `params` is for the model server to judge. */
export function createRequestReader(options: RequestReaderOptions): RequestReader {
  const scanner = createJsonScanner(MEMBERS);
  const customIds = new TextSet();
  let count = 0;

  function fault(path: string, message: string): HttpError {
    return new HttpError(400, `requests.${count}${path}: ${message}`);
  }

  function checkKind(bytes: Uint8Array, slot: number, wanted: JsonKind, message: string): void {
    const path = `.${MEMBERS[slot] ?? ''}`;
    const start = scanner.start(slot);
    if (start === -1) throw fault(path, 'Field required');
    if (kindAt(bytes, start) !== wanted) throw fault(path, message);
  }

  function textOf(bytes: Uint8Array, slot: number): string {
    return stringAt(bytes, scanner.start(slot), scanner.end(slot));
  }

  function checkCustomId(bytes: Uint8Array): void {
    checkKind(bytes, CUSTOM_ID, 'string', 'Input should be a valid string');
    const customId = textOf(bytes, CUSTOM_ID);
    if (customId.length > MAX_CUSTOM_ID_LENGTH) {
      throw fault('.custom_id', `String should have at most ${MAX_CUSTOM_ID_LENGTH} characters`);
    }
    if (!CUSTOM_ID_PATTERN.test(customId)) {
      throw fault('.custom_id', `String should match pattern '${CUSTOM_ID_PATTERN.source}'`);
    }
    if (!customIds.add(customId)) {
      throw fault('.custom_id', `'${customId}' is the custom_id of an earlier request; each must be unique`);
    }
  }

  function checkParams(bytes: Uint8Array): void {
    checkKind(bytes, PARAMS, 'object', 'Input should be an object');
    checkKind(bytes, MODEL, 'string', 'Input should be a valid string');
    // Where it is absent, the span is empty.
    if (sameBytes(bytes, scanner.start(STREAM), scanner.end(STREAM), TRUE)) {
      throw fault('.params.stream', 'Streaming is not supported in batches');
    }
    const refusal = options.refusesModel(textOf(bytes, MODEL));
    if (refusal !== null) throw fault('.params.model', refusal);
  }

  function check({ bytes, start, end }: Span): void {
    if (count === options.maxRequests) {
      throw new HttpError(413, `requests: List should have at most ${options.maxRequests} items`);
    }
    if (!scanner.scan(bytes, start, end)) throw fault('', `not valid JSON: ${scanner.errorReason}`);
    if (kindAt(bytes, scanner.valueAt) !== 'object') throw fault('', 'Input should be an object');
    checkCustomId(bytes);
    checkParams(bytes);
  }

  return {
    get count() {
      return count;
    },
    read(element) {
      check(element);
      const customId = element.bytes.subarray(scanner.start(CUSTOM_ID), scanner.end(CUSTOM_ID));
      const params = element.bytes.subarray(scanner.start(PARAMS), scanner.end(PARAMS));
      const parts = [LINE_START, customId, LINE_MIDDLE, params, LINE_END];
      const line = joinedLine(parts, scanner.lineBreaks ? params : null);
      if (line.size - 1 > options.maxLineBytes) throw requestTooLong(count, options.maxLineBytes);
      count++;
      return line;
    },
  };
}
