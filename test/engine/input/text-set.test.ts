import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TextSet } from '../../../src/engine/input/text-set.ts';

describe('a set of texts', () => {
  it('agrees with a Set, whatever the texts hold', () => {
    // Few different units, so that many texts are equal or nearly so.
    const unit = fc.constantFrom('a', 'b', '\0', '\xff', 'Ā', '\ud83d', '\ude00', '\ufffd');
    const text = fc.array(unit, { maxLength: 6 }).map((units) => units.join(''));
    fc.assert(
      fc.property(fc.array(fc.oneof(text, fc.string()), { maxLength: 500 }), (texts) => {
        const [ours, real] = [new TextSet(), new Set<string>()];
        for (const one of texts) {
          expect(ours.add(one), JSON.stringify(one)).toBe(!real.has(one));
          real.add(one);
          expect(ours.has(one)).toBe(true);
          expect(ours.has(`${one}b`)).toBe(real.has(`${one}b`));
        }
      }),
    );
  });

  it('tells the same characters in one and in two bytes a unit apart', () => {
    const set = new TextSet();
    expect(set.add('Ā')).toBe(true);
    expect(set.add('\0\x01')).toBe(true);
    expect(set.add('\x01')).toBe(true);
    expect(set.add('\0')).toBe(true);
    expect(set.add('Ā')).toBe(false);
  });

  it('finds each of many texts again, over many pages, the longest ones included', () => {
    const set = new TextSet();
    const texts = Array.from({ length: 60_000 }, (_, i) => `${i}-`.padEnd(i % 129, i % 7 === 0 ? 'é' : 'x'));
    for (const text of texts) if (!set.add(text)) expect.unreachable(text);
    for (const text of texts) if (set.add(text)) expect.unreachable(text);
  });
});
