import { onTestFinished, it as test } from 'vitest';
import type { Store } from '../../src/engine/ports.ts';

/** Opens an empty store. */
export type OpenStore = () => Store | Promise<Store>;

/** vitest's `it` for a test that is given a store of its own, which is closed after it. */
export type StoreIt = (name: string, run: (context: { readonly store: Store }) => Promise<void>) => void;

/** The tests that `it` defines each open a store with `openStore`. */
export function storeTest(openStore: OpenStore): StoreIt {
  return (name, run) =>
    test(name, async () => {
      const store = await openStore();
      onTestFinished(() => store.close());
      await run({ store });
    });
}
