import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createJsonScanner } from '../../../src/engine/json/json-scan.ts';
import {
  answerLine,
  BATCH_CANCELLED,
  BATCH_EXPIRED,
  errorLine,
  textAnswerLine,
} from '../../../src/engine/run/result.ts';
import type { ResultLine } from '../../../src/engine/run/result.ts';

const id = 'batch_req_0123456789abcdef0123456700000001';
const customId = Buffer.from('"request-1"');

/** Writes the line in the middle of other bytes, which must stay as they were. */
function written(line: ResultLine): Buffer {
  const target = Buffer.alloc(line.size + 20, 0xaa);
  line.writeTo(target, 10);
  const around = Buffer.concat([target.subarray(0, 10), target.subarray(10 + line.size)]);
  expect(around).toEqual(Buffer.alloc(20, 0xaa));
  return target.subarray(10, 10 + line.size);
}

function answer(body: string, hasLineBreaks = false): Buffer {
  const bytes = Buffer.from(body);
  return written(answerLine({ id, customId, status: 200, requestId: 'req_1', body: bytes, hasLineBreaks }));
}

describe('answerLine', () => {
  it('is the official line, its keys in their order', () => {
    expect(answer('{"id":"chatcmpl-1"}').toString()).toBe(
      `{"id":"${id}","custom_id":"request-1","response":{"status_code":200,"request_id":"req_1","body":{"id":"chatcmpl-1"}},"error":null}\n`,
    );
  });

  it('copies custom_id and body byte for byte', () => {
    const odd = Buffer.from(String.raw`"\u00e9é\/\ud800"`);
    const body = String.raw`{ "a" :1.0e+2,"b":9007199254740993,	"c":"\u0041\/请😀","a":-0 }`;
    const bytes = Buffer.from(body);
    const line = written(
      answerLine({
        id,
        customId: odd,
        status: 404,
        requestId: 'r',
        body: bytes,
        hasLineBreaks: false,
      }),
    );
    expect(line.toString()).toBe(
      `{"id":"${id}","custom_id":${odd.toString()},"response":{"status_code":404,"request_id":"r","body":${body}},"error":null}\n`,
    );
  });

  it('makes spaces of line breaks between the tokens, and around them', () => {
    const line = answer('\r\n{\n  "a": 1,\r  "b": "x\\ny"\n}\n', true).toString();
    expect(line).toContain('"body":  {   "a": 1,   "b": "x\\ny" } }');
    expect(line.indexOf('\n')).toBe(line.length - 1);
  });

  it('leaves the bytes that it was given as they were', () => {
    const body = Buffer.from('[\n1]');
    written(answerLine({ id, customId, status: 200, requestId: 'r', body, hasLineBreaks: true }));
    expect(body.toString()).toBe('[\n1]');
  });

  it.each(['req_"1"', 'a\\b', 'a\nb', 'é', '请😀', '\u0000', '\ud800', ''])(
    'escapes the request id %j',
    (requestId) => {
      const line = written(
        answerLine({
          id,
          customId,
          status: 200,
          requestId,
          body: Buffer.from('1'),
          hasLineBreaks: false,
        }),
      );
      expect(JSON.parse(line.toString())).toMatchObject({ response: { request_id: requestId, body: 1 } });
      expect(line.indexOf(10)).toBe(line.length - 1);
    },
  );

  it('is one line of JSON that says what went in, for any JSON', () => {
    const scanner = createJsonScanner([]);
    const body = fc.tuple(fc.json(), fc.constantFrom(undefined, 0, 2, '\r\n')).map(([json, indent]) => {
      return Buffer.from(JSON.stringify(JSON.parse(json), null, indent));
    });
    const strings = fc.string({ unit: 'binary' });
    fc.assert(
      fc.property(
        body,
        strings,
        strings,
        fc.integer({ min: 100, max: 599 }),
        (body, name, requestId, status) => {
          expect(scanner.scan(body, 0, body.length)).toBe(true);
          const customId = Buffer.from(JSON.stringify(name));
          const line = written(
            answerLine({
              id,
              customId,
              status,
              requestId,
              body,
              hasLineBreaks: scanner.lineBreaks,
            }),
          );
          expect(line.indexOf(10)).toBe(line.length - 1);
          expect(line.includes(13)).toBe(false);
          expect(JSON.parse(line.toString())).toEqual({
            id,
            custom_id: name,
            response: { status_code: status, request_id: requestId, body: JSON.parse(body.toString()) },
            error: null,
          });
        },
      ),
    );
  });
});

describe('textAnswerLine', () => {
  function textAnswer(body: Uint8Array): unknown {
    const line = written(textAnswerLine({ id, customId, status: 502, requestId: 'req_1', body }));
    expect(line.indexOf(10)).toBe(line.length - 1);
    return JSON.parse(line.toString());
  }

  it('makes a JSON string of the body', () => {
    const text = '<html>\r\n"Bad\\Gateway" é请\u0000</html>\n';
    expect(textAnswer(Buffer.from(text))).toEqual({
      id,
      custom_id: 'request-1',
      response: { status_code: 502, request_id: 'req_1', body: text },
      error: null,
    });
  });

  it('replaces invalid UTF-8', () => {
    const body = Buffer.from([0x61, 0xff, 0x62, 0xe8, 0xaf]);
    expect(textAnswer(body)).toMatchObject({ response: { body: 'a\ufffdb\ufffd' } });
  });

  it('takes an empty body, and bytes that are no Buffer', () => {
    expect(textAnswer(new Uint8Array(0))).toMatchObject({ response: { body: '' } });
    const memory = new TextEncoder().encode('xxhixx').buffer;
    expect(textAnswer(new Uint8Array(memory, 2, 2))).toMatchObject({ response: { body: 'hi' } });
  });
});

describe('errorLine', () => {
  it('has no response', () => {
    const line = errorLine({ id, customId, code: 'request_timeout', message: 'No answer.' });
    expect(written(line).toString()).toBe(
      `{"id":"${id}","custom_id":"request-1","response":null,"error":{"code":"request_timeout","message":"No answer."}}\n`,
    );
  });

  it('escapes code and message', () => {
    const line = written(errorLine({ id, customId, code: 'a"b', message: 'connect failed:\n"é请"' }));
    expect(JSON.parse(line.toString())).toMatchObject({
      error: { code: 'a"b', message: 'connect failed:\n"é请"' },
    });
    expect(line.indexOf(10)).toBe(line.length - 1);
  });

  it('tells of expiry and cancellation in the official words', () => {
    expect(BATCH_EXPIRED).toEqual({
      code: 'batch_expired',
      message: 'This request could not be executed before the completion window expired.',
    });
    expect(BATCH_CANCELLED).toEqual({
      code: 'batch_cancelled',
      message: 'This request was not executed because the batch was cancelled.',
    });
  });
});
