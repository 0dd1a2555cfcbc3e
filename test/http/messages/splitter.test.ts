import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RequestsSplitter } from '../../../src/http/messages/requests-splitter.ts';
import { jsonText, space } from '../../helpers/json-oracle.ts';

/** The elements as texts, however the body is cut. */
function split(body: string | Uint8Array, chunkBytes = Infinity, maxElementBytes = 1000): string[] {
  const elements: string[] = [];
  const splitter = new RequestsSplitter({
    maxElementBytes,
    onElement: ({ bytes, start, end }) => void elements.push(bytes.toString('utf8', start, end)),
  });
  const bytes = Buffer.from(body);
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    // A copy that is overwritten: the source may use its buffers again.
    const chunk = Buffer.from(bytes.subarray(at, at + chunkBytes));
    splitter.push(chunk);
    chunk.fill(0);
  }
  splitter.finish();
  return elements;
}

const ODD_BODY = ` {"other" : {"requests":[1,{"}":"]"}]} ,\t"n":-1.5e3,"t":true,"z":null,"s":"\\"requests\\":[",
 "\\u0072equests" : [ {"a":"}],\\\\"},"é🎉\\ud83c\\n\\\\\\"]" , 12.5e-1,[[],[{}]] ,null,
{}, "", false ] , "last":[]} \r\n`;
const ODD_ELEMENTS = [
  '{"a":"}],\\\\"}',
  '"é🎉\\ud83c\\n\\\\\\"]"',
  '12.5e-1',
  '[[],[{}]]',
  'null',
  '{}',
  '""',
  'false',
];

describe('the splitter of requests', () => {
  it.each([1, 2, 3, 5, 7, 64, Infinity])('finds the elements in chunks of %d bytes', (chunkBytes) => {
    expect(split(ODD_BODY, chunkBytes)).toEqual(ODD_ELEMENTS);
  });

  it('finds them wherever the body is cut in two', () => {
    const bytes = Buffer.from(ODD_BODY);
    for (let at = 0; at <= bytes.length; at++) expect(split(ODD_BODY, at || 1)).toEqual(ODD_ELEMENTS);
  });

  it('finds those of any JSON, in chunks of any size', () => {
    const member = fc.tuple(fc.constantFrom('"a"', '"request"', '"\\u0062"'), jsonText);
    const members = fc.array(member, { maxLength: 3 });
    const body = fc.record({
      before: members,
      elements: fc.array(jsonText, { maxLength: 5 }),
      after: members,
      gap: space,
    });
    fc.assert(
      fc.property(body, fc.integer({ min: 1, max: 40 }), ({ before, elements, after, gap }, chunkBytes) => {
        const requests = ['"requests"', `[${elements.length === 0 ? gap : elements.join(',')}]`] as const;
        const all = [...before, requests, ...after].map(([name, value]) => `${name}${gap}:${gap}${value}`);
        const found = split(`${gap}{${gap}${all.join(',')}${gap}}${gap}`, chunkBytes, 1e6);
        expect(found).toEqual(elements.map((text) => text.replaceAll(/^[ \t\r\n]+|[ \t\r\n]+$/g, '')));
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    ['', 'unexpected end at byte 0'],
    [' ', 'unexpected end at byte 1'],
    ['[]', 'expected an object at byte 0'],
    ['"requests"', 'expected an object at byte 0'],
    ['\uFEFF{}', 'expected an object at byte 0'],
    ['{', 'unexpected end at byte 1'],
    ['{"requests":[{}', 'unexpected end at byte 15'],
    ['{"requests":[{}]', 'unexpected end at byte 16'],
    ['{"requests":[{"a":"', 'unexpected end at byte 19'],
    ['{"requests":[1', 'unexpected end at byte 14'],
    ['{,}', 'expected a name in double quotes at byte 1'],
    ['{"requests":[],}', 'expected a name in double quotes at byte 15'],
    ['{"requests" []}', "expected ':' after a name at byte 12"],
    ['{"requests":[{} {}]}', "expected ',' or ']' at byte 16"],
    ['{"requests":[{},]}', 'expected a value at byte 16'],
    ['{"requests":[,{}]}', 'expected a value at byte 13'],
    ['{"requests":[{}}', "expected ',' or ']' at byte 15"],
    ['{"requests":[]]', "expected ',' or '}' at byte 14"],
    ['{"requests":[]} x', 'expected nothing after the object at byte 16'],
    ['{"requests":[]}{"requests":[]}', 'expected nothing after the object at byte 15'],
    ['{"other":}', 'expected a value at byte 9'],
    ['{"other":truth,"requests":[]}', 'expected a value at byte 9'],
    ['{"other":{"a" 1},"requests":[]}', "expected ':' after a name at byte 14"],
    ['{"o\nther":1}', 'unescaped control character in a string at byte 3'],
    [Buffer.from('{"\xff":1}', 'latin1'), 'invalid UTF-8 at byte 2'],
  ])('refuses %s', (body, fault) => {
    for (const chunkBytes of [1, 4, Infinity]) {
      expect(() => split(body, chunkBytes)).toThrow(
        expect.objectContaining({ status: 400, message: `The request body is not valid JSON: ${fault}.` }),
      );
    }
  });

  it.each([
    ['{}', 'requests: Field required'],
    ['{"Requests":[],"x":{"requests":[]}}', 'requests: Field required'],
    ['{"requests":{}}', 'requests: Input should be a valid list'],
    ['{"requests":null}', 'requests: Input should be a valid list'],
    ['{"requests":[],"requests":[]}', 'requests: The body has more than one member of this name'],
  ])('refuses %s, which is JSON', (body, message) => {
    for (const chunkBytes of [1, Infinity]) {
      expect(() => split(body, chunkBytes)).toThrow(expect.objectContaining({ status: 400, message }));
    }
  });

  it('refuses what is too long while it is still arriving', () => {
    const long = `"${'x'.repeat(99)}"`;
    const exact = `{"requests":["${'x'.repeat(98)}"]}`;
    for (const chunkBytes of [1, 30, Infinity]) {
      expect(split(exact, chunkBytes, 100)).toHaveLength(1);
      expect(() => split(`{"requests":[1,${long}]}`, chunkBytes, 100)).toThrow(
        expect.objectContaining({
          status: 413,
          message: 'requests.1: A request may have at most 100 bytes',
        }),
      );
      expect(() => split(`{"other":${long},"requests":[]}`, chunkBytes, 100)).toThrow(
        expect.objectContaining({ status: 413 }),
      );
      // The end never comes.
      expect(() => split(`{"requests":[{"a":"${'x'.repeat(200)}`, chunkBytes, 100)).toThrow(
        expect.objectContaining({ status: 413 }),
      );
    }
  });

  it('does not need the stack for depth', () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    expect(split(`{"requests":[${deep}]}`, 1000, 1e6)).toEqual([deep]);
  });
});
