/** A model's limit, shared out to workers of several processes. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Store } from '../../src/engine/ports.ts';
import type { ModelDemand, ModelSlots } from '../../src/engine/run/model-share.ts';
import { passTime } from '../helpers/pass-time.ts';
import { usePostgres } from '../helpers/postgres.ts';
import { T0 } from '../helpers/store-fixtures.ts';

const postgres = usePostgres();

const demand = (held = 0, limit = 10, model = 'm'): ModelDemand => ({ model, limit, held });

async function slotsOf(store: Store, worker: string, ...demands: ModelDemand[]): Promise<ModelSlots[]> {
  return [...(await store.renewLease(worker, demands)).slots];
}

/** As if the worker had not been heard of for long enough. */
async function die(worker: string): Promise<void> {
  await postgres.query(`update workers set alive_until = now() - interval '1 ms' where id = '${worker}'`);
}

async function setAside(): Promise<number> {
  const [row] = await postgres.query<{ sum: string | null }>('select sum(slots) as sum from model_slots');
  return Number(row?.sum ?? 0);
}

describe('the slots of a model', () => {
  it('go over to a worker that joins as soon as the one that has them holds less', async () => {
    const store = await postgres.openEmpty();
    expect(await slotsOf(store, 'a', demand())).toMatchObject([{ slots: 10 }]);
    expect(await slotsOf(store, 'b', demand())).toMatchObject([{ slots: 0, share: 5 }]);
    // It may have filled all ten by the time that it hears of it.
    expect(await slotsOf(store, 'a', demand(10))).toMatchObject([{ slots: 5 }]);
    expect(await slotsOf(store, 'b', demand())).toMatchObject([{ slots: 0 }]);
    expect(await slotsOf(store, 'a', demand(7))).toMatchObject([{ slots: 5 }]);
    expect(await slotsOf(store, 'b', demand())).toMatchObject([{ slots: 3 }]);
    await slotsOf(store, 'a', demand(5));
    expect(await slotsOf(store, 'b', demand(3))).toMatchObject([{ slots: 5 }]);
  });

  it('are free when the lease of their worker ends, and not before', async () => {
    const store = await postgres.openEmpty();
    for (const worker of ['a', 'b', 'c']) await slotsOf(store, worker, demand(0, 2));
    await slotsOf(store, 'a', demand(1, 2));
    expect(await slotsOf(store, 'b', demand(0, 2))).toMatchObject([{ slots: 1 }]);
    expect(await slotsOf(store, 'c', demand(0, 2))).toMatchObject([{ slots: 0, share: 0 }]);
    await store.releaseDeadLeases(T0);
    expect(await slotsOf(store, 'c', demand(0, 2))).toMatchObject([{ slots: 0 }]);
    await die('a');
    expect(await slotsOf(store, 'c', demand(0, 2))).toMatchObject([{ slots: 1, share: 1 }]);
  });

  it('are not those any more of a worker that comes back after others took them', async () => {
    const store = await postgres.openEmpty();
    await slotsOf(store, 'a', demand());
    await die('a');
    expect(await slotsOf(store, 'b', demand())).toMatchObject([{ slots: 10 }]);
    expect(await slotsOf(store, 'a', demand(10))).toMatchObject([{ slots: 0, share: 5 }]);
  });

  it('are still those of a worker that comes back before anybody asked', async () => {
    const store = await postgres.openEmpty();
    await slotsOf(store, 'a', demand());
    await die('a');
    expect(await slotsOf(store, 'a', demand(4))).toMatchObject([{ slots: 10 }]);
  });

  it('are left by a worker that does not ask for them, and go with its lease', async () => {
    const store = await postgres.openEmpty();
    await slotsOf(store, 'a', demand(), demand(0, 4, 'n'));
    await slotsOf(store, 'a', demand(0, 4, 'n'));
    expect(await slotsOf(store, 'b', demand(), demand(0, 4, 'n'))).toMatchObject([
      { model: 'm', slots: 10 },
      { model: 'n', slots: 0 },
    ]);
    await store.renewLease('a', []);
    expect(await slotsOf(store, 'b', demand(10), demand(0, 4, 'n'))).toMatchObject([{}, { slots: 4 }]);
    await die('b');
    passTime()(10_000);
    await store.releaseDeadLeases(T0);
    expect(await postgres.query('select from model_slots')).toEqual([]);
  });

  it('keep to the smallest limit where workers were given different ones', async () => {
    const store = await postgres.openEmpty();
    await slotsOf(store, 'a', demand(0, 10));
    expect(await slotsOf(store, 'b', demand(0, 4))).toMatchObject([{ slots: 0, share: 2 }]);
    expect(await slotsOf(store, 'a', demand(10, 10))).toMatchObject([{ slots: 2, share: 2 }]);
    await slotsOf(store, 'a', demand(2, 10));
    expect(await slotsOf(store, 'b', demand(0, 4))).toMatchObject([{ slots: 2 }]);
  });

  it('are never more than the limit where many workers join at the same moment', async () => {
    const store = await postgres.openEmpty();
    const workers = Array.from({ length: 12 }, (_, i) => `w${i}`);
    const slots = await Promise.all(
      workers.map((worker) => slotsOf(store, worker, demand(0, 50), demand(0, 7, 'n'))),
    );
    for (const model of ['m', 'n']) {
      const granted = slots.flat().filter((granted) => granted.model === model);
      const sum = granted.reduce((total, { slots: count }) => total + count, 0);
      expect(sum).toBeLessThanOrEqual(model === 'm' ? 50 : 7);
    }
    expect(await setAside()).toBeLessThanOrEqual(57);
  });
});

