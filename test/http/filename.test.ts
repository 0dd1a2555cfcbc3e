import { describe, expect, it } from 'vitest';
import { cleanFilename, contentDisposition } from '../../src/http/files/filename.ts';

describe('cleanFilename', () => {
  it.each([
    ['input.jsonl', 'input.jsonl'],
    ['../../etc/passwd', 'passwd'],
    ['..\\..\\windows\\system.ini', 'system.ini'],
    ['/absolute', 'absolute'],
    ['a\u0000b\r\nc\u007f\u0085\u2028d', 'abcd'],
    [' spaced name ', 'spaced name'],
    ['say "hi"; x=y', 'say "hi"; x=y'],
    ['日本語 🎉.jsonl', '日本語 🎉.jsonl'],
    ['broken \ud800 surrogate', 'broken \ufffd surrogate'],
  ])('keeps of %j what is a name: %j', (given, kept) => {
    expect(cleanFilename(given)).toBe(kept);
  });

  it.each([undefined, '', '   ', '.', '..', '../..', 'folder/', '\u0000\u0001'])(
    'calls %j upload',
    (given) => {
      expect(cleanFilename(given)).toBe('upload');
    },
  );

  it('keeps 255 characters, and none of them by halves', () => {
    expect(cleanFilename('x'.repeat(10_000))).toBe('x'.repeat(255));
    expect(cleanFilename('🎉'.repeat(300))).toBe('🎉'.repeat(255));
  });
});

describe('contentDisposition', () => {
  it('quotes an ASCII name', () => {
    expect(contentDisposition('a b.jsonl')).toBe('attachment; filename="a b.jsonl"');
  });

  it('escapes quotes and backslashes', () => {
    expect(contentDisposition('a"b\\c')).toBe('attachment; filename="a\\"b\\\\c"');
  });

  it('adds the UTF-8 form of any other name', () => {
    expect(contentDisposition("naïve's 🎉.txt")).toBe(
      `attachment; filename="na_ve's _.txt"; filename*=UTF-8''na%C3%AFve%27s%20%F0%9F%8E%89.txt`,
    );
  });

  it('never lets control characters into the header', () => {
    expect(contentDisposition('a\r\nb\u0000\ud800')).toBe(
      `attachment; filename="a__b__"; filename*=UTF-8''a%0D%0Ab%00%EF%BF%BD`,
    );
  });
});
