import { describe, expect, it } from 'vitest';
import { createLineChecker } from '../../../src/engine/input/line.ts';
import type { CheckedLine } from '../../../src/engine/input/line.ts';

const GOOD = {
  custom_id: 'request-1',
  method: 'POST',
  url: '/v1/chat/completions',
  body: { model: 'm1', messages: [] },
};

const checker = createLineChecker({ endpoint: '/v1/chat/completions' });

/** Checks a line as it lies between others. */
function check(line: string | object, using = checker): CheckedLine {
  const bytes = Buffer.from(typeof line === 'string' ? line : JSON.stringify(line));
  return using.check(Buffer.concat([Buffer.from('{"a\n'), bytes, Buffer.from('\n"}')]), 4, 4 + bytes.length);
}

function fault(code: string, message: string, param: string | null): CheckedLine {
  return { fault: { code, message, param } };
}

function without(name: keyof typeof GOOD): object {
  const { [name]: _, ...rest } = GOOD;
  return rest;
}

describe('a line', () => {
  it('that keeps the rules says its custom_id and model', () => {
    expect(check(GOOD)).toMatchObject({ fault: null, customId: 'request-1', model: 'm1' });
  });

  it('may have other members, any order, white space, and escapes everywhere', () => {
    const line = String.raw` { "x":[{}], "body" : {"stream":false,"model":"\u006d1\u00e9"}, "url":"\/v1\/chat\/completions",
      "metho\u0064":"POS\u0054" , "custom_id":"a\"b" } `;
    expect(check(line)).toMatchObject({ fault: null, customId: 'a"b', model: 'm1é' });
  });

  it('counts the last of equal members', () => {
    expect(
      check(
        '{"custom_id":7,"method":"POST","url":"/v1/chat/completions","body":{},"body":{"model":1,"model":"m"},"custom_id":"c"}',
      ),
    ).toMatchObject({ fault: null, customId: 'c', model: 'm' });
  });

  it.each(['', '{', '{"custom_id":"a"', 'hello', '{} {}', "{'custom_id':'a'}", '\uFEFF{}'])(
    'that is no JSON is refused: %j',
    (line) => {
      expect(check(line)).toEqual(
        fault('invalid_json_line', 'This line is not parseable as valid JSON.', null),
      );
    },
  );

  it.each(['1', '"a"', 'null', 'true', '[]', ' [{"custom_id":"a"}]'])(
    'that is JSON but no object is refused alike: %s',
    (line) => {
      expect(check(line)).toEqual(
        fault('invalid_json_line', 'This line is not parseable as valid JSON.', null),
      );
    },
  );
});

describe('the members of a line', () => {
  it.each(['custom_id', 'method', 'url', 'body'] as const)('must have %s', (name) => {
    const message = `Missing required parameter: '${name}'.`;
    expect(check(without(name))).toEqual(fault('missing_required_parameter', message, name));
  });

  it('must have body.model', () => {
    const message = "Missing required parameter: 'body.model'.";
    expect(check({ ...GOOD, body: {} })).toEqual(fault('missing_required_parameter', message, 'body.model'));
  });

  it.each([
    ['custom_id', { custom_id: 7 }, 'a string', 'a number'],
    ['custom_id', { custom_id: null }, 'a string', 'null'],
    ['custom_id', { custom_id: '' }, 'a non-empty string', 'an empty string'],
    ['method', { method: ['POST'] }, 'a string', 'an array'],
    ['url', { url: true }, 'a string', 'a boolean'],
    ['body', { body: [] }, 'an object', 'an array'],
    ['body', { body: '{}' }, 'an object', 'a string'],
    ['body.model', { body: { model: {} } }, 'a string', 'an object'],
  ])('must be of their kinds: %s in %j', (param, members, expected, got) => {
    const message = `Invalid type for '${param}': expected ${expected}, but got ${got} instead.`;
    expect(check({ ...GOOD, ...members })).toEqual(fault('invalid_type', message, param));
  });

  it('are judged in their order, the first fault being told', () => {
    const bad = { custom_id: 1, method: 2, url: 3, body: { stream: true, model: 5 } };
    const params = [];
    for (const [param, mended] of [
      ['custom_id', { custom_id: 'a' }],
      ['method', { method: 'POST' }],
      ['url', { url: GOOD.url }],
      ['body.model', { body: { stream: true, model: 'm' } }],
      ['body.stream', { body: { model: 'm' } }],
    ] as const) {
      params.push([param, check(bad).fault?.param]);
      Object.assign(bad, mended);
    }
    expect(params.every(([expected, told]) => expected === told)).toBe(true);
    expect(check(bad).fault).toBeNull();
  });
});