const LIMIT = 7;

/** A worker as it sees itself. */
interface Walker {
  readonly name: string;
  slots: number;
  inFlight: number;
}

/** What workers do, in any order; `n` chooses who, and how much. */
const STEPS: Readonly<Record<string, (workers: Walker[], store: Store, n: number) => Promise<void>>> = {
  async join(workers, store, n) {
    if (workers.length === 4) return;
    const worker = { name: `w${n}-${workers.length}`, slots: 0, inFlight: 0 };
    if (workers.some(({ name }) => name === worker.name)) return;
    workers.push(worker);
    await renew(worker, store);
  },
  async renew(workers, store, n) {
    const worker = workers[n % workers.length];
    if (worker !== undefined) await renew(worker, store);
  },
  async renewTogether(workers, store) {
    await Promise.all(workers.map((worker) => renew(worker, store)));
  },
  async send(workers, _store, n) {
    const worker = workers[n % workers.length];
    if (worker !== undefined) worker.inFlight = Math.max(worker.inFlight, worker.slots);
  },
  async land(workers, _store, n) {
    const worker = workers[n % workers.length];
    if (worker !== undefined) worker.inFlight = Math.min(worker.inFlight, n % 3);
  },
  async die(workers, _store, n) {
    const [dead] = workers.splice(n % Math.max(1, workers.length), 1);
    if (dead !== undefined) await die(dead.name);
  },
  async leave(workers, store, n) {
    const [gone] = workers.splice(n % Math.max(1, workers.length), 1);
    if (gone !== undefined) await store.renewLease(gone.name, []);
  },
  // It was frozen: its requests have ended, and it has yet to hear what it may send.
  async freeze(workers, _store, n) {
    const worker = workers[n % workers.length];
    if (worker === undefined) return;
    await die(worker.name);
    worker.slots = 0;
    worker.inFlight = 0;
  },
};

async function renew(worker: Walker, store: Store): Promise<void> {
  const held = Math.max(worker.slots, worker.inFlight);
  const renewing = store.renewLease(worker.name, [demand(held, LIMIT)]);
  // As much as it can send until it hears of the answer.
  worker.inFlight = held;
  worker.slots = (await renewing).slots[0]?.slots ?? 0;
}

describe('however workers come, go, freeze and ask', () => {
  it('no more requests of a model can be in flight than its limit, and all slots are used in the end', async () => {
    const store = await postgres.openEmpty();
    const step = fc.tuple(fc.constantFrom(...Object.keys(STEPS), 'renew', 'renew', 'join'), fc.nat(999));
    const walk = fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), async (steps) => {
      await postgres.query('delete from workers');
      const workers: Walker[] = [];
      for (const [name, n] of steps) {
        await STEPS[name]?.(workers, store, n);
        const atMost = workers.map(({ slots, inFlight }) => Math.max(slots, inFlight));
        expect(
          atMost.reduce((sum, count) => sum + count, 0),
          name,
        ).toBeLessThanOrEqual(LIMIT);
      }
      for (const worker of workers) worker.inFlight = 0;
      // All are known after the first round, have heard their shares after the second, and have given the rest back after the third.
      for (let round = 0; round < 4; round++) {
        for (const worker of workers) {
          await renew(worker, store);
          worker.inFlight = 0;
        }
      }
      const slots = workers.map((worker) => worker.slots);
      if (workers.length > 0) expect(slots.reduce((sum, count) => sum + count, 0)).toBe(LIMIT);
      expect(Math.max(0, ...slots) - Math.min(...slots, Infinity)).toBeLessThanOrEqual(1);
    });
    await fc.assert(walk, { numRuns: 25 });
  }, 60_000);
});
