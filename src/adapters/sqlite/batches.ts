import type { Database } from 'better-sqlite3';
import { canTransition, isTerminal } from '../../engine/batches/batch.ts';
import type { Batch, BatchFormat, BatchStatus } from '../../engine/batches/batch.ts';
import type { NewEvent } from '../../engine/webhooks/event.ts';
import type { Inserted, OwnerLimits } from '../../engine/owners/owner.ts';
import type { CancelResult, Store } from '../../engine/ports.ts';
import type { BatchReader } from './batch-reader.ts';
import type { InsertEvent } from './events.ts';
import type { Room } from './owner-usage.ts';
import { fromList } from '../sql/rows.ts';
import { transaction } from './transaction.ts';

export type BatchVerbs = Pick<
  Store,
  'createBatch' | 'getBatch' | 'listBatches' | 'cancelBatch' | 'isBatchLive' | 'expireBatches'
>;

interface BatchParts {
  readonly reader: BatchReader;
  readonly insertEvent: InsertEvent;
  readonly room: Room;
}

/** What clients do with batches, and what needs no lease. */
export function createBatchVerbs(db: Database, { reader, insertEvent, room }: BatchParts): BatchVerbs {
  const create = createCreateBatch(db, { insertEvent, room });
  const cancel = createCancelBatch(db, reader);
  const find = db
    .prepare<[string, string], number>('select seq from batches where id = ? and owner = ?')
    .pluck();
  const getStatus = db.prepare<[string], BatchStatus>('select status from batches where id = ?').pluck();
  const expire = db.prepare<[number, number]>(`
    update batches
    set status = 'finalizing', ending = 'expired', finalizing_at = max(?, in_progress_at)
    where status = 'in_progress' and expires_at <= ?
  `);

  return {
    createBatch: async (batch, event, limits) => create(batch, event, limits),
    getBatch: async (owner, id) => {
      const seq = find.get(id, owner);
      return seq === undefined ? null : reader.read(seq);
    },
    listBatches: createListBatches(db, reader),
    cancelBatch: async (owner, id, now) => cancel(owner, id, now),
    isBatchLive: async (batchId) => {
      const status = getStatus.get(batchId);
      return status !== undefined && !isTerminal(status);
    },
    expireBatches: async (now) => expire.run(now, now).changes,
  };
}

/** Inserts a batch and its event, where its owner has room for it. */
export type CreateBatch = (batch: Batch, event: NewEvent, limits: OwnerLimits | undefined) => Inserted;

export function createCreateBatch(
  db: Database,
  { insertEvent, room }: Omit<BatchParts, 'reader'>,
): CreateBatch {
  const insert = db.prepare(`
    insert into batches (
      id, owner, endpoint, input_file_id, completion_window, status, metadata, priority, webhook_url,
      output_expires_after_seconds, allowed_models, created_at, expires_at, format, total, lines_left
    )
    values (
      :id, :owner, :endpoint, :inputFileId, :completionWindow, 'validating', :metadata, :priority, :webhookUrl,
      :outputExpiresAfterSeconds, :allowedModels, :createdAt, :expiresAt, :format, :total, :total
    )
  `);
  return transaction(db, (batch: Batch, event: NewEvent, limits: OwnerLimits | undefined): Inserted => {
    const over = room.batch(batch.owner, limits, batch.counts.total);
    if (over !== null) return over;
    insert.run({
      id: batch.id,
      owner: batch.owner,
      endpoint: batch.endpoint,
      inputFileId: batch.inputFileId,
      completionWindow: batch.completionWindow,
      metadata: batch.metadata === null ? null : JSON.stringify(batch.metadata),
      priority: batch.priority,
      webhookUrl: batch.webhookUrl,
      outputExpiresAfterSeconds: batch.outputExpiresAfterSeconds,
      allowedModels: fromList(batch.allowedModels),
      createdAt: batch.createdAt,
      expiresAt: batch.expiresAt,
      format: batch.format,
      total: batch.counts.total,
    });
    insertEvent(event);
    return { kind: 'ok' };
  });
}

/** A place in the list of an owner's batches. */
export interface Cursor {
  readonly created_at: number;
  readonly seq: number;
}

const AFTER_ALL: Cursor = { created_at: Number.MAX_SAFE_INTEGER, seq: Number.MAX_SAFE_INTEGER };

/** Where a batch stands in the list; undefined where it is unknown, another owner's or of another format. */
export function createFindCursor(
  db: Database,
): (id: string, owner: string, format: BatchFormat) => Cursor | undefined {
  const find = db.prepare<[string, string, BatchFormat], Cursor>(
    'select created_at, seq from batches where id = ? and owner = ? and format = ?',
  );
  return (id, owner, format) => find.get(id, owner, format);
}

function createListBatches(db: Database, reader: BatchReader): Store['listBatches'] {
  const find = createFindCursor(db);
  const newestFirst = db
    .prepare<[string, BatchFormat, number, number, number], number>(
      `
      select seq
      from batches
      where owner = ? and format = ? and (created_at, seq) < (?, ?)
      order by created_at desc, seq desc
      limit ?
      `,
    )
    .pluck();

  return async (owner, after, limit, format = 'openai') => {
    const cursor = after === undefined ? AFTER_ALL : find(after, owner, format);
    if (cursor === undefined) return null;
    const seqs = newestFirst.all(owner, format, cursor.created_at, cursor.seq, limit + 1);
    return { data: seqs.slice(0, limit).map((seq) => reader.read(seq)), hasMore: seqs.length > limit };
  };
}

function createCancelBatch(
  db: Database,
  reader: BatchReader,
): (owner: string, id: string, now: number) => CancelResult {
  const find = db.prepare<[string, string], { readonly seq: number; readonly status: BatchStatus }>(
    'select seq, status from batches where id = ? and owner = ?',
  );
  const cancel = db.prepare<[number, number]>(
    `
      update batches
      set status = 'cancelling', cancelling_at = max(?, created_at, coalesce(in_progress_at, 0))
      where seq = ?
    `,
  );
  return transaction(db, (owner: string, id: string, now: number): CancelResult => {
    const found = find.get(id, owner);
    if (found === undefined) return { kind: 'missing' };
    const { seq, status } = found;
    const changed = canTransition(status, 'cancelling');
    if (!changed && status !== 'cancelling' && status !== 'cancelled') return { kind: 'refused', status };
    if (changed) cancel.run(now, seq);
    return { kind: 'ok', batch: reader.read(seq), changed };
  });
}
