import { isTerminal } from '../../engine/batches/batch.ts';
import type { Batch, BatchStatus } from '../../engine/batches/batch.ts';
import type {
  BatchSubmission,
  DeleteBatchResult,
  RememberedSubmission,
  SecondChancesStore,
  SubmitResult,
} from '../../engine/ports.ts';
import { createBatch, holdInput } from './batches.ts';
import type { Database, Sql } from './database.ts';
import { insertFile } from './files.ts';
import { refuseBytes } from './owner-usage.ts';

/** Removal of batches, and creates that may be repeated. */
export function createSecondChanceVerbs(db: Database): SecondChancesStore {
  return {
    deleteBatch: (owner, id) => db.transaction((sql) => deleteBatch(sql, owner, id)),
    submitBatch: (submission) => db.transaction((sql) => submitBatch(sql, submission)),
    findSubmission: (owner, key, forgetUntil) => findSubmission(db, owner, key, forgetUntil),
    forgetSubmissions: (until) =>
      db.transaction((sql) => sql.run('delete from idempotency_keys where created_at <= $1', until)),
  };
}

async function deleteBatch(sql: Sql, owner: string, id: string): Promise<DeleteBatchResult> {
  const found = await sql.get<{ readonly seq: number; readonly status: BatchStatus }>(
    'select seq, status from batches where id = $1 and owner = $2 for update',
    id,
    owner,
  );
  if (found === undefined) return { kind: 'missing' };
  if (!isTerminal(found.status)) return { kind: 'live', status: found.status };
  await sql.run(
    `
    delete from events
    where batch_id = $1
      and not exists (select 1 from deliveries d where d.event = events.seq and d.state = 'pending')
    `,
    id,
  );
  await sql.run('delete from batches where seq = $1', found.seq);
  return { kind: 'deleted' };
}

async function findSubmission(
  sql: Sql,
  owner: string,
  key: string,
  forgetUntil: number,
): Promise<RememberedSubmission | null> {
  const row = await sql.get<{ readonly fingerprint: string; readonly batch: string }>(
    `
    select fingerprint, batch
    from idempotency_keys
    where owner = $1 and key = $2 and created_at > $3
    `,
    owner,
    key,
    forgetUntil,
  );
  return row === undefined ? null : { fingerprint: row.fingerprint, batch: JSON.parse(row.batch) as Batch };
}

async function submitBatch(sql: Sql, submission: BatchSubmission): Promise<SubmitResult> {
  const { batch, event, inputFile, once, forgetUntil, limits } = submission;
  const { owner, createdAt } = batch;
  if (once !== null) {
    // Of several requests with one key that come at once all but the first wait here until it is known what that came to.
    await sql.run('select pg_advisory_xact_lock(hashtextextended($1, 0))', `${owner} ${once.key}`);
    const remembered = await findSubmission(sql, owner, once.key, forgetUntil);
    if (remembered !== null) return { kind: 'known', remembered };
  }
  if (inputFile === null) await holdInput(sql, batch);
  const over = await refuseBytes(sql, owner, limits, inputFile?.blob.bytes ?? 0);
  if (over !== null) return over;
  const inserted = await createBatch(sql, batch, event, limits);
  if (inserted.kind === 'over_limit') return inserted;
  if (inputFile !== null) await insertFile(sql, inputFile);
  if (once !== null) {
    // A key that is there all the same is forgotten: it was not found.
    await sql.run(
      `
      insert into idempotency_keys (owner, key, fingerprint, batch, created_at)
      values ($1, $2, $3, $4, $5)
      on conflict (owner, key) do update set
        fingerprint = excluded.fingerprint, batch = excluded.batch, created_at = excluded.created_at
      `,
      owner,
      once.key,
      once.fingerprint,
      JSON.stringify(batch),
      createdAt,
    );
  }
  return { kind: 'created' };
}
