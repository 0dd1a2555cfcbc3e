/** Tells listeners how a batch goes on. */
import { isTerminal } from './batch.ts';
import type { Batch } from './batch.ts';
import { getBatch } from './batches.ts';
import type { EngineContext } from '../context.ts';
import { eventBody } from '../webhooks/deliver.ts';
import type { EventRecord, EventType } from '../webhooks/event.ts';

/** A watched batch is looked at this often: as often as its progress is told of, at the most. Milliseconds. */
const LOOK_INTERVAL_MS = 500;
/** So many batches are looked at each time, in turn: listeners cost a bounded share of the service, however many there are. */
const LOOKS_AT_A_TIME = 50;

export type BatchNews =
  /** `body` is what a webhook of the event would carry, as JSON. */
  | { readonly kind: 'event'; readonly id: string; readonly type: EventType; readonly body: string }
  /** Its status or counts have changed. */
  | { readonly kind: 'progress'; readonly batch: Batch }
  /** The batch has ended or is gone, and everything was told. */
  | { readonly kind: 'end' };

export interface WatchRequest {
  readonly owner: string;
  readonly id: string;
  /** The last event that the listener knows; what came after it is told first. Unknown ones are ignored. */
  readonly afterEvent?: string | undefined;
  readonly listener: (news: BatchNews) => void;
}

export interface StartedWatch {
  /** The batch as it was when the watch began. */
  readonly batch: Batch;
  /** What is to be told before the listener hears more. */
  readonly missed: readonly BatchNews[];
  /** True: the batch has ended, and `afterEvent` was its last one. */
  readonly isOver: boolean;
  /** The listener hears nothing more. */
  stop(): void;
}

export interface BatchWatch {
  /** `batch_not_found` as `getBatch`. */
  start(request: WatchRequest): Promise<StartedWatch>;
}

interface Listener {
  readonly tell: (news: BatchNews) => void;
  /** So many of the batch's events it has been told of. */
  told: number;
}

/** A batch that somebody listens to. */
interface Watched {
  readonly owner: string;
  readonly id: string;
  readonly listeners: Set<Listener>;
  /** As it was told last; null: not yet. */
  last: Batch | null;
}

/**
 * Looks at the store rather than at what happens in this process: so nothing is noted a line, a batch may run in another
 * process, and a thousand listeners of one batch cost one look. Nothing is looked at while nobody listens.
 */
export function createBatchWatch(ctx: EngineContext): BatchWatch {
  /** In the order of their turns. */
  const watched = new Map<string, Watched>();
  let isLooking = false;

  function schedule(): void {
    if (isLooking || watched.size === 0) return;
    isLooking = true;
    ctx.clock.after(LOOK_INTERVAL_MS, () => {
      void lookAtSome().finally(() => {
        isLooking = false;
        schedule();
      });
    });
  }

  async function lookAtSome(): Promise<void> {
    for (const batch of [...watched.values()].slice(0, LOOKS_AT_A_TIME)) {
      try {
        await look(batch);
      } catch (error) {
        ctx.log.warn({ err: error, batchId: batch.id }, 'a watched batch cannot be read');
      }
    }
  }

  async function look(entry: Watched): Promise<void> {
    const batch = await ctx.store.getBatch(entry.owner, entry.id);
    // Each event comes with a change of status.
    const events =
      batch === null || batch.status === entry.last?.status ? [] : await ctx.store.readBatchEvents(entry.id);
    for (const listener of entry.listeners) await tellEvents(listener, events);
    if (batch !== null && hasMoved(entry.last, batch)) {
      entry.last = batch;
      for (const { tell } of entry.listeners) tell({ kind: 'progress', batch });
    }
    watched.delete(entry.id);
    if (batch === null || isTerminal(batch.status)) {
      for (const { tell } of entry.listeners) tell({ kind: 'end' });
    } else if (entry.listeners.size > 0) watched.set(entry.id, entry);
  }

  async function tellEvents(listener: Listener, events: readonly EventRecord[]): Promise<void> {
    for (const event of events.slice(listener.told)) {
      listener.told++;
      listener.tell(await newsOf(ctx, event));
    }
  }

  function join(batch: Batch, listener: Listener): () => void {
    let entry = watched.get(batch.id);
    if (entry === undefined) {
      entry = { owner: batch.owner, id: batch.id, listeners: new Set(), last: null };
      watched.set(batch.id, entry);
    }
    const { listeners } = entry;
    listeners.add(listener);
    schedule();
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && watched.get(batch.id)?.listeners === listeners) watched.delete(batch.id);
    };
  }

  return {
    async start({ owner, id, afterEvent, listener }) {
      // The events first: one that comes between the two is told later, and no change is missed.
      const events = await ctx.store.readBatchEvents(id);
      const batch = await getBatch(ctx, owner, id);
      const known = events.findIndex((event) => event.id === afterEvent);
      const unknown = known === -1 ? [] : events.slice(known + 1);
      const missed = await Promise.all(unknown.map((event) => newsOf(ctx, event)));
      if (!isTerminal(batch.status)) {
        const stop = join(batch, { tell: listener, told: events.length });
        return { batch, missed, isOver: false, stop };
      }
      const isOver = known !== -1 && missed.length === 0;
      return { batch, missed: [...missed, { kind: 'end' }], isOver, stop() {} };
    },
  };
}

async function newsOf(ctx: EngineContext, event: EventRecord): Promise<BatchNews> {
  return { kind: 'event', id: event.id, type: event.type, body: await eventBody(ctx, event) };
}

function hasMoved(last: Batch | null, now: Batch): boolean {
  if (last === null || last.status !== now.status) return true;
  const [a, b] = [last.counts, now.counts];
  return a.total !== b.total || a.completed !== b.completed || a.failed !== b.failed;
}
