import { describe, expect, it } from 'vitest';
import {
  answerLine,
  BATCH_CANCELLED,
  BATCH_EXPIRED,
  errorLine,
  textAnswerLine,
} from '../../../src/engine/run/result.ts';
import type { ResultLine } from '../../../src/engine/run/result.ts';
import type { Span } from '../../../src/http/messages/piece.ts';
import { createResultTranslator } from '../../../src/http/messages/result-line.ts';
import type { ResultTranslator } from '../../../src/http/messages/result-line.ts';

const CUSTOM_ID = '"a\\u002db"';
const LINE = { id: 'batch_req_1', customId: Buffer.from(CUSTOM_ID) };
const REQUEST_ID = 'req_"1"';

function textOf(line: ResultLine): string {
  const bytes = Buffer.alloc(line.size);
  line.writeTo(bytes, 0);
  return bytes.toString();
}

/** The line as it lies in a file, between others. */
function translated(
  line: ResultLine | string,
  translate: (translator: ResultTranslator, span: Span) => ResultLine,
): string {
  const text = typeof line === 'string' ? line : textOf(line).trimEnd();
  const bytes = Buffer.from(`{"before":1}\n${text}\n{"after":1}`);
  const start = 13;
  const span = { bytes, start, end: start + Buffer.byteLength(text) };
  const result = textOf(translate(createResultTranslator(), span));
  expect(result.endsWith('\n')).toBe(true);
  expect(result.startsWith(`{"custom_id":${CUSTOM_ID},"result":`)).toBe(true);
  return result.slice(`{"custom_id":${CUSTOM_ID},"result":`.length, -2);
}

function answered(body: string, status = 200): ResultLine {
  const answer = { ...LINE, status, requestId: REQUEST_ID, body: Buffer.from(body) };
  return answerLine({ ...answer, hasLineBreaks: true });
}

const failed = (line: ResultLine): string => translated(line, (translator, span) => translator.failed(span));

describe('the result of a line', () => {
  it('that succeeded is the answer’s body, byte for byte', () => {
    const body = ' { "id":"m\\u0031","n":9007199254740993,\t"dup":1,"dup":2,"s":"é🎉\\ud800" } ';
    expect(translated(answered(body), (translator, span) => translator.succeeded(span))).toBe(
      `{"type":"succeeded","message":${body.trim()}}`,
    );
  });

  it('with an error object is that object, byte for byte', () => {
    const body = '{"type":"error","error":{"type":"x_error","message":"m","n":1e400}, "request_id":"theirs"}';
    expect(failed(answered(body, 400))).toBe(`{"type":"errored","error":${body}}`);
  });

  it('with an error object that has no request id gets the one of the answer', () => {
    const error = '{ "type":"x_error", "message":"m\\u0031" ,"n":1e400}';
    expect(failed(answered(`{"type":"error","error":${error}}`, 400))).toBe(
      `{"type":"errored","error":{"type":"error","error":${error},"request_id":${JSON.stringify(REQUEST_ID)}}}`,
    );
  });

  it.each([
    [
      400,
      '{"error":{"message":"no such thing","type":"y","code":null}}',
      'invalid_request_error',
      'no such thing',
    ],
    [404, '{"message":"gone"}', 'not_found_error', 'gone'],
    [401, '{"error":"who are you"}', 'authentication_error', 'who are you'],
    [429, '{"detail":[1]}', 'rate_limit_error', 'The upstream answered 429: {"detail":[1]}'],
    [500, '[]', 'api_error', 'The upstream answered 500: []'],
    [529, 'null', 'overloaded_error', 'The upstream answered 529: null'],
    [504, '{"type":"error","error":{"type":5,"message":"late"}}', 'timeout_error', 'late'],
    [
      413,
      '{"type":"error","error":{"type":"x"}}',
      'request_too_large',
      'The upstream answered 413: {"type":"error","error":{"type":"x"}}',
    ],
    [503, `{"x":"${'y'.repeat(2000)}"}`, 'api_error', `The upstream answered 503: {"x":"${'y'.repeat(994)}…`],
  ])('of a %d with the body %s is wrapped', (status, body, type, message) => {
    expect(JSON.parse(failed(answered(body, status)))).toEqual({
      type: 'errored',
      error: { type: 'error', error: { type, message }, request_id: REQUEST_ID },
    });
  });

  it('of an answer that is not JSON says what it was', () => {
    const body = Buffer.from('<h1>"Bad gateway"</h1>');
    const line = textAnswerLine({ ...LINE, status: 502, requestId: REQUEST_ID, body });
    expect(JSON.parse(failed(line))).toMatchObject({
      error: { error: { type: 'api_error', message: 'The upstream answered 502: <h1>"Bad gateway"</h1>' } },
    });
  });

  it.each([
    ['request_timeout', 'timeout_error'],
    ['request_failed', 'api_error'],
    ['invalid_response', 'api_error'],
    ['request_crashed', 'api_error'],
  ])('without an answer (%s) is a %s', (code, type) => {
    expect(JSON.parse(failed(errorLine({ ...LINE, code, message: 'a "message"' })))).toEqual({
      type: 'errored',
      error: { type: 'error', error: { type, message: 'a "message"' }, request_id: null },
    });
  });

  it('that was not finished is canceled or expired', () => {
    expect(failed(errorLine({ ...LINE, ...BATCH_CANCELLED }))).toBe('{"type":"canceled"}');
    expect(failed(errorLine({ ...LINE, ...BATCH_EXPIRED }))).toBe('{"type":"expired"}');
  });

  it('of a batch without results is why it has none', () => {
    const line = `{"custom_id":${CUSTOM_ID},"method":"POST","url":"/v1/messages","body":{"model":"m"}}`;
    const unanswered = (why: Parameters<ResultTranslator['unanswered']>[1]) =>
      translated(line, (translator, span) => translator.unanswered(span, why));
    expect(unanswered({ kind: 'canceled' })).toBe('{"type":"canceled"}');
    expect(JSON.parse(unanswered({ kind: 'errored', message: 'no' }))).toEqual({
      type: 'errored',
      error: { type: 'error', error: { type: 'invalid_request_error', message: 'no' }, request_id: null },
    });
  });

  it('is not made of what is no result line', () => {
    for (const text of ['', '{}', 'nonsense']) {
      const span = { bytes: Buffer.from(text), start: 0, end: text.length };
      expect(() => createResultTranslator().succeeded(span)).toThrow('not what was written there');
    }
  });
});
