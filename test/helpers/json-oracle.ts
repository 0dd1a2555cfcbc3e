/** Arbitrary JSON, changes to its bytes, and JSON.parse as the judge of the scanner. */
import * as fc from 'fast-check';
import { createJsonScanner } from '../../src/engine/json/json-scan.ts';

/**
 * The same cases each time, for the judge is not sound for all of them (see below), and where it is not depends on what it has seen
 * before. `FUZZ_SEED` draws others.
 */
fc.configureGlobal({ seed: Number(process.env['FUZZ_SEED'] ?? 8) });

const WANTED = ['a', 'b', 'b.c', 'custom_id', 'b.custom_id'];
export const scanner = createJsonScanner(WANTED);

export const space = fc.string({ unit: fc.constantFrom(' ', '\t', '\n', '\r'), maxLength: 2 });
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
export const { value: jsonText } = fc.letrec<{ value: string; object: string; array: string }>((tie) => ({
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
 * name too, and so with some other names that hold a backslash. It must not see such a name, or it is no oracle any more.
 */
const ESCAPED_BACKSLASH = /\\\\|\\u005c/i;

/** False for bytes that JSON.parse must not see: there may be a name with a backslash among them. */
export function isSafeForOracle(bytes: Uint8Array): boolean {
  const text = Buffer.from(bytes).toString('latin1');
  return !text.includes(':') || !ESCAPED_BACKSLASH.test(text);
}

/** What JSON.parse says of the bytes: null where they are not JSON, else the wanted members. */
export function parsed(bytes: Uint8Array): unknown[] | null {
  fc.pre(isSafeForOracle(bytes));
  let value: unknown;
  try {
    value = parse(bytes);
  } catch {
    return null;
  }
  return WANTED.map((path) => memberOf(value, path.split('.')));
}

/** JSON.parse of strict UTF-8; throws where it is neither. */
export function parse(bytes: Uint8Array): unknown {
  return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
}

function memberOf(value: unknown, path: readonly string[]): unknown {
  const [name, ...rest] = path;
  if (name === undefined) return value;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'absent';
  return Object.hasOwn(value, name) ? memberOf((value as Record<string, unknown>)[name], rest) : 'absent';
}

/** What the scanner says of them, in the same form; `before` and `after` surround them. */
export function scanned(bytes: Uint8Array, before = '', after = ''): unknown[] | null {
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
export const edits = fc.array(
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

type Edit = typeof edits extends fc.Arbitrary<(infer E)[]> ? E : never;

/** The bytes with these changes made. */
export function edited(original: Uint8Array, changes: readonly Edit[]): Buffer {
  let bytes = Buffer.from(original);
  for (const { place, removed, inserted } of changes) {
    const at = Math.floor(place * bytes.length);
    bytes = Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at + removed)]);
  }
  return bytes;
}
