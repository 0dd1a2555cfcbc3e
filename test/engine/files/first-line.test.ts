import { describe, expect, it } from 'vitest';
import { createFirstLineLook } from '../../../src/engine/files/first-line.ts';

/** What the look says of `text`, pushed in pieces of `size` bytes. */
function lookAt(text: string, size: number): string {
  const look = createFirstLineLook();
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) look.push(bytes.subarray(at, at + size));
  return look.finish();
}

describe('the look at the first line', () => {
  it.each([
    ['', 'empty'],
    ['\n \t\r\n\r', 'empty'],
    ['\uFEFF', 'empty'],
    ['\uFEFF\n', 'empty'],
    ['{}', 'json'],
    ['{}\nx', 'json'],
    ['\n\r\n {"a":"é"} \r\nx', 'json'],
    ['\uFEFF{}\n', 'json'],
    ['\n\uFEFF{}\n', 'not_json'],
    ['{\n}', 'not_json'],
    ['x\n{}', 'not_json'],
    [`"${'x'.repeat(200_000)}"`, 'json'],
    [`"${'x'.repeat(300_000)}"\n`, 'unknown'],
    ['x'.repeat(300_000), 'unknown'],
  ])('is the same however the bytes are cut (%#)', (text, verdict) => {
    expect([1, 2, 3, 7, 65_536, 1_000_000].map((size) => lookAt(text, size))).toEqual(
      Array.from({ length: 6 }, () => verdict),
    );
  });

  it('does not copy a line again with each of its pieces', () => {
    const startedAt = performance.now();
    lookAt('x'.repeat(256 * 1024), 1);
    // 32 GB, or half of one.
    expect(performance.now() - startedAt).toBeLessThan(1500);
  });
});
