/** Models that all workers together may send so many requests of at a time: what this one may use of that, and for how long. */
import type { Clock, ModelDemand, WorkerLease } from '../engine/index.ts';
import { leaseEnd } from './lease-end.ts';

/** A model with a limit, as this worker sees it. */
export interface LimitedModel {
  readonly model: string;
  /** Of all workers together. */
  readonly limit: number;
  /** What this worker may have in flight; 0 where its lease is too old. */
  slots: number;
  inFlight: number;
  /** Lines that could be sent if there were slots. */
  ready: number;
}

export interface ModelLimits {
  /** True where any model has a limit. */
  readonly any: boolean;
  /** The model, where it has a limit. */
  find(model: string): LimitedModel | null;
  /** True where another request of the model may be in flight now. */
  hasRoom(limited: LimitedModel): boolean;
  /** True where a line that waited in its slot may be sent: the slot is still this worker's. */
  mayGoOn(model: string): boolean;
  /** Lines of the model became ready or, less than 0, are ready no more. */
  addReady(limited: LimitedModel, lines: number): void;
  /** Ready lines beyond what the slots of their models can use soon; they keep no slot busy. Only of models that `counts` lets through. */
  surplus(counts?: (model: string) => boolean): number;
  /** True where enough of the model's lines are ready for its slots. */
  hasEnough(limited: LimitedModel): boolean;
  /** How often a model no longer had enough lines ready since the start. */
  readonly shortages: number;
  /** How many more chunks of each limited model may be claimed: one a slot and one to go on with, less those `held`, by model. */
  claimRoom(held: ReadonlyMap<string, number>): ReadonlyMap<string, number>;
  /** Models of which this worker has no slot, for others have them all, and no request in flight. */
  withoutSlots(): readonly LimitedModel[];
  /** What to ask for when the lease is renewed. */
  demands(): ModelDemand[];
  /**
   * Takes what was answered to `demands`, asked for at `sentAt` on the monotonic clock. True where it should be asked for again
   * soon: there are slots to come, or to give back.
   */
  grant(lease: WorkerLease, demands: readonly ModelDemand[], sentAt: number): boolean;
  /** Ends the timer. */
  close(): void;
}

/**
 * Slots are valid for as long as the lease that they came with, counted from before it was asked for, so that a process that was
 * frozen sends nothing on slots that others have by now. `onExpired` is told then: requests in flight must end.
 */
export function createModelLimits(options: {
  readonly clock: Clock;
  /** By model. */
  readonly limits: ReadonlyMap<string, number>;
  readonly onExpired: () => void;
}): ModelLimits {
  const { clock, limits, onExpired } = options;
  const models = new Map(
    [...limits].map(([model, limit]): [string, LimitedModel] => [
      model,
      { model, limit, slots: 0, inFlight: 0, ready: 0 },
    ]),
  );
  let validUntil = -Infinity;
  let cancelExpiry = (): void => {};
  let shortages = 0;
  /** Of all models. */
  let surplus = 0;

  function setSlots(limited: LimitedModel, slots: number): void {
    surplus -= surplusOf(limited);
    limited.slots = slots;
    surplus += surplusOf(limited);
  }

  function expire(): void {
    for (const limited of models.values()) setSlots(limited, 0);
    onExpired();
  }

  const isValid = (): boolean => clock.monotonic() < validUntil;

  return {
    any: models.size > 0,
    find: (model) => models.get(model) ?? null,
    hasRoom: (limited) => limited.inFlight < limited.slots && isValid(),
    mayGoOn(model) {
      const limited = models.get(model);
      return limited === undefined || (limited.inFlight <= limited.slots && isValid());
    },
    addReady(limited, lines) {
      const hadEnough = hasEnough(limited);
      surplus -= surplusOf(limited);
      limited.ready += lines;
      surplus += surplusOf(limited);
      if (hadEnough && !hasEnough(limited)) shortages++;
    },
    surplus(counts) {
      if (counts === undefined) return surplus;
      return [...models.values()].reduce(
        (sum, limited) => sum + (counts(limited.model) ? surplusOf(limited) : 0),
        0,
      );
    },
    hasEnough,
    get shortages() {
      return shortages;
    },
    claimRoom(held) {
      const roomOf = ({ model, slots }: LimitedModel) =>
        (slots === 0 ? 0 : slots + 1) - (held.get(model) ?? 0);
      return new Map([...models.values()].map((limited) => [limited.model, Math.max(0, roomOf(limited))]));
    },
    withoutSlots() {
      if (!isValid()) return [];
      return [...models.values()].filter(({ slots, inFlight }) => slots === 0 && inFlight === 0);
    },
    demands: () =>
      [...models.values()].map(({ model, limit, slots, inFlight }) => {
        return { model, limit, held: Math.max(slots, inFlight) };
      }),
    grant({ validMs, slots }, demands, sentAt) {
      if (models.size === 0) return false;
      for (const granted of slots) {
        const limited = models.get(granted.model);
        if (limited !== undefined) setSlots(limited, granted.slots);
      }
      validUntil = leaseEnd(sentAt, validMs);
      cancelExpiry();
      if (validUntil < Infinity) cancelExpiry = clock.after(validUntil - clock.monotonic(), expire);
      const held = new Map(demands.map((demand) => [demand.model, demand.held]));
      return slots.some((granted) => {
        return granted.slots < granted.share || (held.get(granted.model) ?? 0) > granted.slots;
      });
    },
    close: () => cancelExpiry(),
  };
}

/** As many again as can be in flight: so that there are lines to go on with while more are claimed. */
function hasEnough({ ready, slots }: LimitedModel): boolean {
  return ready >= 2 * slots;
}

function surplusOf({ ready, slots }: LimitedModel): number {
  return Math.max(0, ready - 2 * slots);
}

/** No model has a limit. */
export const NO_MODEL_LIMITS: ModelLimits = createModelLimits({
  clock: { now: () => 0, monotonic: () => 0, after: () => () => {} },
  limits: new Map(),
  onExpired() {},
});
