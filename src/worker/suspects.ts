/** After a crash: which lines may run beside each other, so that the one that kills the process gives itself away. */
import type { ChunkRun, Line } from '../engine/index.ts';

/** What a death of the process counts for the line that was being tried: twice where nothing else was in flight. */
const DEATHS = { beside: 1, alone: 2 } as const;

export interface Suspects {
  /** True where the chunk's next line may be sent now. */
  mayTake(run: ChunkRun): boolean;
  /** True where lines that were sent before may be sent again now. */
  readonly mayRetry: boolean;
  /** A chunk was claimed, perhaps one with a prime suspect. */
  addRun(run: ChunkRun): void;
  removeRun(run: ChunkRun): void;
  /** Any line, free ones too, takes a slot. */
  took(): void;
  /** It gives the slot back. */
  landed(): void;
  /** A line that took a slot and is not `free` is about to be noted and sent; answers what a death would count for it. */
  began(line: Line): number;
  /** Its first attempt ended, or was not made. */
  ended(line: Line): void;
}

/**
 * Suspects run one at a time in each chunk, side by side with other chunks, so that a crash costs little time. A
 * prime suspect goes before all others and runs while no other suspect does. Beside it there may still be free lines, one of
 * which may be deadly, too; so nobody is given up for that. The line is accused, and is tried while nothing else
 * is in flight: if the process dies again, it was it. A prime suspect that is the only one is accused at once, for to
 * try it alone costs no more than the time of one request.
 */
export function createSuspects(): Suspects {
  /** Chunks whose prime suspect has not ended. */
  const primes = new Set<ChunkRun>();
  /** Those of them whose prime suspect is accused. */
  const accused = new Set<ChunkRun>();
  /** Suspects in flight, by chunk. */
  const flying = new Map<ChunkRun, Line>();
  /** The chunk whose line is being tried alone. */
  let alone: ChunkRun | null = null;
  let inFlight = 0;

  const isAccused = (run: ChunkRun): boolean => accused.has(run) || (primes.size === 1 && primes.has(run));
  const hasAccused = (): boolean => alone !== null || accused.size > 0 || primes.size === 1;

  return {
    mayTake(run) {
      if (hasAccused()) return alone === null && inFlight === 0 && isAccused(run);
      const suspicion = run.nextSuspicion;
      if (suspicion === 'free') return true;
      if (suspicion !== 'suspect') return flying.size === 0;
      return primes.size === 0 && !flying.has(run);
    },
    get mayRetry() {
      return !hasAccused();
    },
    addRun(run) {
      const suspicion = run.nextSuspicion;
      if (suspicion === 'prime' || suspicion === 'accused') primes.add(run);
      if (suspicion === 'accused') accused.add(run);
    },
    removeRun(run) {
      primes.delete(run);
      accused.delete(run);
      if (alone === run) alone = null;
    },
    took() {
      inFlight++;
    },
    landed() {
      inFlight--;
    },
    began(line) {
      flying.set(line.run, line);
      // The line itself is in flight already.
      if (inFlight > 1 || !isAccused(line.run)) return DEATHS.beside;
      alone = line.run;
      return DEATHS.alone;
    },
    ended(line) {
      if (flying.get(line.run) === line) flying.delete(line.run);
      primes.delete(line.run);
      accused.delete(line.run);
      if (alone === line.run) alone = null;
    },
  };
}
