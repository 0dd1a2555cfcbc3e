import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createWaitHeap } from '../../src/worker/wait-heap.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';

describe('waiting lines', () => {
  it('come out when due, in order of time, under one timer', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 1000 }), { maxLength: 50 }), (delays) => {
        const clock = createFakeClock();
        const due: number[] = [];
        const heap = createWaitHeap<number>(clock, (delay) => {
          expect(clock.monotonic()).toBe(delay);
          due.push(delay);
        });
        for (const delay of delays) heap.add(delay, delay);
        expect(clock.timers).toBeLessThanOrEqual(1);
        clock.advance(1000);
        expect(due).toEqual(delays.toSorted((a, b) => a - b));
        expect(clock.timers).toBe(0);
      }),
    );
  });

  it('are not moved by a jump of the wall clock', () => {
    const clock = createFakeClock();
    const due: string[] = [];
    createWaitHeap<string>(clock, (item) => due.push(item)).add('a', 100);
    clock.setWall(clock.now() + 400 * 86_400_000);
    clock.advance(99);
    expect(due).toEqual([]);
    clock.advance(1);
    expect(due).toEqual(['a']);
  });

  it('are dropped where they are not wanted any more; the others come out when due', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 1000 }), { maxLength: 50 }),
        fc.nat({ max: 5 }),
        (delays, divisor) => {
          const clock = createFakeClock();
          const isUnwanted = (delay: number): boolean => divisor === 0 || delay % divisor === 0;
          const due: number[] = [];
          const heap = createWaitHeap<number>(clock, (delay) => due.push(delay));
          for (const delay of delays) heap.add(delay, delay);
          heap.drop(isUnwanted);
          const wanted = delays.filter((delay) => !isUnwanted(delay));
          expect(clock.timers).toBe(Math.min(1, wanted.length));
          clock.advance(1000);
          expect(due).toEqual(wanted.toSorted((a, b) => a - b));
          expect(clock.timers).toBe(0);
        },
      ),
    );
  });

  it('are forgotten when cleared', () => {
    const clock = createFakeClock();
    const heap = createWaitHeap<string>(clock, () => expect.unreachable());
    heap.add('a', 1);
    heap.clear();
    expect(clock.timers).toBe(0);
    clock.advance(10);
  });
});
