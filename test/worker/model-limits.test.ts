import { describe, expect, it, vi } from 'vitest';
import type { WorkerLease } from '../../src/engine/index.ts';
import { createModelLimits } from '../../src/worker/model-limits.ts';
import type { LimitedModel } from '../../src/worker/model-limits.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';

function setUp() {
  const clock = createFakeClock();
  const onExpired = vi.fn<() => void>();
  const limits = createModelLimits({
    clock,
    limits: new Map([
      ['a', 8],
      ['b', 4],
    ]),
    onExpired,
  });
  const find = (model: string) => limits.find(model) as LimitedModel;
  const lease = (a: number, b: number, validMs = 30_000): WorkerLease => ({
    validMs,
    isNew: false,
    slots: [
      { model: 'a', slots: a, share: a },
      { model: 'b', slots: b, share: b },
    ],
  });
  const grant = (granted: WorkerLease, sentAt = clock.monotonic()) =>
    limits.grant(granted, limits.demands(), sentAt);
  return { clock, onExpired, limits, find, lease, grant };
}

describe('models with a limit', () => {
  it('have no slots before the first lease, then as many as that says', () => {
    const { limits, find, grant, lease } = setUp();
    expect(limits.hasRoom(find('a'))).toBe(false);
    grant(lease(2, 0));
    expect([limits.hasRoom(find('a')), limits.hasRoom(find('b'))]).toEqual([true, false]);
    find('a').inFlight = 2;
    expect(limits.hasRoom(find('a'))).toBe(false);
    expect(limits.find('other')).toBeNull();
  });

  it('have none once the lease is too old, by the time at which it was asked for; their requests must end', () => {
    const { clock, limits, find, grant, lease, onExpired } = setUp();
    const sentAt = clock.monotonic();
    clock.advance(20_000);
    grant(lease(2, 2), sentAt);
    clock.advance(7999);
    expect(limits.hasRoom(find('a'))).toBe(true);
    clock.advance(1);
    expect(limits.hasRoom(find('a'))).toBe(false);
    expect([limits.mayGoOn('a'), limits.mayGoOn('other')]).toEqual([false, true]);
    expect(onExpired).toHaveBeenCalledTimes(1);
    find('a').inFlight = 1;
    expect(limits.demands()).toEqual([
      { model: 'a', limit: 8, held: 1 },
      { model: 'b', limit: 4, held: 0 },
    ]);
    grant(lease(2, 2));
    expect(limits.hasRoom(find('a'))).toBe(true);
    clock.advance(27_000);
    grant(lease(2, 2));
    clock.advance(27_000);
    expect(onExpired).toHaveBeenCalledTimes(1);
  });

  it('have none where the process was frozen, before any timer of it has fired', () => {
    const { clock, limits, find, grant, lease } = setUp();
    grant(lease(2, 2));
    const now = vi.spyOn(clock, 'monotonic').mockReturnValue(60_000);
    expect(limits.hasRoom(find('a'))).toBe(false);
    expect(limits.mayGoOn('a')).toBe(false);
    now.mockRestore();
  });

  it('keep their slots for ever where nobody else can take them', () => {
    const { clock, limits, find, grant, lease } = setUp();
    grant(lease(8, 4, Infinity));
    clock.advance(86_400_000);
    expect(limits.hasRoom(find('a'))).toBe(true);
    expect(clock.timers).toBe(0);
  });

  it('let no line go that waited in a slot which is another worker’s by now', () => {
    const { limits, find, grant, lease } = setUp();
    grant(lease(2, 2));
    find('a').inFlight = 2;
    expect(limits.mayGoOn('a')).toBe(true);
    grant(lease(1, 2));
    expect(limits.mayGoOn('a')).toBe(false);
  });

  it('are asked for again soon while there are slots to come or to give back', () => {
    const { find, grant, lease } = setUp();
    const few: WorkerLease = { validMs: 30_000, isNew: false, slots: [{ model: 'a', slots: 2, share: 4 }] };
    expect(grant(few)).toBe(true);
    expect(grant(lease(4, 2))).toBe(false);
    expect(grant(lease(3, 2))).toBe(true);
    expect(grant(lease(3, 2))).toBe(false);
    find('b').inFlight = 3;
    expect(grant(lease(3, 2))).toBe(true);
  });

  it('have enough lines with twice as many as slots; what is beyond is surplus', () => {
    const { limits, find, grant, lease } = setUp();
    grant(lease(2, 1));
    limits.addReady(find('a'), 10);
    limits.addReady(find('b'), 1);
    expect(limits.surplus()).toBe(6);
    expect(limits.surplus((model) => model === 'b')).toBe(0);
    expect([limits.hasEnough(find('a')), limits.hasEnough(find('b'))]).toEqual([true, false]);
    expect(limits.shortages).toBe(0);
    limits.addReady(find('a'), -6);
    expect([limits.surplus(), limits.shortages]).toEqual([0, 0]);
    limits.addReady(find('a'), -1);
    limits.addReady(find('a'), -1);
    expect([limits.surplus(), limits.shortages]).toEqual([0, 1]);
    grant(lease(0, 0));
    expect(limits.surplus()).toBe(3);
  });

  it('have room for a chunk a slot and one more, and for none without slots', () => {
    const { limits, grant, lease } = setUp();
    grant(lease(3, 0));
    expect([...limits.claimRoom(new Map([['a', 1]]))]).toEqual([
      ['a', 3],
      ['b', 0],
    ]);
    expect(limits.claimRoom(new Map([['a', 9]])).get('a')).toBe(0);
  });

  it('are without slots where others have them all and nothing is in flight, not where the lease is too old', () => {
    const { clock, limits, find, grant, lease } = setUp();
    const without = () => limits.withoutSlots().map(({ model }) => model);
    expect(without()).toEqual([]);
    grant(lease(2, 0));
    expect(without()).toEqual(['b']);
    find('b').inFlight = 1;
    expect(without()).toEqual([]);
    clock.advance(30_000);
    find('b').inFlight = 0;
    expect(without()).toEqual([]);
  });
});
