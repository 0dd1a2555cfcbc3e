import { describe, expect, it } from 'vitest';
import { createJsonScanner } from '../../../src/engine/json/json-scan.ts';
import { INVALID, VALID } from '../fixtures/json-texts.ts';

const scanner = createJsonScanner(['a', 'b', 'b.c', 'b.d']);

/** Scans `text` as it lies in the middle of other bytes. */
function scan(text: string): boolean {
  const { bytes, start, end } = surrounded(Buffer.from(text));
  return scanner.scan(bytes, start, end);
}

/** The bytes among others that would change the verdict if they were looked at. */
function surrounded(bytes: Uint8Array): { bytes: Uint8Array; start: number; end: number } {
  return {
    bytes: Buffer.concat([Buffer.from('"\\'), bytes, Buffer.from('"1"]}ue')]),
    start: 2,
    end: 2 + bytes.length,
  };
}

function parses(bytes: Uint8Array): boolean {
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
    return true;
  } catch {
    return false;
  }
}

/** The text of a wanted member's value, or null. */
function found(text: string, wanted: readonly string[], slot: number): string | null {
  const scanner = createJsonScanner(wanted);
  const { bytes, start, end } = surrounded(Buffer.from(text));
  expect(scanner.scan(bytes, start, end)).toBe(true);
  if (scanner.start(slot) === -1 && scanner.end(slot) === -1) return null;
  return Buffer.from(bytes.subarray(scanner.start(slot), scanner.end(slot))).toString();
}

describe('the verdict', () => {
  it.each(VALID)('accepts %s, as JSON.parse does', (_, bytes) => {
    expect(parses(bytes)).toBe(true);
    expect(scanner.scan(bytes, 0, bytes.length)).toBe(true);
    expect([scanner.errorAt, scanner.errorReason]).toEqual([-1, '']);
    const among = surrounded(bytes);
    expect(scanner.scan(among.bytes, among.start, among.end)).toBe(true);
  });

  it.each(INVALID)('refuses %s, as JSON.parse does', (_, bytes) => {
    expect(parses(bytes)).toBe(false);
    expect(scanner.scan(bytes, 0, bytes.length)).toBe(false);
    expect(scanner.errorAt).toBeGreaterThanOrEqual(0);
    expect(scanner.errorReason).not.toBe('');
    const among = surrounded(bytes);
    expect(scanner.scan(among.bytes, among.start, among.end)).toBe(false);
    expect(scanner.errorAt).toBeLessThanOrEqual(among.end);
  });

  it('does not need the stack for a depth of a million', () => {
    const deep = Buffer.from(`${'[{"a":'.repeat(500_000)}1${'}]'.repeat(500_000)}`);
    expect(scanner.scan(deep, 0, deep.length)).toBe(true);
    expect(scanner.scan(deep, 0, deep.length - 1)).toBe(false);
  });

  it('works for any view of bytes, a Buffer or not', () => {
    const memory = new TextEncoder().encode('xx{"a":"é"}x').buffer;
    expect(scanner.scan(new Uint8Array(memory, 2, 10), 0, 10)).toBe(true);
    expect(scanner.start(0)).toBe(5);
  });
});

