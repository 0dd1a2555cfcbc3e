/** After a crash: which lines may run beside each other, so that the one that kills the process gives itself away. */
import type { ChunkRun, Line } from '../engine/index.ts';

export interface Suspects {
  /** True where the chunk's next line may be sent now. */
  mayTake(run: ChunkRun): boolean;
  /** True where the line, which was sent before, may be sent again now. */
  mayRetry(line: Line): boolean;
  /** A chunk was claimed, perhaps one with a prime suspect or an accused line. */
  addRun(run: ChunkRun): void;
  removeRun(run: ChunkRun): void;
  /** Any line, free ones too, takes a slot. */
  took(): void;
  /** It gives the slot back. */
  landed(): void;
  /** A line that is not `free` is about to be noted and sent. */
  began(line: Line): void;
  /** Its turn to be tried alone is over, or did not come about. */
  ended(line: Line): void;
}

/**
 * Suspects run one at a time in each chunk, side by side with other chunks, so that a crash costs little time. A
 * prime suspect goes before all others and runs while no other suspect does. If the process dies again, it is accused,
 * but not given up yet: a free line that ran beside it may be deadly, too. So it is tried once more while
 * nothing else is in flight. If the process dies of that as well, it was it.
 */
export function createSuspects(): Suspects {
  /** Chunks whose prime suspect's turn is not over. */
  const primes = new Set<ChunkRun>();
  /** Chunks whose accused line's turn is not over. */
  const accused = new Set<ChunkRun>();
  /** Whose turn it is, by chunk. */
  const flying = new Map<ChunkRun, Line>();
  let inFlight = 0;

  return {
    mayTake(run) {
      // What came of a line that was tried alone is stored before the next one may go: hence not `inFlight` alone.
      if (accused.size > 0) return accused.has(run) && inFlight === 0 && flying.size === 0;
      const suspicion = run.nextSuspicion;
      if (suspicion === 'free') return true;
      if (suspicion === 'prime') return flying.size === 0;
      return primes.size === 0 && !flying.has(run);
    },
    mayRetry({ run, suspicion }) {
      if (accused.size > 0) return false;
      return suspicion === 'free' || (primes.size === 0 && !flying.has(run));
    },
    addRun(run) {
      if (run.nextSuspicion === 'prime') primes.add(run);
      if (run.nextSuspicion === 'accused') accused.add(run);
    },
    removeRun(run) {
      primes.delete(run);
      accused.delete(run);
    },
    took() {
      inFlight++;
    },
    landed() {
      inFlight--;
    },
    began(line) {
      flying.set(line.run, line);
    },
    ended(line) {
      if (flying.get(line.run) === line) flying.delete(line.run);
      primes.delete(line.run);
      accused.delete(line.run);
    },
  };
}
