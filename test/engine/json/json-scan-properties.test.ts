import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { edited, edits, jsonText, parsed, scanned, scanner } from '../../helpers/json-oracle.ts';

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
        const bytes = edited(Buffer.from(text), edits);
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
