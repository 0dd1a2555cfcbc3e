/** Random walks over two stores. */
import fc from 'fast-check';
import { it } from 'vitest';
import { createMemoryStore } from '../../../src/adapters/memory/store.ts';
import type { Store } from '../../../src/engine/ports.ts';
import { BATCH_ACTIONS, CHUNK_ACTIONS, SECOND_CHANCES } from './batch-actions.ts';
import { FILE_ACTIONS, UPLOAD_ACTIONS } from './file-actions.ts';
import { KEY_ACTIONS } from './key-actions.ts';
import { DELIVERY_ACTIONS, ENDPOINT_ACTIONS } from './webhook-actions.ts';
import { createWorld, observe } from './world.ts';

const ACTIONS = {
  ...BATCH_ACTIONS,
  ...CHUNK_ACTIONS,
  ...UPLOAD_ACTIONS,
  ...DELIVERY_ACTIONS,
  ...FILE_ACTIONS,
  ...KEY_ACTIONS,
  ...SECOND_CHANCES,
  ...ENDPOINT_ACTIONS,
};

/** The straight line of a batch's life, drawn more often, so that many batches get to its end. */
const STRAIGHT = ['create', 'claimStep', 'start', 'claim', 'commit', 'commit', 'finish'];
const DRAWN = [...Object.keys(ACTIONS), ...STRAIGHT, ...STRAIGHT, ...STRAIGHT, ...STRAIGHT];

/** That a store answers as the one in memory does, whatever both are told. `openStore` answers an empty one. */
export function describeAgreement(
  name: string,
  openStore: () => Store | Promise<Store>,
  { numRuns }: { readonly numRuns: number },
): void {
  const action = fc.tuple(fc.constantFrom(...DRAWN), fc.nat(999), fc.nat(999));
  const actions = fc.array(action, { minLength: 50, maxLength: 200, size: 'max' });
  it(`${name} and the store in memory answer alike, whatever they are told`, async () => {
    const property = fc.asyncProperty(actions, async (drawn) => {
      const stores = [createMemoryStore(), await openStore()] as const;
      const world = createWorld(stores);
      try {
        for (const [verb, n, m] of drawn) {
          await ACTIONS[verb]?.(world, n, m);
          await world.both((store) => observe(store, world));
        }
      } finally {
        for (const store of stores) await store.close();
      }
    });
    await fc.assert(property, { numRuns });
  }, 60_000);
}