describe('custom_id', () => {
  it.each([
    ['64 letters', 'x'.repeat(64)],
    ['64 characters of three bytes', '请'.repeat(64)],
    ['64 characters of two units', '😀'.repeat(64)],
  ])('may have %s', (_, customId) => {
    expect(check({ ...GOOD, custom_id: customId })).toMatchObject({ fault: null, customId });
  });

  it.each([
    ['65 letters', 'x'.repeat(65), 65],
    ['65 characters of two units', '😀'.repeat(65), 65],
    ['100,000 letters', 'x'.repeat(100_000), 100_000],
  ])('must not have %s', (_, customId, length) => {
    const message = `Invalid 'custom_id': string too long. Expected a string with maximum length 64, but got a string with length ${length} instead.`;
    expect(check({ ...GOOD, custom_id: customId })).toEqual(
      fault('string_above_max_length', message, 'custom_id'),
    );
  });

  it('is counted by its characters, not by how they are escaped', () => {
    const line = JSON.stringify(GOOD).replace('request-1', '\\u0061'.repeat(64));
    expect(check(line)).toMatchObject({ fault: null, customId: 'a'.repeat(64) });
  });
});

describe('method, url and stream', () => {
  it.each(['GET', 'post', 'POST ', ''])('the method %j is refused', (method) => {
    const message = `Invalid method: only POST is supported, but got '${method}'.`;
    expect(check({ ...GOOD, method })).toEqual(fault('invalid_method', message, 'method'));
  });

  it('a long method is quoted in part', () => {
    const message = `Invalid method: only POST is supported, but got '${'x'.repeat(200)}…'.`;
    expect(check({ ...GOOD, method: 'x'.repeat(100_000) })).toEqual(
      fault('invalid_method', message, 'method'),
    );
  });

  it.each(['/v1/embeddings', '/v1/chat/completions/', 'https://api.openai.com/v1/chat/completions', ''])(
    'the url %j is refused where it is not the endpoint',
    (url) => {
      const message = 'The URL provided for this request does not match the batch endpoint.';
      expect(check({ ...GOOD, url })).toEqual(fault('invalid_url', message, 'url'));
    },
  );

  it('the url may be any string where no endpoint is given', () => {
    const anyUrl = createLineChecker({});
    expect(check({ ...GOOD, url: '/v1/embeddings' }, anyUrl).fault).toBeNull();
    expect(check({ ...GOOD, url: 1 }, anyUrl).fault?.code).toBe('invalid_type');
    expect(check(without('url'), anyUrl).fault?.code).toBe('missing_required_parameter');
  });

  it('stream true is refused', () => {
    const message = 'Chat Completions: Streaming is not supported in the Batch API.';
    const line = { ...GOOD, body: { model: 'm', stream: true } };
    expect(check(line)).toEqual(fault('streaming_unsupported', message, 'body.stream'));
  });

  it.each([false, null, 'true', 0])('stream %j is let through', (stream) => {
    expect(check({ ...GOOD, body: { model: 'm', stream } }).fault).toBeNull();
  });
});

describe('the parts of a line', () => {
  it('are custom_id and body as they stand there, counted from the first byte of the line', () => {
    const line = String.raw`{"body" : { "model":"m","a": 1 } , "custom_id":"a\u0062","method":"POST","url":"/v1/x" }`;
    const checker = createLineChecker({});
    const right = checker.check(Buffer.from(`xx${line}xx`), 2, 2 + Buffer.byteLength(line));
    if (right.fault !== null) return expect.unreachable();
    expect(line.slice(right.customIdStart, right.customIdEnd)).toBe(String.raw`"a\u0062"`);
    expect(line.slice(right.bodyStart, right.bodyEnd)).toBe('{ "model":"m","a": 1 }');
  });
});
