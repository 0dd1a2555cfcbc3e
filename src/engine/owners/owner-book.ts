/** What is set for owners, as each request needs it. */
import { KeyLock } from '../key-lock.ts';
import { limitsInForce, newOwner, OWNER_FIELDS } from './owner.ts';
import type { Owner, OwnerChanges, OwnerLimits } from './owner.ts';
import type { Clock, Store } from '../ports.ts';

/** Each request asks for limits: they are read again after this time, milliseconds. */
const FRESH_MS = 5000;
/** Owners that are remembered at the most; the one that was read first makes room. */
const MAX_REMEMBERED = 10_000;

/** What is set for owners, remembered for some seconds. A change through it holds at once. */
export interface OwnerBook {
  get(name: string): Promise<Owner>;
  /** Those in force. */
  limits(name: string): Promise<OwnerLimits>;
  /** Changes what `changes` names, durably; answers the whole. */
  change(name: string, changes: OwnerChanges): Promise<Owner>;
}

export interface OwnerBookParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly settings: OwnerLimits;
}

/** Builds the book of one engine. */
export function createOwnerBook({ store, clock, settings }: OwnerBookParts): OwnerBook {
  const remembered = new Map<string, { readonly owner: Promise<Owner>; readonly at: number }>();
  /** Of two changes of an owner at once, the one that the store made last is the one that is remembered. */
  const changing = new KeyLock();

  function remember(name: string, owner: Promise<Owner>): void {
    // At the end: the first one is always the one that was read first.
    remembered.delete(name);
    remembered.set(name, { owner, at: clock.monotonic() });
    if (remembered.size > MAX_REMEMBERED) remembered.delete(remembered.keys().next().value ?? '');
  }

  async function read(name: string): Promise<Owner> {
    return (await store.getOwner(name)) ?? newOwner(name);
  }

  async function get(name: string): Promise<Owner> {
    const known = remembered.get(name);
    if (known !== undefined && clock.monotonic() - known.at < FRESH_MS) return await known.owner;
    // The promise, not the answer: a change that comes meanwhile takes its place for good.
    const owner = read(name);
    remember(name, owner);
    try {
      return await owner;
    } catch (error) {
      if (remembered.get(name)?.owner === owner) remembered.delete(name);
      throw error;
    }
  }

  return {
    get,
    limits: async (name) => limitsInForce(await get(name), settings),
    change: (name, changes) =>
      changing.run(name, async () => {
        const given = OWNER_FIELDS.filter((field) => changes[field] !== undefined);
        const set = Object.fromEntries(given.map((field) => [field, changes[field]]));
        const owner =
          given.length === 0 ? await read(name) : await store.putOwner({ ...newOwner(name), ...set }, given);
        remember(name, Promise.resolve(owner));
        return owner;
      }),
  };
}
