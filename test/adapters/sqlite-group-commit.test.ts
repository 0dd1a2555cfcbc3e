import { statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createCommitGroup } from '../../src/adapters/sqlite/group-commit.ts';
import { openSqliteStore } from '../../src/adapters/sqlite/index.ts';
import { openDatabase } from '../../src/adapters/sqlite/open.ts';
import { transaction } from '../../src/adapters/sqlite/transaction.ts';
import { aFile } from '../helpers/store-fixtures.ts';

async function open() {
  const folder = await mkdtemp(join(tmpdir(), 'anyllm-sqlite-'));
  const path = join(folder, 'database.db');
  const db = openDatabase(path);
  onTestFinished(async () => {
    db.close();
    await rm(folder, { recursive: true });
  });
  db.exec('create table numbers (n integer primary key) strict');
  const insert = db.prepare<[number]>('insert into numbers values (?)');
  const insertAll = transaction(db, (...numbers: number[]) => {
    for (const n of numbers) insert.run(n);
  });
  const group = createCommitGroup(db);
  const verbs = group.join({
    insert: vi.fn(async (...numbers: number[]) => insertAll(...numbers)),
    /** As a full disk does, ends the whole transaction. */
    break: vi.fn(async () => {
      if (db.inTransaction) db.exec('rollback');
      throw new Error('full');
    }),
  });
  const numbers = () => db.prepare<[], number>('select n from numbers order by n').pluck().all();
  return { db, path, group, verbs, numbers };
}

describe('writes of one turn', () => {
  it('are committed together', async () => {
    const { path, verbs, numbers } = await open();
    const grown = async (work: () => Promise<unknown>): Promise<number> => {
      const before = statSync(`${path}-wal`).size;
      await work();
      return statSync(`${path}-wal`).size - before;
    };
    const together = await grown(() => Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map((n) => verbs.insert(n))));
    const apart = await grown(async () => {
      for (const n of [11, 12, 13, 14, 15, 16, 17, 18]) await verbs.insert(n);
    });
    // The pages of a commit, once instead of eight times.
    expect(apart).toBeGreaterThanOrEqual(8 * together);
    expect(numbers()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 16, 17, 18]);
  });

  it('are settled when they are committed, not before', async () => {
    const { db, verbs } = await open();
    const seen: boolean[] = [];
    await Promise.all([1, 2].map((n) => verbs.insert(n).then(() => seen.push(db.inTransaction))));
    expect(seen).toEqual([false, false]);
  });

  it('do not harm each other: one that throws leaves no trace, and the others are there', async () => {
    const { verbs, numbers } = await open();
    const results = await Promise.allSettled([verbs.insert(1), verbs.insert(2, 3, 1), verbs.insert(4)]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(numbers()).toEqual([1, 4]);
  });

  it('are run again one by one where one of them ends the transaction', async () => {
    const { verbs, numbers } = await open();
    const results = await Promise.allSettled([verbs.insert(1), verbs.break(), verbs.insert(2)]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(numbers()).toEqual([1, 2]);
  });

  it('are run again one by one where their commit fails', async () => {
    const { db, verbs, numbers } = await open();
    db.exec(`
      create table parents (id integer primary key) strict;
      create table children (parent integer references parents (id) deferrable initially deferred) strict;
      create trigger orphan after insert on numbers when new.n = 13
      begin insert into children values (13); end;
    `);
    const results = await Promise.allSettled([verbs.insert(1), verbs.insert(13), verbs.insert(2)]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(numbers()).toEqual([1, 2]);
  });

  it('are committed before the store is closed', async () => {
    const { path, db } = await open();
    const store = openSqliteStore({ path });
    const files = [aFile(), aFile()];
    const inserted = files.map((file) => store.insertFile(file));
    await store.close();
    await Promise.all(inserted);
    expect(db.prepare('select count(*) from files').pluck().get()).toBe(2);
  });
});
