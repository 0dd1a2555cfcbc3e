import { canTransition, checkEnd, isTerminal, NO_USAGE } from '../../../engine/batches/batch.ts';
import type { Batch, BatchFormat } from '../../../engine/batches/batch.ts';
import { newDoneBits } from '../../../engine/run/chunk.ts';
import type { NewChunk } from '../../../engine/run/chunk.ts';
import type { NewEvent } from '../../../engine/webhooks/event.ts';
import { createOwnerTurns, takeNext } from '../../../engine/owners/owner-turns.ts';
import type { OwnerTurns } from '../../../engine/owners/owner-turns.ts';
import type { Fenced, Store } from '../../../engine/ports.ts';
import { insertEvent } from './deliveries.ts';
import { insertFiles, page } from './files.ts';
import { sharesOf } from './owners.ts';
import { refuseBatch, refuseLines } from './owner-usage.ts';
import { findBatch, liveBatch, stepTime } from './state.ts';
import type { BatchState, ChunkState, StoreState } from './state.ts';

export type BatchVerbs = Pick<
  Store,
  'createBatch' | 'getBatch' | 'listBatches' | 'cancelBatch' | 'isBatchLive' | 'expireBatches'
>;

/** Inserts a batch and its event. Throws where the id is taken. */
export function insertBatch(state: StoreState, batch: Batch, event: NewEvent): void {
  if (state.batches.has(batch.id)) throw new Error(`batch ${batch.id} exists already`);
  state.batches.set(batch.id, { batch, input: null, stepWorker: null, stepEpoch: 0, chunks: new Map() });
  insertEvent(state, event);
}

/** An owner's batches of one format, by creation. */
export function oldestFirst(state: StoreState, owner: string, format: BatchFormat): BatchState[] {
  return [...state.batches.values()]
    .filter(({ batch }) => batch.owner === owner && batch.format === format)
    .toSorted((a, b) => a.batch.createdAt - b.batch.createdAt);
}

export function createBatchVerbs(state: StoreState): BatchVerbs {
  return {
    async createBatch(batch, event, limits) {
      const over = refuseBatch(state, batch.owner, batch.counts.total, limits);
      if (over !== null) return over;
      insertBatch(state, batch, event);
      return { kind: 'ok' };
    },
    async getBatch(owner, id) {
      const found = findBatch(state, owner, id);
      return found === undefined ? null : liveBatch(found);
    },
    async listBatches(owner, after, limit, format = 'openai') {
      const newestFirst = oldestFirst(state, owner, format).toReversed();
      const first = newestFirst.findIndex(({ batch }) => batch.id === after) + 1;
      if (after !== undefined && first === 0) return null;
      const { data, hasMore } = page(newestFirst.slice(first), limit);
      return { data: data.map(liveBatch), hasMore };
    },
    async cancelBatch(owner, id, now) {
      const found = findBatch(state, owner, id);
      if (found === undefined) return { kind: 'missing' };
      const { status } = found.batch;
      const changed = canTransition(status, 'cancelling');
      if (!changed && status !== 'cancelling' && status !== 'cancelled') return { kind: 'refused', status };
      if (changed)
        found.batch = { ...found.batch, status: 'cancelling', cancellingAt: stepTime(found.batch, now) };
      return { kind: 'ok', batch: liveBatch(found), changed };
    },
    async isBatchLive(batchId) {
      const found = state.batches.get(batchId);
      return found !== undefined && !isTerminal(found.batch.status);
    },
    async expireBatches(now) {
      const due = [...state.batches.values()].filter(
        ({ batch }) => batch.status === 'in_progress' && batch.expiresAt <= now,
      );
      for (const found of due) {
        found.batch = {
          ...found.batch,
          status: 'finalizing',
          ending: 'expired',
          finalizingAt: stepTime(found.batch, now),
        };
      }
      return due.length;
    },
  };
}

export type StepVerbs = Pick<
  Store,
  'claimBatchStep' | 'releaseBatchStep' | 'startBatch' | 'failBatch' | 'finishBatch'
>;

