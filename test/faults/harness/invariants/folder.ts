/**
 * Invariants 3 and 6: after the janitor there is no blob without a row, no row without a blob, and no leftover; and the
 * database passes its integrity check.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { waitFor } from '../wait.ts';
import type { World } from '../world.ts';

/** How long the janitor, which runs at each start, may take. */
const JANITOR_MS = 5000;

export async function checkFolder({ dataDir }: World): Promise<string[]> {
  const db = new Database(join(dataDir, 'database.db'), { readonly: true });
  try {
    let violations: string[] = [];
    const tidy = async (): Promise<boolean> => {
      violations = await findLeftovers(dataDir, db);
      return violations.length === 0;
    };
    await waitFor('the folder is tidy', tidy, JANITOR_MS).catch(() => {});
    const integrity = db.pragma('integrity_check', { simple: true });
    if (integrity !== 'ok') violations.push(`the database is damaged: ${String(integrity)}`);
    return violations;
  } finally {
    db.close();
  }
}

async function findLeftovers(dataDir: string, db: Database.Database): Promise<string[]> {
  const named = db.prepare('select blob_key from files union select blob_key from upload_parts');
  const rows = new Set(named.pluck().all() as string[]);
  const live = new Set(
    db
      .prepare("select id from batches where status not in ('completed', 'failed', 'expired', 'cancelled')")
      .pluck()
      .all() as string[],
  );
  const violations: string[] = [];
  for (const name of await readdir(join(dataDir, 'blobs'), { recursive: true })) {
    const key = /[0-9a-f]{64}$/.exec(name)?.[0];
    if (key !== undefined && !rows.delete(key)) violations.push(`the blob ${name} has no row`);
  }
  for (const key of rows) violations.push(`the row of a file or a part has no blob ${key}`);
  for (const name of await readdir(join(dataDir, 'tmp'))) violations.push(`tmp/${name} was left`);
  for (const name of await readdir(join(dataDir, 'results'))) {
    if (!live.has(name.replace('.log', ''))) violations.push(`results/${name} of an ended batch was left`);
  }
  const endedParts = db
    .prepare(
      'select count(*) from uploads u join upload_parts p on p.upload = u.seq where u.ended_at is not null',
    )
    .pluck()
    .get() as number;
  if (endedParts > 0) violations.push(`${endedParts} parts of ended uploads are left`);
  for (const table of ['chunks', 'segments']) {
    const count = db.prepare(`select count(*) from ${table}`).pluck().get() as number;
    if (live.size === 0 && count > 0) violations.push(`${count} rows of ended batches are left in ${table}`);
  }
  return violations;
}
