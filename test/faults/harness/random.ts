/** Numbers that look random and are the same for the same seed. */
export interface Random {
  /** At least 0 and below 1. */
  next(): number;
  /** A whole number, at least `min` and at most `max`. */
  between(min: number, max: number): number;
  /** One of them. */
  pick<T>(items: readonly T[]): T;
}

/** A generator by George Marsaglia's xorshift with 32 bits. */
export function createRandom(seed: number): Random {
  let state = seed | 0 || 1;

  function next(): number {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  }

  const between = (min: number, max: number): number => min + Math.floor(next() * (max - min + 1));
  // The first numbers of small seeds are small.
  for (let i = 0; i < 10; i++) next();
  return { next, between, pick: (items) => items[between(0, items.length - 1)] as (typeof items)[number] };
}
