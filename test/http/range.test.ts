import { describe, expect, it } from 'vitest';
import { parseRange } from '../../src/http/files/range.ts';

describe('parseRange', () => {
  it.each([
    ['bytes=0-0', { start: 0, end: 1 }],
    ['bytes=2-5', { start: 2, end: 6 }],
    ['BYTES=2-5', { start: 2, end: 6 }],
    ['bytes=2-', { start: 2, end: 10 }],
    ['bytes=9-9', { start: 9, end: 10 }],
    ['bytes=9-99999999999999999999', { start: 9, end: 10 }],
    ['bytes=-3', { start: 7, end: 10 }],
    ['bytes=-10', { start: 0, end: 10 }],
    ['bytes=-99999999999999999999', { start: 0, end: 10 }],
  ])('reads %s of ten bytes', (header, range) => {
    expect(parseRange(header, 10)).toEqual(range);
  });

  it.each(['bytes=10-', 'bytes=10-12', 'bytes=99999999999999999999-', 'bytes=-0'])(
    'finds nothing to satisfy %s of ten bytes',
    (header) => {
      expect(parseRange(header, 10)).toBe('unsatisfiable');
    },
  );

  it.each(['bytes=0-', 'bytes=-1', 'bytes=0-0'])('finds nothing to satisfy %s of an empty file', (header) => {
    expect(parseRange(header, 0)).toBe('unsatisfiable');
  });

  it.each([
    undefined,
    '',
    'bytes',
    'bytes=',
    'bytes=-',
    'bytes=5-2',
    'bytes=a-b',
    'bytes=0-1,3-4',
    'bytes= 0-1',
    'bytes=0x1-2',
    'bytes=--1',
    'lines=0-1',
  ])('ignores %s', (header) => {
    expect(parseRange(header, 10)).toBeNull();
  });
});