describe('the fault', () => {
  it.each([
    ['', 0, 'unexpected end'],
    ['  ', 2, 'unexpected end'],
    ['[1,', 3, 'unexpected end'],
    ['{"a"', 4, 'unexpected end'],
    ['"abc', 4, 'unexpected end'],
    ['"\\', 2, 'unexpected end'],
    ['"\\u00', 5, 'unexpected end'],
    ['tru', 3, 'unexpected end'],
    ['-', 1, 'unexpected end'],
    ['[1.', 3, 'unexpected end'],
    ['{"a":1', 6, 'unexpected end'],
    ['[x]', 1, 'expected a value'],
    ['[trie]', 1, 'expected a value'],
    ['[1,]', 3, 'expected a value'],
    ['[-x]', 2, 'invalid number'],
    ['[1.x]', 3, 'invalid number'],
    ['[1e+]', 4, 'invalid number'],
    ['["a\\x"]', 3, 'invalid escape in a string'],
    ['["a\\u12x4"]', 3, 'invalid escape in a string'],
    ['["a\nb"]', 3, 'unescaped control character in a string'],
    ['{"a\nb":1}', 3, 'unescaped control character in a string'],
    ['{a:1}', 1, 'expected a name in double quotes'],
    ['{"a":1,}', 7, 'expected a name in double quotes'],
    ['{"a" 1}', 5, "expected ':' after a name"],
    ['{"a":1 "b"}', 7, "expected ',' or '}'"],
    ['[1 2]', 3, "expected ',' or ']'"],
    ['[01]', 2, "expected ',' or ']'"],
    ['{} {}', 3, 'expected nothing after the value'],
  ])('of %j lies at byte %i: %s', (text, at, reason) => {
    const bytes = Buffer.from(text);
    expect(scanner.scan(bytes, 0, bytes.length)).toBe(false);
    expect([scanner.errorAt, scanner.errorReason]).toEqual([at, reason]);
    const among = surrounded(bytes);
    scanner.scan(among.bytes, among.start, among.end);
    expect([scanner.errorAt, scanner.errorReason]).toEqual([among.start + at, reason]);
  });

  it.each([
    ['a byte that begins no character', [0xff], 0],
    ['a cut sequence', [0xe8, 0xaf], 0],
    ['a broken sequence after good ones of every length', [...Buffer.from('aé请😀'), 0xe8, 0xaf, 0x41], 10],
    ['a broken fourth byte', [0xf0, 0x9f, 0x98, 0x41], 0],
    ['an overlong sequence', [0x41, 0xe0, 0x80, 0x80], 1],
    ['an overlong sequence of four', [0xf0, 0x80, 0x80, 0x80], 0],
    ['a surrogate', [0xed, 0xa0, 0x80], 0],
    ['a character too high', [0xf4, 0x90, 0x80, 0x80], 0],
  ])('of invalid UTF-8 lies at the start of %s', (_, invalid, at) => {
    const bytes = Buffer.from([0x22, ...invalid, 0x22]);
    expect(scanner.scan(bytes, 0, bytes.length)).toBe(false);
    expect([scanner.errorAt, scanner.errorReason]).toEqual([1 + at, 'invalid UTF-8']);
  });

  it('is forgotten by the next scan', () => {
    expect(scan('[')).toBe(false);
    expect(scan('[]')).toBe(true);
    expect([scanner.errorAt, scanner.errorReason]).toEqual([-1, '']);
  });
});

