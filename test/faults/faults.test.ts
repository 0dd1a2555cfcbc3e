/** A few tries of every fault; `npm run faults` makes all of them. */
import { describe, expect, it } from 'vitest';
import { catalogue } from './catalogue.ts';
import { runFault } from './harness/fault.ts';
import { missingNeeds } from './harness/needs.ts';

const SEED = 20_261_123;

describe('faults, a few tries each', () => {
  for (const fault of catalogue) {
    const name = `${fault.family}: ${fault.name}`;
    const missing = missingNeeds(fault);
    it.skipIf(missing.length > 0)(
      missing.length > 0 ? `${name} (needs ${missing.join(', ')})` : name,
      async () => {
        const { tries, violations } = await runFault(fault, { quick: true, seed: SEED });
        expect(violations).toEqual([]);
        expect(tries).toBeGreaterThan(0);
      },
      240_000,
    );
  }
});
