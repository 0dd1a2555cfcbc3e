import { defineConfig } from 'vitest/config';
import { BaseSequencer } from 'vitest/node';
import type { TestSpecification } from 'vitest/node';

/** The faults take as long as all other tests together, so they must not begin last: a fresh clone has no times to sort by. */
class FaultsFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- not an array
    const sorted = await super.sort(files);
    const isFaults = ({ moduleId }: TestSpecification): boolean => moduleId.includes('/test/faults/');
    return [...sorted.filter(isFaults), ...sorted.filter((file) => !isFaults(file))];
  }
}

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Native modules (better-sqlite3) are safe in worker threads only when no two threads load them
    // with different Node versions; separate processes are simpler and isolate crashes.
    pool: 'forks',
    testTimeout: 20_000,
    hookTimeout: 20_000,
    sequence: { sequencer: FaultsFirst },
  },
});