describe('the members found', () => {
  it('are the spans of the values, strings with their quotes', () => {
    const text = ' { "a" : "x" , "b" : { "c" : [ 1 ] , "d" : -1.5 } } ';
    const wanted = ['a', 'b', 'b.c', 'b.d'];
    expect(wanted.map((_, slot) => found(text, wanted, slot))).toEqual([
      '"x"',
      '{ "c" : [ 1 ] , "d" : -1.5 }',
      '[ 1 ]',
      '-1.5',
    ]);
  });

  it.each(['"s"', '""', '1', '-0.5e3', 'true', 'false', 'null', '{}', '[]', '[[{"a":1}]]', '{"a":{"a":2}}'])(
    'may be of any kind: %s',
    (value) => {
      expect(found(`{"x":0,"a":${value}}`, ['a'], 0)).toBe(value);
      expect(found(`{"b":{"x":0,"a":${value} ,"y":1}}`, ['b', 'b.a'], 1)).toBe(value);
    },
  );

  it('lie at depth 1 and 2 exactly', () => {
    const wanted = ['a', 'b', 'b.c'];
    expect(found('{"x":{"a":1}}', wanted, 0)).toBeNull();
    expect(found('{"b":{"x":{"c":1}}}', wanted, 2)).toBeNull();
    expect(found('{"b":{"b":{"c":1}}}', wanted, 2)).toBeNull();
    expect(found('{"x":{"c":1}}', wanted, 2)).toBeNull();
    expect(found('{"c":1}', wanted, 2)).toBeNull();
    expect(found('{"b":{"a":1}}', wanted, 0)).toBeNull();
    expect(found('{"b":[{"c":1}]}', wanted, 2)).toBeNull();
    expect(found('[{"a":1}]', wanted, 0)).toBeNull();
    expect(found('[{"b":{"c":1}}]', wanted, 2)).toBeNull();
    expect(found('{"b":1,"x":{"c":1}}', wanted, 2)).toBeNull();
    expect(found('{"x":"a","y":["a",1]}', wanted, 0)).toBeNull();
    expect(found('"a"', wanted, 0)).toBeNull();
  });

  it('are told by whole names', () => {
    expect(found('{"":1,"aa":2,"A":3,"a ":4,"b":5}', ['a'], 0)).toBeNull();
    expect(found('{"b.c":1}', ['b', 'b.c'], 1)).toBeNull();
  });

  it('are found by escaped names too', () => {
    expect(found(String.raw`{"custom\u005fid":1}`, ['custom_id'], 0)).toBe('1');
    expect(found(String.raw`{"\u0062":{"\u0063":1}}`, ['b', 'b.c'], 1)).toBe('1');
    expect(found(String.raw`{"\u0063":1,"a\n":2,"\\a":3}`, ['a'], 0)).toBeNull();
  });

  it('are the last of those with equal names', () => {
    expect(found('{"a":1,"a":2,"x":3}', ['a'], 0)).toBe('2');
    expect(found(String.raw`{"a":1,"\u0061":2}`, ['a'], 0)).toBe('2');
    expect(found('{"b":{"c":1,"c":2}}', ['b', 'b.c'], 1)).toBe('2');
  });

  it('forget what an earlier outer member of the same name held', () => {
    const wanted = ['b', 'b.c', 'b.d'];
    const text = '{"b":{"c":1,"d":2},"b":{"d":3}}';
    expect(wanted.map((_, slot) => found(text, wanted, slot))).toEqual(['{"d":3}', null, '3']);
    expect(found('{"b":{"c":1},"b":7}', wanted, 1)).toBeNull();
    expect(found('{"b":{"c":1},"x":{"d":2}}', wanted, 1)).toBe('1');
  });

  it('are forgotten by the next scan', () => {
    expect(scan('{"a":1,"b":{"c":2}}')).toBe(true);
    expect(scan('{}')).toBe(true);
    expect([0, 1, 2].map((slot) => [scanner.start(slot), scanner.end(slot)])).toEqual([
      [-1, -1],
      [-1, -1],
      [-1, -1],
    ]);
  });

  it('are not confused by a scan that failed within a member', () => {
    expect(scan('{"b":{"c":[1')).toBe(false);
    expect(scan('[[2]]')).toBe(true);
    expect([1, 2].map((slot) => [scanner.start(slot), scanner.end(slot)])).toEqual([
      [-1, -1],
      [-1, -1],
    ]);
    expect(scan('{"b":{"c":[1')).toBe(false);
    expect(scan('{"b":[{"c":1}]}')).toBe(true);
    expect(scanner.start(2)).toBe(-1);
  });

  it('must be wanted after the member that holds them', () => {
    expect(() => createJsonScanner(['b.c', 'b'])).toThrow(
      new TypeError("'b.c' is wanted, but not 'b' before it"),
    );
  });
});

describe('what else a scan tells', () => {
  it.each([
    ['{"a":"\\n\\r"}', false],
    ['{"a" : 1,\t"b":[1, 2]} ', false],
    ['{\n"a":1}', true],
    ['{"a":1\r}', true],
    ['[1,\n2]', true],
    ['[\n]', true],
    ['{\n}', true],
    ['{"a"\n:1}', true],
    ['{"a":\n1}', true],
    ['\n1', true],
    ['1\n', true],
  ])('line breaks between the tokens of %j: %s', (text, lineBreaks) => {
    expect(scan(text)).toBe(true);
    expect(scanner.lineBreaks).toBe(lineBreaks);
  });

  it('where the value itself begins', () => {
    expect(scan(' \n{"a":1}')).toBe(true);
    expect(scanner.valueAt).toBe(4);
  });
});
