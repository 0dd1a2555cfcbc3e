import type { Database } from './database.ts';

/** Positions of a slot begin at multiples of this. */
const SLOT_BYTES = 2 ** 40;
/** With more, positions would not be exact as numbers. */
const MAX_SLOTS = 8191;
/** A slot that was not used for so long is forgotten, milliseconds: its batch may have ended elsewhere. */
const FORGOTTEN_AFTER_MS = 3_600_000;

/** Where to append. */
export interface Place {
  readonly log: number;
  readonly position: number;
}

/**
 * Gives out places in result logs. Each process has a slot of each log that it appends to, taken once, so that no two meet and no
 * counter is shared.
 */
export interface ResultSlots {
  /** The place of the next `length` bytes, which nothing else will ever have: also where the bytes then fail to be stored. */
  take(batchId: string, length: number): Promise<Place>;
  /** Forgets the slot (only if it is one of `log`, where that is given): the next place is in the batch's log as it is then. */
  forget(batchId: string, log?: number): void;
}

/** A slot of a log, and the places that are left of it. */
interface Slot {
  readonly log: number;
  next: number;
  readonly end: number;
}

interface Entry {
  readonly slot: Promise<Slot>;
  /** Null until the slot is taken. */
  log: number | null;
  usedAt: number;
}

export function createResultSlots(db: Database): ResultSlots {
  /** The longest unused one first. */
  const entries = new Map<string, Entry>();

  function begin(batchId: string): Entry {
    const entry: Entry = { slot: takeSlot(db, batchId), log: null, usedAt: 0 };
    entry.slot.then(
      ({ log }) => (entry.log = log),
      () => {
        if (entries.get(batchId) === entry) entries.delete(batchId);
      },
    );
    return entry;
  }

  function find(batchId: string): Promise<Slot> {
    const now = performance.now();
    const entry = entries.get(batchId) ?? begin(batchId);
    entry.usedAt = now;
    entries.delete(batchId);
    entries.set(batchId, entry);
    for (const [oldest, { usedAt }] of entries) {
      if (now - usedAt < FORGOTTEN_AFTER_MS) break;
      entries.delete(oldest);
    }
    return entry.slot;
  }

  function forget(batchId: string, log?: number): void {
    if (log === undefined || entries.get(batchId)?.log === log) entries.delete(batchId);
  }

  return {
    async take(batchId, length) {
      for (;;) {
        const slot = await find(batchId);
        const position = slot.next;
        slot.next += length;
        if (slot.next <= slot.end) return { log: slot.log, position };
        forget(batchId, slot.log);
      }
    },
    forget,
  };
}

/** One statement, so that no two processes get the same. Where its answer is lost, a slot stays unused. */
async function takeSlot(db: Database, batchId: string): Promise<Slot> {
  const row = await db.get<{ readonly log: number; readonly slot: number }>(
    `
    insert into result_logs as logs (batch_id) values ($1)
    on conflict (batch_id) where dropped_at is null do update set slots = logs.slots + 1
    returning seq as log, slots - 1 as slot
    `,
    batchId,
  );
  if (row === undefined) throw new Error(`no slot of the result log of ${batchId} was given out`);
  const { log, slot } = row;
  if (slot >= MAX_SLOTS) {
    throw new Error(
      `the result log of ${batchId} has no slot left: ${MAX_SLOTS} processes have appended to it, or one that was started again as often`,
    );
  }
  return { log, next: slot * SLOT_BYTES, end: (slot + 1) * SLOT_BYTES };
}
