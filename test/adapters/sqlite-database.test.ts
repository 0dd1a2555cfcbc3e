import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { openSqliteStore } from '../../src/adapters/sqlite/index.ts';
import { readMigrations } from '../../src/adapters/sql/migrations.ts';
import { migrate } from '../../src/adapters/sqlite/migrate.ts';
import { openDatabase } from '../../src/adapters/sqlite/open.ts';
import {
  aFile,
  aSegment,
  chunksOf,
  claim,
  claimStepOf,
  finishOf,
  readBatch,
  startBatch,
  T0,
  wholeSegment,
} from '../helpers/store-fixtures.ts';

const MB = 1024 * 1024;

async function temporaryPath(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'anyllm-sqlite-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return join(folder, 'database.db');
}

function open(path: string) {
  const db = openDatabase(path);
  onTestFinished(() => void db.close());
  return db;
}

describe('a SQLite database', () => {
  it('keeps everything over a reopening', async () => {
    const path = await temporaryPath();
    const first = openSqliteStore({ path });
    const file = aFile();
    await first.insertFile(file);
    const { id } = await startBatch(first, { metadata: { a: 'b' } });
    const [held] = await claim(first);
    if (held === undefined) return expect.unreachable();
    await first.commitSegments([aSegment(held.chunk, [1])], T0);
    const before = await readBatch(first, id);
    await first.close();

    const second = openSqliteStore({ path });
    onTestFinished(() => second.close());
    expect(await second.getFile('ann', file.id, T0)).toEqual(file);
    expect(await readBatch(second, id)).toEqual(before);
    await second.releaseDeadLeases(T0);
    expect([...((await claim(second))[0]?.chunk.done ?? [])]).toEqual([0b10]);
  });

  it('syncs each commit, also after a reopening', async () => {
    const path = await temporaryPath();
    for (let times = 0; times < 2; times++) {
      const db = openDatabase(path);
      expect(db.pragma('journal_mode', { simple: true })).toBe('wal');
      expect(db.pragma('synchronous', { simple: true })).toBe(2);
      expect(db.pragma('foreign_keys', { simple: true })).toBe(1);
      db.close();
    }
  });

  it('of an older version keeps its deliveries, and what they wait for', async () => {
    const path = await temporaryPath();
    const folder = new URL('../../migrations/sqlite/', import.meta.url);
    const older = new Database(path);
    const migrations = readMigrations(folder).filter(({ name }) => name < '0005');
    migrate(older, migrations);
    older.exec(`
      insert into events (id, owner, batch_id, type, created_at)
      values ('evt_1', 'ann', 'batch_1', 'batch.queued', 5);
      insert into deliveries (id, event, url, origin, next_at, attempts, epoch)
      values ('dlv_1', 1, 'https://a.example/', 'batch', 7, 3, 4), ('dlv_2', 1, 'https://b.example/', 'configured', 8, 0, 0);
    `);
    older.close();
    const store = openSqliteStore({ path });
    onTestFinished(() => store.close());
    const fact = { id: 'evt_1', owner: 'ann', type: 'batch.queued', createdAt: 5 };
    const event = { ...fact, batchId: 'batch_1', format: 'openai' };
    expect(await store.claimDeliveries('w', 7, 10)).toEqual([
      { id: 'dlv_1', event, target: { url: 'https://a.example/', origin: 'batch' }, attempts: 3, epoch: 5 },
    ]);
    expect(await store.claimDeliveries('w', 8, 10)).toMatchObject([{ id: 'dlv_2' }]);
  });

  it('tells the events of a version without their formats by their batches', async () => {
    const path = await temporaryPath();
    const folder = new URL('../../migrations/sqlite/', import.meta.url);
    const older = new Database(path);
    migrate(
      older,
      readMigrations(folder).filter(({ name }) => name < '0010'),
    );
    older.exec(`
      insert into batches (id, owner, endpoint, input_file_id, completion_window, status, priority, created_at, expires_at, format)
      values ('batch_a', 'ann', '/v1/messages', 'file-a', '24h', 'failed', 0, 5, 6, 'anthropic'),
        ('batch_b', 'ann', '/v1/responses', 'file-b', '24h', 'failed', 0, 5, 6, 'openai');
      insert into events (id, owner, batch_id, type, created_at)
      values ('evt_a', 'ann', 'batch_a', 'batch.failed', 5), ('evt_b', 'ann', 'batch_b', 'batch.failed', 5);
    `);
    older.close();
    const store = openSqliteStore({ path });
    onTestFinished(() => store.close());
    expect(await store.readBatchEvents('batch_a')).toMatchObject([{ id: 'evt_a', format: 'anthropic' }]);
    expect(await store.readBatchEvents('batch_b')).toMatchObject([{ id: 'evt_b', format: 'openai' }]);
  });

  it('of an older version knows its parts by their bytes', async () => {
    const path = await temporaryPath();
    const folder = new URL('../../migrations/sqlite/', import.meta.url);
    const old = new Database(path);
    migrate(
      old,
      readMigrations(folder).filter(({ name }) => name < '0013'),
    );
    old.exec(`
      insert into uploads (id, owner, filename, purpose, bytes, created_at, expires_at, status, parts, part_bytes)
      values ('upload_a', 'ann', 'a', 'batch', 3, 0, 9, 'pending', 1, 3);
      insert into upload_parts (id, upload, sha256, bytes, created_at) values ('part_a', 1, 'abc', 3, 0);
    `);
    old.close();
    const store = openSqliteStore({ path });
    onTestFinished(() => store.close());
    const blob = { key: 'abc', bytes: 3 };
    const again = { id: 'part_b', uploadId: 'upload_a', blob, sha256: 'abc', createdAt: 1 };
    expect(await store.addUploadPart('ann', again)).toMatchObject({ kind: 'ok', blob });
  });

  it('of an older version counts what its owners use', async () => {
    const path = await temporaryPath();
    const folder = new URL('../../migrations/sqlite/', import.meta.url);
    const old = new Database(path);
    migrate(
      old,
      readMigrations(folder).filter(({ name }) => name < '0011'),
    );
    const file = `insert into files (id, owner, purpose, filename, sha256, bytes, created_at)
      values (?, 'ann', 'batch', 'a', 'a', ?, 0)`;
    old.prepare(file).run('file-a', 100);
    old.prepare(file).run('file-b', 20);
    const upload = `insert into uploads (id, owner, filename, purpose, bytes, created_at, expires_at, status, part_bytes)
      values (?, 'ann', 'a', 'batch', 9, 0, 1, ?, 3)`;
    old.prepare(upload).run('upload_a', 'pending');
    old.prepare(upload).run('upload_b', 'completed');
    const batch = `insert into batches (id, owner, endpoint, input_file_id, completion_window, status, total, priority, created_at,
      expires_at) values (?, 'ann', '/v1/embeddings', 'file-a', '24h', ?, 10, 0, 0, 1)`;
    const { lastInsertRowid } = old.prepare(batch).run('batch_a', 'in_progress');
    old.prepare(batch).run('batch_b', 'completed');
    old
      .prepare(
        `insert into chunks (batch, number, model, line_count, first_line, bytes, done, completed, failed)
        values (?, 0, 'm', 10, 1, 1, x'00', 3, 1)`,
      )
      .run(lastInsertRowid);
    old.close();
    const store = openSqliteStore({ path });
    onTestFinished(() => store.close());
    expect(await store.readOwnerUsage('ann')).toEqual({ storedBytes: 123, queuedLines: 6, liveBatches: 1 });
  });

  it('of a newer version is refused, and left as it is', async () => {
    const path = await temporaryPath();
    openDatabase(path).close();
    const db = new Database(path);
    const columns = db.prepare('select * from migrations').all()[0] as Record<string, unknown>;
    const newer = { ...columns, name: '9999_future.sql' };
    const names = Object.keys(newer);
    db.prepare(
      `insert into migrations (${names.join(', ')}) values (${names.map((name) => `:${name}`).join(', ')})`,
    ).run(newer);
    db.close();
    expect(() => openSqliteStore({ path })).toThrow(/9999_future.*newer|newer.*9999_future/s);
  });

  it('takes a migration whole or not at all', async () => {
    const path = await temporaryPath();
    const db = open(path);
    const broken = {
      name: '0002_broken.sql',
      sql: 'create table half (a integer) strict; create table files (b)',
    };
    const known = db.prepare<[], { name: string }>('select name from migrations').all();
    expect(() => migrate(db, [...known.map(({ name }) => ({ name, sql: '' })), broken])).toThrow(/files/);
    expect(db.prepare("select count(*) as n from sqlite_master where name = 'half'").get()).toEqual({ n: 0 });
    expect(db.prepare('select count(*) as n from migrations').get()).toEqual({ n: known.length });
  });

  it('is no larger after a hundred batches than after ten, and sound', async () => {
    const path = await temporaryPath();
    const store = openSqliteStore({ path });
    const run = async (batches: number): Promise<number> => {
      for (let i = 0; i < batches; i++) {
        const { id } = await startBatch(store, {}, chunksOf(50));
        const chunks = await claim(store);
        await store.commitSegments(
          chunks.map(({ chunk }) => wholeSegment(chunk)),
          T0,
        );
        await store.finishBatch(finishOf(await claimStepOf(store, id), 'completed'));
      }
      await store.purgeEvents(T0 + 1);
      return (await stat(path)).size;
    };
    await run(10);
    const few = await run(1);
    const many = await run(90);
    // A finished batch leaves its row and its entries in a few indexes; its 50 chunks alone would be 10 KB.
    expect(many - few).toBeLessThan(90 * 5000);
    await store.close();
    expect(open(path).pragma('integrity_check', { simple: true })).toBe('ok');
  });

  it('gives the room of a large batch back when it has ended', async () => {
    const path = await temporaryPath();
    const store = openSqliteStore({ path });
    onTestFinished(() => store.close());
    const before = (await stat(path)).size;
    const { id } = await startBatch(store, {}, chunksOf(25_000));
    for (let chunks = await claim(store); chunks.length > 0; chunks = await claim(store)) {
      const segments = chunks.map(({ chunk }) => wholeSegment(chunk));
      await store.commitSegments(segments, T0);
    }
    const during = (await stat(path)).size;
    expect(during).toBeGreaterThan(before + 3 * MB);
    await store.finishBatch(finishOf(await claimStepOf(store, id), 'completed'));
    await vi.waitFor(async () => expect((await stat(path)).size).toBeLessThan(before + 1.1 * MB), 10_000);
    expect(open(path).pragma('integrity_check', { simple: true })).toBe('ok');
  });
});
