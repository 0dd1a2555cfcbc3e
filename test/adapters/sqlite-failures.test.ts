import { rmSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { overwriteFailedCommits, spendReserve } from '../../src/adapters/sqlite/failures.ts';
import { openSqliteStore } from '../../src/adapters/sqlite/index.ts';
import { openDatabase } from '../../src/adapters/sqlite/open.ts';
import { createReserve } from '../../src/adapters/sqlite/reserve.ts';
import type { Store } from '../../src/engine/ports.ts';
import { anApiKey, hashOf, T0 } from '../helpers/store-fixtures.ts';

const MB = 1024 * 1024;

async function temporaryPath(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'anyllm-sqlite-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return join(folder, 'database.db');
}

const full = () => new Database.SqliteError('database or disk is full', 'SQLITE_FULL');

describe('the reserve', () => {
  it('is filled when a store is opened, and again in time', async () => {
    const path = await temporaryPath();
    const store = openSqliteStore({ path });
    onTestFinished(() => store.close());
    expect(statSync(`${path}-reserve`).size).toBe(2 * MB);
    rmSync(`${path}-reserve`);
    await store.expireFiles(0, 1);
    expect(statSync(`${path}-reserve`).size).toBe(2 * MB);
  });

  it('is spent in pieces until it is used up', async () => {
    const path = await temporaryPath();
    const reserve = createReserve(path);
    expect(reserve.spend()).toBe(false);
    writeFileSync(path, Buffer.alloc(100_000));
    expect([reserve.spend(), reserve.spend(), reserve.spend()]).toEqual([true, true, false]);
    expect(statSync(path).size).toBe(0);
  });

  it('is spent for as long as a removal finds the disk full, and for nothing else', async () => {
    const spend = vi.fn(() => true);
    let failures = 2;
    const verbs = spendReserve(
      { spend, restore() {} },
      {
        remove: async (what: string) => {
          if (failures-- > 0) throw full();
          return what;
        },
        fail: async () => {
          throw new Database.SqliteError('disk I/O error', 'SQLITE_IOERR_FSYNC');
        },
      },
    );
    expect(await verbs.remove('a file')).toBe('a file');
    expect(spend).toHaveBeenCalledTimes(2);
    await expect(verbs.fail()).rejects.toMatchObject({ code: 'SQLITE_IOERR_FSYNC' });
    spend.mockReturnValueOnce(false);
    failures = 1;
    await expect(verbs.remove('a file')).rejects.toMatchObject({ code: 'SQLITE_FULL' });
    expect(spend).toHaveBeenCalledTimes(3);
  });

  it('is spent to revoke a key on a full disk', async () => {
    const path = await temporaryPath();
    const store = openSqliteStoreThatIsFull(path, 'set revoked_at');
    const key = anApiKey();
    await store.insertApiKey(key, hashOf('secret'));
    expect(await store.revokeApiKey(key.id, T0)).toBe(true);
    expect(await store.findApiKey(hashOf('secret'), T0)).toBeNull();
    expect(statSync(`${path}-reserve`).size).toBeLessThan(2 * MB);
  });
});

/** A store that finds the disk full when it first runs the statement with `text`. */
function openSqliteStoreThatIsFull(path: string, text: string): Store {
  const prepare = vi.spyOn(Database.prototype, 'prepare');
  const store = openSqliteStore({ path });
  onTestFinished(() => store.close());
  const { calls, results } = prepare.mock;
  const statement = results[calls.findIndex(([sql]) => sql.includes(text))]?.value as Database.Statement;
  prepare.mockRestore();
  vi.spyOn(statement, 'run').mockImplementationOnce(() => {
    throw full();
  });
  return store;
}
describe('on a full disk a store', () => {
  const REMOVALS: Readonly<Record<string, (store: Store) => Promise<unknown>>> = {
    deleteFile: (store) => store.deleteFile('ann', 'file-x', 0),
    deleteBatch: (store) => store.deleteBatch('ann', 'batch_x'),
    deleteWebhookEndpoint: (store) => store.deleteWebhookEndpoint('ann', 'whe_x'),
    cancelUpload: (store) => store.cancelUpload('ann', 'upload_x', 0),
    expireUploads: (store) => store.expireUploads(0, 1),
    removeUploadParts: (store) => store.removeUploadParts(1),
  };

  it.each(Object.entries(REMOVALS))('gives up some of the reserve for %s', async (_verb, remove) => {
    const path = await temporaryPath();
    const store = openSqliteStore({ path });
    onTestFinished(() => store.close());
    const statement = new Database(':memory:').prepare('select 1');
    const run = vi.spyOn(Object.getPrototypeOf(statement) as Database.Statement, 'run');
    onTestFinished(() => run.mockRestore());
    run.mockImplementationOnce(() => {
      throw full();
    });
    await remove(store);
    expect(statSync(`${path}-reserve`).size).toBe(2 * MB - 64 * 1024);
  });
});

describe('a commit whose sync failed', () => {
  it('is overwritten in the write-ahead log at once', async () => {
    const path = await temporaryPath();
    const db = openDatabase(path);
    onTestFinished(() => void db.close());
    const written = (): number => statSync(`${path}-wal`).size;
    const fail = async (error: Error): Promise<never> =>
      await overwriteFailedCommits(db, {
        verb: async (): Promise<never> => {
          throw error;
        },
      }).verb();
    const before = written();
    await expect(fail(full())).rejects.toMatchObject({ code: 'SQLITE_FULL' });
    expect(written()).toBe(before);
    const failed = new Database.SqliteError('disk I/O error', 'SQLITE_IOERR_FSYNC');
    await expect(fail(failed)).rejects.toBe(failed);
    expect(written()).toBeGreaterThan(before);
  });
});
