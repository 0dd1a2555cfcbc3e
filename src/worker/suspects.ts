/** After a crash: which lines may run beside each other, so that the one that kills the process gives itself away. */
import type { ChunkRun, Line } from '../engine/index.ts';

export interface Suspects {
  /** True where the chunk's next line may be sent now. */
  mayTake(run: ChunkRun): boolean;
  /** A chunk was claimed, perhaps one with a prime suspect. */
  addRun(run: ChunkRun): void;
  removeRun(run: ChunkRun): void;
  /** A line that is not `free` is about to be noted and sent. */
  began(line: Line): void;
  /** Its first attempt ended, or was not made. */
  ended(line: Line): void;
}

/**
 * Suspects run one at a time in each chunk, side by side with other chunks, so that a crash costs little time. A
 * prime suspect goes before all others and runs while no other suspect does: if the process dies again, it was it.
 */
export function createSuspects(): Suspects {
  /** Chunks whose prime suspect has not ended. */
  const primes = new Set<ChunkRun>();
  /** Suspects in flight, by chunk. */
  const flying = new Map<ChunkRun, Line>();

  return {
    mayTake(run) {
      const suspicion = run.nextSuspicion;
      if (suspicion === 'free') return true;
      if (suspicion === 'prime') return flying.size === 0;
      return primes.size === 0 && !flying.has(run);
    },
    addRun(run) {
      if (run.nextSuspicion === 'prime') primes.add(run);
    },
    removeRun(run) {
      primes.delete(run);
    },
    began(line) {
      flying.set(line.run, line);
    },
    ended(line) {
      if (flying.get(line.run) === line) flying.delete(line.run);
      primes.delete(line.run);
    },
  };
}
