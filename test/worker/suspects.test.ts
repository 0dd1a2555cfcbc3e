import { describe, expect, it } from 'vitest';
import type { ChunkRun, Line, Suspicion } from '../../src/engine/index.ts';
import { createSuspects } from '../../src/worker/suspects.ts';

const free = { run: { nextSuspicion: 'free' }, suspicion: 'free' } as Line;

/** Suspects with a chunk for each of these, and what may be taken of them. */
function suspected(...suspicions: Suspicion[]) {
  const suspects = createSuspects();
  const lines = suspicions.map((suspicion) => {
    const run = { nextSuspicion: suspicion } as ChunkRun;
    suspects.addRun(run);
    return { run, suspicion } as Line;
  });
  return {
    suspects,
    lines: lines as [Line, Line, ...Line[]],
    mayTake: () => lines.map(({ run }) => suspects.mayTake(run)),
    send: (line: Line) => {
      suspects.took();
      if (line.suspicion !== 'free') suspects.began(line);
    },
    land: (line: Line): void => {
      suspects.landed();
      if (line.suspicion !== 'free') suspects.ended(line);
    },
  };
}

describe('after a crash', () => {
  it('suspects run one at a time in each chunk, beside other chunks and free lines', () => {
    const { lines, mayTake, send, land } = suspected('suspect', 'suspect', 'free');
    send(lines[0]);
    expect(mayTake()).toEqual([false, true, true]);
    land(lines[0]);
    expect(mayTake()).toEqual([true, true, true]);
  });

  it('prime suspects go before all others and run with no suspect beside them, but with free lines', () => {
    const { suspects, lines, mayTake, send, land } = suspected('prime', 'prime', 'prime', 'suspect', 'free');
    expect(mayTake()).toEqual([true, true, true, false, true]);
    send(lines[0]);
    expect(mayTake()).toEqual([false, false, false, false, true]);
    expect(suspects.mayRetry(free)).toBe(true);
    land(lines[0]);
    expect(mayTake().slice(1)).toEqual([true, true, false, true]);
  });

  it('an accused line waits until nothing is in flight, and runs alone', () => {
    const { suspects, lines, mayTake, send, land } = suspected('accused', 'suspect', 'free');
    send(free);
    expect(mayTake()).toEqual([false, false, false]);
    expect(suspects.mayRetry(free)).toBe(false);
    land(free);
    expect(mayTake()).toEqual([true, false, false]);
    send(lines[0]);
    const late = suspects.mayTake({ nextSuspicion: 'free' } as ChunkRun);
    expect([...mayTake(), late, suspects.mayRetry(free)]).toEqual([false, false, false, false, false]);
    // The slot is free before what came of it is stored.
    suspects.landed();
    expect(mayTake()).toEqual([false, false, false]);
    suspects.ended(lines[0]);
    expect(mayTake().slice(1)).toEqual([true, true]);
    expect(suspects.mayRetry(free)).toBe(true);
  });

  it('a suspect that is due again waits for its chunk’s turn and for prime suspects', () => {
    const { suspects, lines, send, land } = suspected('suspect', 'suspect');
    const again = { run: lines[0].run, suspicion: 'suspect' } as Line;
    expect(suspects.mayRetry(again)).toBe(true);
    send(lines[1]);
    expect(suspects.mayRetry(again)).toBe(true);
    send(lines[0]);
    expect(suspects.mayRetry(again)).toBe(false);
    land(lines[0]);
    const prime = { nextSuspicion: 'prime' } as ChunkRun;
    suspects.addRun(prime);
    expect([suspects.mayRetry(again), suspects.mayRetry(free)]).toEqual([false, true]);
    suspects.removeRun(prime);
    expect(suspects.mayRetry(again)).toBe(true);
  });

  it('accused lines go before prime suspects, one at a time', () => {
    const { lines, mayTake, send, land } = suspected('accused', 'accused', 'prime', 'prime');
    expect(mayTake()).toEqual([true, true, false, false]);
    send(lines[1]);
    expect(mayTake()).toEqual([false, false, false, false]);
    land(lines[1]);
    expect(mayTake()[0]).toBe(true);
  });

  it.each([
    ['accused', false],
    ['prime', true],
  ] as const)('a chunk that is given back takes its %s line along', (suspicion, letsFreeLinesRun) => {
    const { suspects, lines, mayTake, send } = suspected(suspicion, 'suspect', 'free');
    expect(mayTake()).toEqual([true, false, letsFreeLinesRun]);
    send(lines[0]);
    suspects.removeRun(lines[0].run);
    expect(mayTake().slice(1)).toEqual([true, true]);
  });
});
