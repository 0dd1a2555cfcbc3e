/** One input line: `{"custom_id", "method": "POST", "url", "body": {"model", …}}`. */
import { sameBytes } from '../bytes.ts';
import {
  invalidJsonLine,
  invalidMethod,
  invalidType,
  invalidUrl,
  missingParameter,
  streamingUnsupported,
  stringTooLong,
} from './faults.ts';
import type { Fault, LineParam } from './faults.ts';
import { createJsonScanner } from '../json/json-scan.ts';
import { encodeJsonText, kindAt, stringAt, stringIs } from '../json/json-spans.ts';
import type { JsonKind, JsonText } from '../json/json-spans.ts';

const MAX_CUSTOM_ID_CHARACTERS = 64;

const MEMBERS = ['custom_id', 'method', 'url', 'body', 'body.model', 'body.stream'] as const;
const [CUSTOM_ID, METHOD, URL, BODY, MODEL, STREAM] = [0, 1, 2, 3, 4, 5] as const;

const POST = encodeJsonText('POST');
const TRUE = Buffer.from('true');

/** Where the parts of a line lie that its run needs. */
export interface LineParts {
  /** The `custom_id` as a JSON string, quotes included. */
  readonly customIdStart: number;
  readonly customIdEnd: number;
  readonly bodyStart: number;
  readonly bodyEnd: number;
}

/** A line that keeps the rules; its parts are counted from the line's first byte. */
export interface RightLine extends LineParts {
  readonly fault: null;
  readonly customId: string;
  readonly model: string;
}

/** What a line that keeps the rules says, or the first rule that it breaks. */
export type CheckedLine = RightLine | { readonly fault: Fault };

export interface LineChecker {
  /** Checks the line in [start, end) of `bytes`, without its line break. */
  check(bytes: Uint8Array, start: number, end: number): CheckedLine;
}

/**
 * Makes a checker of what one line must be by itself: strict JSON, an object, and its members in the order
 * custom_id, method, url, body, body.model, body.stream; the first fault is told. Other members are welcome.
 * `endpoint`: what `url` must be; left out, any string will do. Uniqueness, models and sizes are not its matter.
 */
export function createLineChecker({ endpoint }: { readonly endpoint?: string | undefined }): LineChecker {
  const scanner = createJsonScanner(MEMBERS);
  const url = endpoint === undefined ? null : encodeJsonText(endpoint);

  /** The fault of a member that is absent or of another kind. */
  function kindFault(bytes: Uint8Array, slot: number, wanted: 'string' | 'object'): Fault | null {
    const param = MEMBERS[slot] as LineParam;
    const start = scanner.start(slot);
    if (start === -1) return missingParameter(param);
    const kind = kindAt(bytes, start);
    return kind === wanted ? null : invalidType(param, withArticle(wanted), withArticle(kind));
  }

  function customIdFault(bytes: Uint8Array): Fault | null {
    const fault = kindFault(bytes, CUSTOM_ID, 'string');
    if (fault !== null) return fault;
    const length = scanner.end(CUSTOM_ID) - scanner.start(CUSTOM_ID) - 2;
    if (length === 0) return invalidType('custom_id', 'a non-empty string', 'an empty string');
    // A character takes at least one byte: only a long one needs to be counted.
    if (length <= MAX_CUSTOM_ID_CHARACTERS) return null;
    const characters = countCharacters(textOf(bytes, CUSTOM_ID));
    if (characters <= MAX_CUSTOM_ID_CHARACTERS) return null;
    return stringTooLong('custom_id', MAX_CUSTOM_ID_CHARACTERS, characters);
  }

  function methodFault(bytes: Uint8Array): Fault | null {
    const fault = kindFault(bytes, METHOD, 'string');
    if (fault !== null) return fault;
    return says(bytes, METHOD, POST) ? null : invalidMethod(textOf(bytes, METHOD));
  }

  function urlFault(bytes: Uint8Array): Fault | null {
    const fault = kindFault(bytes, URL, 'string');
    if (fault !== null) return fault;
    return url === null || says(bytes, URL, url) ? null : invalidUrl();
  }

  function streamFault(bytes: Uint8Array): Fault | null {
    // Where it is absent, the span is empty.
    return sameBytes(bytes, scanner.start(STREAM), scanner.end(STREAM), TRUE) ? streamingUnsupported() : null;
  }

  function says(bytes: Uint8Array, slot: number, text: JsonText): boolean {
    return stringIs(bytes, scanner.start(slot), scanner.end(slot), text);
  }

  function textOf(bytes: Uint8Array, slot: number): string {
    return stringAt(bytes, scanner.start(slot), scanner.end(slot));
  }

  return {
    check(bytes, start, end) {
      if (!scanner.scan(bytes, start, end) || kindAt(bytes, scanner.valueAt) !== 'object') {
        return { fault: invalidJsonLine() };
      }
      const fault =
        customIdFault(bytes) ??
        methodFault(bytes) ??
        urlFault(bytes) ??
        kindFault(bytes, BODY, 'object') ??
        kindFault(bytes, MODEL, 'string') ??
        streamFault(bytes);
      if (fault !== null) return { fault };
      return {
        fault: null,
        customId: textOf(bytes, CUSTOM_ID),
        model: textOf(bytes, MODEL),
        customIdStart: scanner.start(CUSTOM_ID) - start,
        customIdEnd: scanner.end(CUSTOM_ID) - start,
        bodyStart: scanner.start(BODY) - start,
        bodyEnd: scanner.end(BODY) - start,
      };
    },
  };
}

function withArticle(kind: JsonKind): string {
  if (kind === 'null') return kind;
  return kind === 'object' || kind === 'array' ? `an ${kind}` : `a ${kind}`;
}

/** Code points, so that an emoji is one character. */
function countCharacters(text: string): number {
  let count = 0;
  for (let i = 0; i < text.length; count++) i += (text.codePointAt(i) as number) > 0xffff ? 2 : 1;
  return count;
}
