import { describe, expect, it } from 'vitest';
import type { Database } from '../../src/adapters/postgres/database.ts';
import { createStepVerbs } from '../../src/adapters/postgres/steps.ts';
import { T0 } from '../helpers/store-fixtures.ts';

/** A database that is away until `answers`; notes how often it was asked. */
function createAwayDatabase() {
  const state = { answers: false, asked: 0 };
  const db = {
    async transaction() {
      state.asked++;
      if (!state.answers) throw new Error('away');
      return null;
    },
  };
  return { state, db: db as unknown as Database };
}

describe('claims of steps that are made at once', () => {
  it('fail together, and the next ones ask again', async () => {
    const { state, db } = createAwayDatabase();
    const { claimBatchStep } = createStepVerbs(db);
    const claimAll = () => Promise.allSettled([1, 2, 3].map(() => claimBatchStep('w', T0)));
    for (const result of await claimAll()) expect(result).toMatchObject({ status: 'rejected' });
    expect(state.asked).toBe(1);
    state.answers = true;
    for (const result of await claimAll()) expect(result).toEqual({ status: 'fulfilled', value: null });
    expect(state.asked).toBe(4);
  });
});
