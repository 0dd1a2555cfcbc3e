import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readPromptText } from '../../../src/engine/tokens/prompt-text.ts';

const read = (body: unknown, max = 1_000_000) => readPromptText(Buffer.from(JSON.stringify(body)), max);
const texts = (body: unknown) => read(body).texts;

describe('the text of a prompt', () => {
  it.each<[string, object, string[]]>([
    [
      'messages',
      {
        messages: [
          { role: 'system', content: 'a' },
          { role: 'user', content: 'b' },
        ],
      },
      ['a', 'b'],
    ],
    [
      'parts of messages, but no images',
      {
        messages: [
          {
            role: 'user',
            content: [
              { type: 'text', text: 'a' },
              { type: 'image_url', image_url: { url: 'data:…', text: 'no' } },
            ],
          },
        ],
      },
      ['a'],
    ],
    ['an input', { model: 'm', input: 'a' }, ['a']],
    ['several inputs', { input: ['a', 'b'], encoding_format: 'float' }, ['a', 'b']],
    [
      'items of a response',
      { instructions: 'a', input: [{ role: 'user', content: [{ type: 'input_text', text: 'b' }] }] },
      ['a', 'b'],
    ],
    ['a prompt', { prompt: 'a', suffix: 'no' }, ['a']],
    ['nothing', {}, []],
    [
      'other members of these names',
      { tools: [{ input: 'no', content: 'no' }], content: 'no', text: 'no' },
      [],
    ],
    ['escapes and characters of any length', { input: 'a"\\\n\u{1f600}é漢' }, ['a"\\\n\u{1f600}é漢']],
    ['empty and odd values', { input: ['', null, true, {}, [], [[]], { text: null }], messages: 'a' }, ['a']],
  ])('is found in %s', (_case, body, expected) => {
    expect(texts(body)).toEqual(expected);
  });

  it('does not depend on white space, escapes in names or the order of members', () => {
    const body =
      ' {\n"model" : "m" ,\t"\\u0069nput" : [ "a" , { "text" : "b" , "x" : { "y" : [ 1 , "no" ] } } ] }\r\n';
    expect(readPromptText(Buffer.from(body), 100).texts).toEqual(['a', 'b']);
  });

  it('counts the tokens of inputs that are tokens', () => {
    expect(read({ input: [1, 2, 3], max_tokens: 5 })).toEqual({ texts: [], scale: 1, tokens: 3 });
    expect(read({ prompt: [[1, -2], [3.5e1]] }).tokens).toBe(3);
  });

  it('is cut where it is long, and says how much of it there is', () => {
    const { texts, scale } = read({ input: ['abcd', 'efgh', 'ijkl'] }, 6);
    expect(texts).toEqual(['abcd', 'ef']);
    expect(scale).toBe(2);
  });

  it('survives any depth', () => {
    const deep = '['.repeat(200_000) + '"no"' + ']'.repeat(200_000);
    const body = `{"input":${deep},"other":${deep},"prompt":"a"}`;
    expect(readPromptText(Buffer.from(body), 100).texts).toEqual(['a']);
  });

  it('passes any JSON to the end', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (value, other) => {
        const body = { other, input: value, prompt: 'last', more: other };
        expect(texts(body).at(-1)).toBe('last');
      }),
    );
  });
});
