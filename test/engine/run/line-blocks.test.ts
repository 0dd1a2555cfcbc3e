import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LineBlocks } from '../../../src/engine/run/line-blocks.ts';

describe('line blocks', () => {
  it('hold what was added, in order, whatever the sizes', () => {
    const size = fc.oneof(fc.nat({ max: 2000 }), fc.nat({ max: 600_000 }));
    fc.assert(
      fc.property(fc.array(fc.tuple(size, fc.boolean()), { maxLength: 30 }), (sizes) => {
        const blocks = new LineBlocks();
        const lines = sizes.map(([bytes], i) => Buffer.alloc(bytes, i + 1));
        lines.forEach((line, i) => {
          if (sizes[i]?.[1] === true) blocks.addBytes(line);
          else blocks.add({ size: line.length, writeTo: (target, at) => target.set(line, at) });
          // Looking at what there is so far changes nothing.
          expect(blocks.bytes).toBe(Buffer.concat(blocks.parts).length);
        });
        expect(Buffer.concat(blocks.parts).equals(Buffer.concat(lines))).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  it('are few, however many lines there are', () => {
    const blocks = new LineBlocks();
    for (let i = 0; i < 1000; i++) blocks.addBytes(Buffer.alloc(800));
    expect(blocks.parts.length).toBeLessThan(6);
  });
});
