import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeJsonText, kindAt, stringAt, stringIs } from '../../../src/engine/json/json-spans.ts';

/** A JSON string as the scanner hands it out: a span within other bytes. */
function span(json: string): [bytes: Uint8Array, start: number, end: number] {
  const bytes = Buffer.from(json);
  return [Buffer.concat([Buffer.from('\\"'), bytes, Buffer.from('"\\')]), 2, 2 + bytes.length];
}

/** The text as a JSON string in which every UTF-16 unit is escaped. */
function escaped(text: string): string {
  const units = text.split('').map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return `"${units.join('')}"`;
}

describe('kindAt', () => {
  it.each([
    ['"a"', 'string'],
    ['{}', 'object'],
    ['[]', 'array'],
    ['0', 'number'],
    ['-1', 'number'],
    ['9', 'number'],
    ['true', 'boolean'],
    ['false', 'boolean'],
    ['null', 'null'],
  ])('%s is of kind %s', (json, kind) => {
    expect(kindAt(Buffer.from(` ${json}`), 1)).toBe(kind);
  });
});

describe('stringAt', () => {
  it('decodes any string, escaped or not', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(stringAt(...span(JSON.stringify(text)))).toBe(text);
        expect(stringAt(...span(escaped(text)))).toBe(text);
      }),
    );
  });

  it('decodes from bytes that are no Buffer', () => {
    const memory = new TextEncoder().encode('xx"é"').buffer;
    expect(stringAt(new Uint8Array(memory, 1), 1, 5)).toBe('é');
  });

  it('keeps lone surrogates and a byte order mark', () => {
    expect(stringAt(...span(String.raw`"\ud800"`))).toBe('\ud800');
    expect(stringAt(...span('"\uFEFFa"'))).toBe('\uFEFFa');
  });
});

describe('stringIs', () => {
  it('is true for the same text, however it is escaped, and for no other', () => {
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('POST', 'a"b', 'a\\nb', 'a\nb', ''));
    fc.assert(
      fc.property(text, text, (text, other) => {
        const expected = encodeJsonText(text);
        expect(stringIs(...span(JSON.stringify(text)), expected)).toBe(true);
        expect(stringIs(...span(escaped(text)), expected)).toBe(true);
        expect(stringIs(...span(JSON.stringify(other)), expected)).toBe(other === text);
        expect(stringIs(...span(escaped(other)), expected)).toBe(other === text);
      }),
    );
  });

  it('is not misled by bytes that are the text but mean another one', () => {
    expect(stringIs(...span('"a\\nb"'), encodeJsonText('a\\nb'))).toBe(false);
    expect(stringIs(...span('"a\\nb"'), encodeJsonText('a\nb'))).toBe(true);
  });
});
