import type { Database } from 'better-sqlite3';
import { isTerminal } from '../../engine/batches/batch.ts';
import type { Batch, BatchStatus } from '../../engine/batches/batch.ts';
import type {
  BatchSubmission,
  DeleteBatchResult,
  RememberedSubmission,
  SecondChancesStore,
  SubmitResult,
} from '../../engine/ports.ts';
import type { CreateBatch } from './batches.ts';
import type { InsertFile } from './files.ts';
import type { Room } from './owner-usage.ts';
import { transaction } from './transaction.ts';

interface SecondChanceParts {
  /** Inserts a batch with its event, within the caller's transaction. */
  readonly insertBatch: CreateBatch;
  readonly insertFile: InsertFile;
  readonly room: Room;
}

/** Removal of batches, and creates that may be repeated. */
export function createSecondChanceVerbs(db: Database, parts: SecondChanceParts): SecondChancesStore {
  const deleteBatch = createDeleteBatch(db);
  const find = createFindSubmission(db);
  const submit = createSubmitBatch(db, find, parts);
  const forget = db.prepare<[number]>('delete from idempotency_keys where created_at <= ?');
  return {
    deleteBatch: async (owner, id) => deleteBatch(owner, id),
    submitBatch: async (submission) => submit(submission),
    findSubmission: async (owner, key, forgetUntil) => find(owner, key, forgetUntil),
    forgetSubmissions: async (until) => forget.run(until).changes,
  };
}

function createDeleteBatch(db: Database): (owner: string, id: string) => DeleteBatchResult {
  const find = db.prepare<[string, string], { readonly seq: number; readonly status: BatchStatus }>(
    'select seq, status from batches where id = ? and owner = ?',
  );
  const removeEvents = db.prepare<[string]>(`
    delete from events
    where batch_id = ?
      and not exists (select 1 from deliveries d where d.event = events.seq and d.state = 'pending')
  `);
  const remove = db.prepare<[number]>('delete from batches where seq = ?');
  return transaction(db, (owner: string, id: string): DeleteBatchResult => {
    const found = find.get(id, owner);
    if (found === undefined) return { kind: 'missing' };
    if (!isTerminal(found.status)) return { kind: 'live', status: found.status };
    removeEvents.run(id);
    remove.run(found.seq);
    return { kind: 'deleted' };
  });
}

type FindSubmission = (owner: string, key: string, forgetUntil: number) => RememberedSubmission | null;

function createFindSubmission(db: Database): FindSubmission {
  const find = db.prepare<
    [string, string, number],
    { readonly fingerprint: string; readonly batch: string }
  >(`
    select fingerprint, batch
    from idempotency_keys
    where owner = ? and key = ? and created_at > ?
  `);
  return (owner, key, forgetUntil) => {
    const row = find.get(owner, key, forgetUntil);
    if (row === undefined) return null;
    return { fingerprint: row.fingerprint, batch: JSON.parse(row.batch) as Batch };
  };
}

function createSubmitBatch(
  db: Database,
  find: FindSubmission,
  { insertBatch, insertFile, room }: SecondChanceParts,
): (submission: BatchSubmission) => SubmitResult {
  // A key that is there all the same is forgotten: `find` did not see it.
  const remember = db.prepare<[string, string, string, string, number]>(`
    insert or replace into idempotency_keys (owner, key, fingerprint, batch, created_at)
    values (?, ?, ?, ?, ?)
  `);
  return transaction(db, (submission: BatchSubmission): SubmitResult => {
    const { batch, event, inputFile, once, forgetUntil, limits } = submission;
    const { owner, createdAt } = batch;
    const remembered = once === null ? null : find(owner, once.key, forgetUntil);
    if (remembered !== null) return { kind: 'known', remembered };
    const over = room.bytes(owner, limits, inputFile?.blob.bytes ?? 0);
    if (over !== null) return over;
    const inserted = insertBatch(batch, event, limits);
    if (inserted.kind === 'over_limit') return inserted;
    if (inputFile !== null) insertFile(inputFile);
    if (once !== null) remember.run(owner, once.key, once.fingerprint, JSON.stringify(batch), createdAt);
    return { kind: 'created' };
  });
}
