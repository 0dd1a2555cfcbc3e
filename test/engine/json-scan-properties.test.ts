import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createJsonScanner } from '../../src/engine/json-scan.ts';

const WANTED = ['a', 'b', 'b.c', 'custom_id', 'b.custom_id'];
const scanner = createJsonScanner(WANTED);

const space = fc.string({ unit: fc.constantFrom(' ', '\t', '\n', '\r'), maxLength: 2 });
const hexDigit = fc.constantFrom(...'0123456789abcdefABCDEF'.split(''));
const stringPiece = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.string({ unit: 'binary' }).map((text) => text.replaceAll(/["\\\p{Cc}\p{Cs}]/gu, '')),
  },
  { weight: 1, arbitrary: fc.constantFrom(...String.raw`\" \\ \/ \b \f \n \r \t`.split(' ')) },
  {
    weight: 1,
    arbitrary: fc.string({ unit: hexDigit, minLength: 4, maxLength: 4 }).map((hex) => `\\u${hex}`),
  },
);
const stringText = fc.array(stringPiece, { maxLength: 5 }).map((pieces) => `"${pieces.join('')}"`);
const numberText = fc.stringMatching(/^-?(0|[1-9]\d{0,20})(\.\d{1,5})?([eE][+-]?\d{1,3})?$/);

/** A name that is wanted somewhere, with some of its characters escaped, or any other. */
const knownName = fc.constantFrom('a', 'b', 'c', 'custom_id', '__proto__');
const nameText = fc.oneof(
  fc.tuple(knownName, fc.infiniteStream(fc.boolean())).map(([name, escaped]) => {
    const chars = name.split('').map((char) => (escaped.next().value ? escape(char) : char));
    return `"${chars.join('')}"`;
  }),
  stringText,
);

function escape(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** Any JSON text with any white space between its tokens, escapes, and names that come twice. */
const { value: jsonText } = fc.letrec<{ value: string; object: string; array: string }>((tie) => ({
  value: fc
    .tuple(
      space,
      fc.oneof(
        { maxDepth: 4, depthSize: 'small', withCrossShrink: true },
        fc.oneof(fc.constantFrom('true', 'false', 'null'), numberText, stringText),
        { weight: 4, arbitrary: tie('object') },
        tie('array'),
      ),
      space,
    )
    .map((parts) => parts.join('')),
  object: fc
    .array(fc.tuple(space, nameText, space, tie('value')), { maxLength: 5 })
    .map((members) => `{${members.map(([a, name, b, value]) => `${a}${name}${b}:${value}`).join(',')}}`),
  array: fc.array(tie('value'), { maxLength: 4 }).map((items) => `[${items.join(',')}]`),
}));

/**
 * V8 13.6 (Node 24) misreads names in JSON.parse: once it has seen `{"\\": …}`, it takes `{"\u0061": …}` for that
 * name too, and so for all names that end in a backslash. It must not see such a name, or it is no oracle any more.
 */
const NAME_THAT_ENDS_IN_BACKSLASH = /(\\\\|\\u005c)"[ \t\r\n]*:/i;

/** What JSON.parse says of the bytes: null where they are not JSON, else the wanted members. */
function parsed(bytes: Uint8Array): unknown[] | null {
  fc.pre(!NAME_THAT_ENDS_IN_BACKSLASH.test(Buffer.from(bytes).toString('latin1')));
  let value: unknown;
  try {
    value = parse(bytes);
  } catch {
    return null;
  }
  return WANTED.map((path) => memberOf(value, path.split('.')));
}

function parse(bytes: Uint8Array): unknown {
  return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
}

function memberOf(value: unknown, path: readonly string[]): unknown {
  const [name, ...rest] = path;
  if (name === undefined) return value;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'absent';
  return Object.hasOwn(value, name) ? memberOf((value as Record<string, unknown>)[name], rest) : 'absent';
}

/** What the scanner says of them, in the same form; `before` and `after` surround them. */
function scanned(bytes: Uint8Array, before = '', after = ''): unknown[] | null {
  const held = Buffer.concat([Buffer.from(before), bytes, Buffer.from(after)]);
  const [start, end] = [before.length, before.length + bytes.length];
  if (!scanner.scan(held, start, end)) {
    if (scanner.errorAt < start || scanner.errorAt > end) throw new Error('the fault lies elsewhere');
    return null;
  }
  return WANTED.map((_, slot) => {
    const span = held.subarray(scanner.start(slot), scanner.end(slot));
    if (span.toString().trim() !== span.toString()) throw new Error('the span is too wide');
    return scanner.start(slot) === -1 ? 'absent' : parse(span);
  });
}

/** Places from 0 to 1 and what happens there: bytes are removed, and others inserted. */
const edits = fc.array(
  fc.record({
    place: fc.double({ min: 0, max: 1, noNaN: true }),
    removed: fc.nat({ max: 3 }),
    inserted: fc.oneof(
      fc.uint8Array({ maxLength: 3 }),
      fc
        .constantFrom(...'[]{},:"\\ \n0123456789.eE+-tfnu\0'.split(''), 'é', '\uFEFF')
        .map((text) => Buffer.from(text)),
    ),
  }),
  { minLength: 1, maxLength: 3 },
);

describe('the scanner and JSON.parse', () => {
  it('find the same members in any JSON', () => {
    fc.assert(
      fc.property(jsonText, (text) => {
        const bytes = Buffer.from(text);
        expect(scanned(bytes)).not.toBeNull();
        expect(scanner.lineBreaks).toBe(/[\r\n]/.test(text));
        expect(scanned(bytes)).toEqual(parsed(bytes));
        expect(scanned(bytes, '["', '"]1')).toEqual(parsed(bytes));
      }),
      { numRuns: 2000 },
    );
  });

  it('agree on JSON with bytes changed', () => {
    fc.assert(
      fc.property(jsonText, edits, (text, edits) => {
        let bytes = Buffer.from(text);
        for (const { place, removed, inserted } of edits) {
          const at = Math.floor(place * bytes.length);
          bytes = Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at + removed)]);
        }
        expect(scanned(bytes)).toEqual(parsed(bytes));
        expect(scanned(bytes, '["', '"]1')).toEqual(parsed(bytes));
      }),
      { numRuns: 5000 },
    );
  });

  it('agree on JSON that was cut', () => {
    fc.assert(
      fc.property(jsonText, fc.double({ min: 0, max: 1, noNaN: true }), (text, place) => {
        const bytes = Buffer.from(text);
        const cut = bytes.subarray(0, Math.floor(place * bytes.length));
        expect(scanned(cut, '', bytes.subarray(cut.length).toString('latin1'))).toEqual(parsed(cut));
      }),
      { numRuns: 1000 },
    );
  });

  it('agree on any tokens and any bytes', () => {
    const token = fc.constantFrom(...'[ ] { } , : " "a" "b" \\ 1 - 0 . e true null é'.split(' '), ' ', '\n');
    const soup = fc.array(token, { maxLength: 12 }).map((tokens) => Buffer.from(tokens.join('')));
    fc.assert(
      fc.property(fc.oneof(soup, fc.uint8Array({ maxLength: 12 })), (bytes) => {
        expect(scanned(bytes)).toEqual(parsed(bytes));
      }),
      { numRuns: 5000 },
    );
  });

  it('agree on any bytes within a string', () => {
    const byte = fc.oneof(
      fc.integer({ min: 0x80, max: 0xff }),
      fc.constantFrom(0x41, 0xe0, 0xed, 0xf0, 0xf4),
    );
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 6 }), (bytes) => {
        const string = Buffer.from([0x22, ...bytes, 0x22]);
        expect(scanned(string)).toEqual(parsed(string));
      }),
      { numRuns: 5000 },
    );
  });
});
