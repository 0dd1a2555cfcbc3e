import { describe, expect, it } from 'vitest';
import type { ChunkRun, Line, Suspicion } from '../../src/engine/index.ts';
import { createSuspects } from '../../src/worker/suspects.ts';

function fakeRun(suspicion: Suspicion): { run: ChunkRun; line: Line } {
  const run = { nextSuspicion: suspicion } as ChunkRun;
  return { run, line: { run, suspicion } as Line };
}

describe('after a crash', () => {
  it('suspects run one at a time in each chunk, beside other chunks and free lines', () => {
    const suspects = createSuspects();
    const [a, b, free] = [fakeRun('suspect'), fakeRun('suspect'), fakeRun('free')];
    for (const { run } of [a, b, free]) suspects.addRun(run);
    suspects.began(a.line);
    expect([a, b, free].map(({ run }) => suspects.mayTake(run))).toEqual([false, true, true]);
    suspects.ended(a.line);
    expect(suspects.mayTake(a.run)).toBe(true);
  });

  it('a prime suspect waits for the suspects in flight, goes before all others, and runs with none beside it', () => {
    const suspects = createSuspects();
    const [a, prime] = [fakeRun('suspect'), fakeRun('prime')];
    suspects.addRun(a.run);
    suspects.began(a.line);
    suspects.addRun(prime.run);
    expect(suspects.mayTake(prime.run)).toBe(false);
    suspects.ended(a.line);
    expect([a, prime].map(({ run }) => suspects.mayTake(run))).toEqual([false, true]);
    suspects.began(prime.line);
    const other = fakeRun('prime');
    suspects.addRun(other.run);
    expect([a, other].map(({ run }) => suspects.mayTake(run))).toEqual([false, false]);
    suspects.ended(prime.line);
    expect([a, other].map(({ run }) => suspects.mayTake(run))).toEqual([false, true]);
  });

  it('a chunk that is given back takes its prime suspect along', () => {
    const suspects = createSuspects();
    const [a, prime] = [fakeRun('suspect'), fakeRun('prime')];
    suspects.addRun(prime.run);
    expect(suspects.mayTake(a.run)).toBe(false);
    suspects.removeRun(prime.run);
    expect(suspects.mayTake(a.run)).toBe(true);
  });
});
