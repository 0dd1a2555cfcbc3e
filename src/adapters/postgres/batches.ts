import { canTransition, isTerminal } from '../../engine/batches/batch.ts';
import type { Batch, BatchFormat, BatchStatus } from '../../engine/batches/batch.ts';
import type { Inserted, OwnerLimits } from '../../engine/owners/owner.ts';
import type { Store } from '../../engine/ports.ts';
import type { NewEvent } from '../../engine/webhooks/event.ts';
import { fromList } from '../sql/rows.ts';
import { readBatch, readBatches } from './batch-reader.ts';
import type { Database, Sql } from './database.ts';
import { insertEvent } from './events.ts';
import { giveHint } from './hints.ts';
import { refuseBatch } from './owner-usage.ts';
import { inSlices, SLICE } from './slices.ts';

export type BatchVerbs = Pick<
  Store,
  | 'createBatch'
  | 'getBatch'
  | 'getBatchFormat'
  | 'listBatches'
  | 'listBatchesBefore'
  | 'cancelBatch'
  | 'isBatchLive'
  | 'expireBatches'
>;

/** What clients do with batches, and what needs no lease. */
export function createBatchVerbs(db: Database): BatchVerbs {
  return {
    createBatch: (batch, event, limits) =>
      db.transaction(async (sql) => {
        await holdInput(sql, batch);
        return await createBatch(sql, batch, event, limits);
      }),
    async getBatch(owner, id) {
      const found = await db.get<{ readonly seq: number }>(
        'select seq from batches where id = $1 and owner = $2',
        id,
        owner,
      );
      return found === undefined ? null : ((await readBatches(db, [found.seq]))[0] ?? null);
    },
    async getBatchFormat(owner, id) {
      const found = await db.get<{ readonly format: BatchFormat }>(
        'select format from batches where id = $1 and owner = $2',
        id,
        owner,
      );
      return found?.format ?? null;
    },
    ...createLists(db),
    cancelBatch: (owner, id, now) => db.transaction((sql) => cancelBatch(sql, owner, id, now)),
    async isBatchLive(batchId) {
      const found = await db.get<{ readonly status: BatchStatus }>(
        'select status from batches where id = $1',
        batchId,
      );
      return found !== undefined && !isTerminal(found.status);
    },
    expireBatches: (now) =>
      inSlices(db, (sql) =>
        sql.run(
          `
          update batches
          set status = 'finalizing', ending = 'expired', finalizing_at = greatest($1, in_progress_at)
          where seq in (
            select seq
            from batches
            where status = 'in_progress' and seq in (
              select seq
              from batches
              where status = 'in_progress' and expires_at <= $1
              order by expires_at
              limit $2
            )
            -- In the order in which commits lock them; not beside a claim of their chunks (claims.ts).
            order by seq
            for update
          )
          `,
          now,
          SLICE,
        ),
      ),
  };
}

/**
 * Keeps the batch's input file from being removed before the batch can be seen, within the caller's transaction. Before anything else is
 * locked, as removing does. One that is missing is told when the batch is prepared.
 */
export async function holdInput(sql: Sql, { inputFileId, owner }: Batch): Promise<void> {
  await sql.get('select from files where id = $1 and owner = $2 for key share', inputFileId, owner);
}

/** Inserts a batch and its event where its owner has room for it, within the caller's transaction. */
export async function createBatch(
  sql: Sql,
  batch: Batch,
  event: NewEvent,
  limits: OwnerLimits | undefined,
): Promise<Inserted> {
  const over = await refuseBatch(sql, batch.owner, limits, batch.counts.total);
  if (over !== null) return over;
  await sql.run(
    `
    insert into batches (
      id, owner, endpoint, input_file_id, completion_window, status, metadata, priority, webhook_url,
      output_expires_after_seconds, allowed_models, created_at, expires_at, format, total, lines_left
    )
    values ($1, $2, $3, $4, $5, 'validating', $6, $7, $8, $9, $10, $11, $12, $13, $14, $14)
    `,
    batch.id,
    batch.owner,
    batch.endpoint,
    batch.inputFileId,
    batch.completionWindow,
    batch.metadata === null ? null : JSON.stringify(batch.metadata),
    batch.priority,
    batch.webhookUrl,
    batch.outputExpiresAfterSeconds,
    fromList(batch.allowedModels),
    batch.createdAt,
    batch.expiresAt,
    batch.format,
    batch.counts.total,
  );
  await insertEvent(sql, event);
  await giveHint(sql);
  return { kind: 'ok' };
}

/** A place in the list of an owner's batches. */
interface Cursor {
  readonly created_at: number;
  readonly seq: number;
}

const AFTER_ALL: Cursor = { created_at: Number.MAX_SAFE_INTEGER, seq: Number.MAX_SAFE_INTEGER };

interface SeqRow {
  readonly seq: number;
}

function createLists(db: Database): Pick<Store, 'listBatches' | 'listBatchesBefore'> {
  /** Undefined where it is unknown, another owner's or of another format. */
  const findCursor = (id: string, owner: string, format: BatchFormat) =>
    db.get<Cursor>(
      'select created_at, seq from batches where id = $1 and owner = $2 and format = $3',
      id,
      owner,
      format,
    );
  return {
    async listBatches(owner, after, limit, format = 'openai') {
      const cursor = after === undefined ? AFTER_ALL : await findCursor(after, owner, format);
      if (cursor === undefined) return null;
      const rows = await db.all<SeqRow>(
        `
        select seq
        from batches
        where owner = $1 and format = $2 and (created_at, seq) < ($3, $4)
        order by created_at desc, seq desc
        limit $5
        `,
        owner,
        format,
        cursor.created_at,
        cursor.seq,
        limit + 1,
      );
      return { data: await readBatches(db, seqsOf(rows.slice(0, limit))), hasMore: rows.length > limit };
    },
    async listBatchesBefore(owner, before, limit, format) {
      const cursor = await findCursor(before, owner, format);
      if (cursor === undefined) return null;
      const rows = await db.all<SeqRow>(
        `
        select seq
        from batches
        where owner = $1 and format = $2 and (created_at, seq) > ($3, $4)
        order by created_at, seq
        limit $5
        `,
        owner,
        format,
        cursor.created_at,
        cursor.seq,
        limit + 1,
      );
      const seqs = seqsOf(rows.slice(0, limit).toReversed());
      return { data: await readBatches(db, seqs), hasMore: rows.length > limit };
    },
  };
}

function seqsOf(rows: readonly SeqRow[]): number[] {
  return rows.map(({ seq }) => seq);
}

async function cancelBatch(
  sql: Sql,
  owner: string,
  id: string,
  now: number,
): ReturnType<Store['cancelBatch']> {
  const found = await sql.get<{ readonly seq: number; readonly status: BatchStatus }>(
    'select seq, status from batches where id = $1 and owner = $2 for update',
    id,
    owner,
  );
  if (found === undefined) return { kind: 'missing' };
  const { seq, status } = found;
  const changed = canTransition(status, 'cancelling');
  if (!changed && status !== 'cancelling' && status !== 'cancelled') return { kind: 'refused', status };
  if (changed) {
    await sql.run(
      `
      update batches
      set status = 'cancelling', cancelling_at = greatest($1, created_at, coalesce(in_progress_at, 0))
      where seq = $2
      `,
      now,
      seq,
    );
    await giveHint(sql);
  }
  return { kind: 'ok', batch: await readBatch(sql, seq), changed };
}