export function createStepVerbs(state: StoreState): StepVerbs {
  const turns = createOwnerTurns();

  /** The fence of every write of a step: the batch, where its step is held under this very epoch. */
  function findHeld(batchId: string, epoch: number): BatchState | undefined {
    const found = state.batches.get(batchId);
    return found !== undefined && found.stepWorker !== null && found.stepEpoch === epoch ? found : undefined;
  }

  /** Lets go of a `prepare`, and answers its batch where that is still validating. */
  function endPrepare(batchId: string, epoch: number): BatchState | undefined {
    const held = findHeld(batchId, epoch);
    if (held === undefined) return undefined;
    held.stepWorker = null;
    return held.batch.status === 'validating' ? held : undefined;
  }

  return {
    async claimBatchStep(worker) {
      const next = findNextStep(state, turns);
      if (next === undefined) return null;
      next.stepWorker = worker;
      next.stepEpoch++;
      const step = next.batch.status === 'validating' ? 'prepare' : 'finalize';
      return { step, batch: liveBatch(next), input: next.input, epoch: next.stepEpoch };
    },
    async releaseBatchStep(batchId, epoch): Promise<Fenced> {
      const held = findHeld(batchId, epoch);
      if (held === undefined) return 'lost';
      held.stepWorker = null;
      return 'ok';
    },
    async startBatch({ batchId, epoch, now, input, model, chunks, event, limits }) {
      const total = chunks.reduce((sum, chunk) => sum + chunk.lineCount, 0);
      const found = findHeld(batchId, epoch);
      if (found?.batch.status === 'validating') {
        const over = refuseLines(state, found.batch.owner, total, limits);
        if (over !== null) return over;
      }
      const held = endPrepare(batchId, epoch);
      if (held === undefined) return 'lost';
      const counts = { total, completed: 0, failed: 0 };
      held.batch = {
        ...held.batch,
        status: 'in_progress',
        inProgressAt: stepTime(held.batch, now),
        model,
        counts,
      };
      held.input = input;
      held.chunks = new Map(chunks.map((chunk) => [chunk.number, newChunkState(chunk)]));
      insertEvent(state, event);
      return 'ok';
    },
    async failBatch({ batchId, epoch, now, errors, event }) {
      const held = endPrepare(batchId, epoch);
      if (held === undefined) return 'lost';
      held.batch = { ...held.batch, status: 'failed', failedAt: stepTime(held.batch, now), errors };
      insertEvent(state, event);
      return 'ok';
    },
    async finishBatch({ batchId, epoch, now, status, counts, unfinished = 0, outputFile, errorFile, event }) {
      const held = findHeld(batchId, epoch);
      if (held === undefined) return 'lost';
      checkEnd(held.batch, status);
      insertFiles(
        state,
        [outputFile, errorFile].filter((file) => file !== null),
      );
      const at = stepTime(held.batch, now);
      held.batch = {
        ...liveBatch(held),
        status,
        ...{ completed: { completedAt: at }, expired: { expiredAt: at }, cancelled: { cancelledAt: at } }[
          status
        ],
        counts,
        unfinished,
        outputFileId: outputFile?.id ?? null,
        errorFileId: errorFile?.id ?? null,
      };
      held.stepWorker = null;
      held.chunks = new Map();
      insertEvent(state, event);
      return 'ok';
    },
  };
}

function findNextStep(state: StoreState, turns: OwnerTurns): BatchState | undefined {
  const all = [...state.batches.values()];
  const shares = sharesOf(state, all.filter(isStepWaiting), ({ stepWorker }) =>
    stepWorker === null ? 0 : 1,
  );
  const next = takeNext(turns.startRound(shares), (owner) => {
    const [first] = all
      .filter((found) => found.batch.owner === owner && isStepWaiting(found))
      .toSorted((a, b) => byPriority(a.batch, b.batch) || byDeadline(a.batch, b.batch));
    return first ?? null;
  });
  return next ?? undefined;
}

function isStepWaiting({ batch, stepWorker, chunks }: BatchState): boolean {
  if (stepWorker !== null || [...chunks.values()].some(({ worker }) => worker !== null)) return false;
  return ['validating', 'finalizing', 'cancelling'].includes(batch.status);
}

function newChunkState(chunk: NewChunk): ChunkState {
  return {
    chunk,
    worker: null,
    epoch: 0,
    crashes: 0,
    trying: null,
    done: newDoneBits(chunk.lineCount),
    completed: 0,
    failed: 0,
    usage: NO_USAGE,
    segments: [],
  };
}

export function byPriority(a: Batch, b: Batch): number {
  return b.priority - a.priority;
}

export function byDeadline(a: Batch, b: Batch): number {
  return a.expiresAt - b.expiresAt;
}
