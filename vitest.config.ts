import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/helpers/global-setup.ts'],
    // Native modules (better-sqlite3) are safe in worker threads only when no two threads load them
    // with different Node versions; separate processes are simpler and isolate crashes.
    pool: 'forks',
    testTimeout: 20_000,
    hookTimeout: 20_000,
    // A poll ends when its fact is there; a busy machine may take longer than the usual second to bring it about.
    expect: { poll: { timeout: 10_000 } },
  },
});
