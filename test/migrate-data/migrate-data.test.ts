import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { createDiskBlobStore, createDiskResultLog, openDataFolder } from '../../src/adapters/disk/index.ts';
import { createMemoryBlobStore, createMemoryResultLog } from '../../src/adapters/memory/index.ts';
import { openMoveTarget, openPostgresStore } from '../../src/adapters/postgres/index.ts';
import { columnsOf, MOVED_TABLES } from '../../src/adapters/sql/moved-tables.ts';
import type { MovedRow } from '../../src/adapters/sql/moved-tables.ts';
import { openMoveSource, openSqliteStore } from '../../src/adapters/sqlite/index.ts';
import type { Batch, Engine, EngineParts, Store } from '../../src/engine/index.ts';
import { migrateData } from '../../src/migrate-data/index.ts';
import type { MigrateOptions } from '../../src/migrate-data/index.ts';
import { createWorker } from '../../src/worker/index.ts';
import { usePostgres } from '../helpers/postgres.ts';
import { answer, createScriptedUpstream } from '../helpers/scripted-upstream.ts';
import { aFile, T0 } from '../helpers/store-fixtures.ts';
import { OWNER, readResults } from '../helpers/test-engine.ts';
import { createSharedBlobs, cutOffAfter } from './cut-off.ts';
import type { CutOff } from './cut-off.ts';
import { engineOver, look, makeFullFolder, RUNNING_LINES } from './full-folder.ts';
import type { FullFolder } from './full-folder.ts';

const postgres = usePostgres();
let root: string;
let original: FullFolder;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'anyllm-move-'));
  original = await makeFullFolder(join(root, 'original'));
}, 60_000);
afterAll(() => rm(root, { recursive: true, force: true }));

type Storage = Pick<EngineParts, 'blobs' | 'results'>;

/** A copy of the full folder, and an empty database. */
async function aFolder(): Promise<string> {
  await (await postgres.openStore()).close();
  await nobodyIsConnected();
  const path = await mkdtemp(join(root, 'copy-'));
  await cp(original.path, path, { recursive: true });
  return path;
}

/** A connection that was closed a moment ago may still be listed. */
async function nobodyIsConnected(): Promise<void> {
  await expect
    .poll(() => postgres.query("select from pg_stat_activity where application_name = 'anyllm-batch'"))
    .toEqual([]);
}

function sharedStorage(): Storage {
  return { blobs: createSharedBlobs(), results: createMemoryResultLog() };
}

const BUCKET = 's3://bucket/prefix';

type TargetMark = Awaited<ReturnType<NonNullable<MigrateOptions['storage']>['open']>>['mark'];

/** As that of a bucket which belongs to this database, or to none. */
function aMark(owner: string | null = null): TargetMark {
  return { read: async () => owner, write: async (id) => void (owner = id) };
}

interface Run extends Partial<MigrateOptions> {
  readonly to?: Storage | null;
  /** What lies beside the files of `to`. Default: it belongs to nobody. */
  readonly mark?: TargetMark;
  readonly cut?: CutOff;
}

/** Runs the move; answers what it said. */
async function move(
  dataDir: string,
  { to = null, mark = aMark(), cut, ...options }: Run = {},
): Promise<string[]> {
  const said: string[] = [];
  const storage = to && {
    name: BUCKET,
    open: async () => ({
      blobs: cut?.blobs(to.blobs) ?? to.blobs,
      results: cut?.results(to.results) ?? to.results,
      mark,
      close: async () => {},
    }),
  };
  await migrateData(
    {
      dataDir,
      databaseUrl: postgres.url,
      maxConnections: 4,
      storage,
      say: (line) => said.push(line),
      signal: new AbortController().signal,
      ...options,
    },
    {
      openTarget: async (settings) => {
        const target = await openMoveTarget(settings);
        return cut?.target(target) ?? target;
      },
    },
  );
  return said;
}

/** All rows of both sides, as they must be the same but for what lies elsewhere. */
async function rowsOfBoth(path: string) {
  const source = await openMoveSource({ path: join(path, 'database.db') });
  const target = await openMoveTarget({ url: postgres.url, maxConnections: 2, onLost() {} });
  const comparable = (rows: readonly MovedRow[]) =>
    rows.map((row) =>
      Object.entries(row).flatMap(([name, value]) => {
        if (name === 'log_position') return [];
        // Keys of the shared store end in the hash.
        if (/blob_key|input_key/.test(name) && value !== null) return [[name, String(value).slice(-64)]];
        return [[name, value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value]];
      }),
    );
  const both = [];
  for (const table of MOVED_TABLES) {
    const sql = `select ${columnsOf(table).join(', ')} from ${table.name} order by ${table.key.join(', ')}`;
    both.push({
      table: table.name,
      here: comparable(source.readRows(table, null, 1_000_000)),
      there: comparable(await target.db.all<MovedRow>(sql)),
    });
  }
  source.close();
  await target.close();
  return both;
}

async function expectAllRows(path: string): Promise<void> {
  for (const { table, here, there } of await rowsOfBoth(path)) {
    expect(here.length, `the full folder has ${table}`).toBeGreaterThan(0);
    expect(there, table).toEqual(here);
  }
}

async function openStore(): Promise<Store> {
  const store = await openPostgresStore({ url: postgres.url, maxConnections: 4, onLost() {} });
  onTestFinished(() => store.close());
  return store;
}

/** Does something with the store, and closes it so that nobody uses the database afterwards. */
async function inStore(work: (store: Store) => Promise<unknown>): Promise<void> {
  const store = await openPostgresStore({ url: postgres.url, maxConnections: 4, onLost() {} });
  try {
    await work(store);
  } finally {
    await store.close();
  }
  await nobodyIsConnected();
}

/** Looks at everything through an engine, then has a worker end what was running. */
async function expectService(storage: Storage): Promise<void> {
  const upstream = createScriptedUpstream(({ body }) => answer({ said: body }));
  const store = await openStore();
  const engine = engineOver({ store, ...storage }, upstream);
  expect(await look(engine)).toEqual(original.seen);
  expect((await engine.keys.find(original.secret))?.owner).toBe(OWNER);

  const worker = createWorker({ engine, maxConcurrency: 32 });
  await worker.start();
  onTestFinished(() => worker.stop());
  for (const id of [original.running, original.waiting]) {
    await expect.poll(async () => (await engine.batches.get(OWNER, id)).status).toBe('completed');
  }
  await expectEachLineOnce(engine, await engine.batches.get(OWNER, original.running));
  const sent = upstream.requests.map(({ body }) => (JSON.parse(body) as { n: string }).n);
  expect(sent.filter((id) => original.finished.has(id))).toEqual([]);

  const { id, partIds, text } = original.upload;
  const { file } = await engine.uploads.complete({ owner: OWNER, id, partIds });
  expect(Buffer.concat(await Array.fromAsync(engine.files.read(file))).toString()).toBe(text);
  const [newest] = (await engine.files.list({ owner: OWNER, order: 'desc', limit: 1 })).data;
  expect(newest?.id).toBe(file.id);
  await expectUsage(store, engine);
}

async function expectEachLineOnce(engine: Engine, batch: Batch): Promise<void> {
  expect(batch.counts).toEqual({ total: RUNNING_LINES, completed: RUNNING_LINES, failed: 0 });
  const lines = await readResults(engine, batch.outputFileId);
  expect(lines.map(({ custom_id }) => custom_id)).toEqual(
    Array.from({ length: RUNNING_LINES }, (_, i) => `run-${i + 1}`),
  );
}

/** What an owner has stored is counted as it goes; it must be what its files have. */
async function expectUsage(store: Store, engine: Engine): Promise<void> {
  const files = (await engine.files.list({ owner: OWNER, order: 'asc', limit: 1000 })).data;
  expect((await store.readOwnerUsage(OWNER)).storedBytes).toBe(
    files.reduce((sum, { blob }) => sum + blob.bytes, 0),
  );
}

describe('a data folder that moves', () => {
  it('is in PostgreSQL and the other store afterwards, and what ran goes on', async () => {
    const path = await aFolder();
    const to = sharedStorage();
    // So that no segment has the position that it had.
    await to.results.append(original.running, [Buffer.from('what another run left')]);
    const said = await move(path, { to });
    expect(said.join('\n')).toMatch(/^moving .*copy-.* to postgres:\/\/127\.0\.0\.1:\d+\/postgres\n/);
    expect(said.join('\n')).not.toContain('postgres:postgres');
    expect(said.at(-1)).toMatch(/^moved/);
    await expectAllRows(path);
    await expectService(to);
  });

  it('may keep its files and results where they are', async () => {
    const path = await aFolder();
    await move(path);
    await expectAllRows(path);
    const folder = await openDataFolder({ path, use: { state: false, files: true } });
    onTestFinished(() => folder.close());
    const results = await createDiskResultLog({ folder });
    onTestFinished(() => results.close());
    await expectService({ blobs: await createDiskBlobStore({ folder }), results });
  });

  it('has nothing held by the worker that died, and remembers that it died', async () => {
    const path = await aFolder();
    await move(path);
    const held = `
      select 'chunk' as held from chunks where worker is not null or state = 'claimed'
      union all select 'step' from batches where step_worker is not null
      union all select 'delivery' from deliveries where worker is not null
    `;
    expect(await postgres.query(held)).toEqual([]);
    expect(
      await postgres.query(
        'select crashes, trying, trying_deaths from chunks where crashes > 0 or trying is not null',
      ),
    ).toEqual([{ crashes: 1, trying: 200, trying_deaths: 1 }]);
    expect(
      await postgres.query('select id from batches where step_epoch > 1 and status = $$validating$$'),
    ).toEqual([{ id: original.waiting }]);
  });

  it('copies bytes that several rows name once', async () => {
    const path = await aFolder();
    const to = sharedStorage();
    await move(path, { to });
    const hashes = (await Array.fromAsync(to.blobs.list())).map((key) => key.slice(-64));
    expect(new Set(hashes).size).toBe(hashes.length);
  });

  it('is left as it was, and no service starts on it', async () => {
    const path = await aFolder();
    await move(path, { to: sharedStorage() });
    await expect(openDataFolder({ path })).rejects.toThrow(
      /was moved to postgres:\/\/127\.0\.0\.1:\d+\/postgres and s3:\/\/bucket\/prefix: set DATABASE_URL .* remove .*moved\./,
    );
    await expect(openDataFolder({ path, use: { state: false, files: true } })).rejects.toThrow(
      'set BLOB_URL',
    );
    await rm(join(path, 'moved'));
    const folder = await openDataFolder({ path });
    onTestFinished(() => folder.close());
    const results = await createDiskResultLog({ folder });
    onTestFinished(() => results.close());
    const store = openSqliteStore({ path: folder.databasePath });
    onTestFinished(() => store.close());
    const blobs = await createDiskBlobStore({ folder });
    expect(await look(engineOver({ store, blobs, results }, createScriptedUpstream()))).toEqual(
      original.seen,
    );
  });

  it('moves once: a second run says so and changes nothing', async () => {
    const path = await aFolder();
    await move(path);
    const store = await openStore();
    await store.insertFile(aFile({ owner: 'new' }));
    await store.renewLease('a-worker');
    expect(await move(path)).toEqual([expect.stringContaining('was moved already')]);
    expect((await store.listFiles({ owner: 'new', order: 'asc', limit: 9, now: T0 }))?.data).toHaveLength(1);
  });

  it('numbers new rows after those that moved', async () => {
    const path = await aFolder();
    await move(path);
    await (await openStore()).insertFile(aFile({ owner: 'new' }));
    const rows = await postgres.query<{ owner: string }>('select owner from files order by seq desc limit 1');
    expect(rows).toEqual([{ owner: 'new' }]);
  });
});

describe('a move that is cut off', () => {
  it.each(['before', 'after'] as const)(
    '%s any write goes on there',
    async (moment) => {
      const path = await aFolder();
      const to = sharedStorage();
      let runs = 0;
      for (let max = 0; ; max++) {
        const cut = cutOffAfter(max, moment);
        try {
          await move(path, { to, cut });
          break;
        } catch (error) {
          expect((error as Error).message).toBe('cut off');
          runs++;
        }
      }
      expect(runs).toBeGreaterThan(5);
      await expectAllRows(path);
      await expectService(to);
    },
    60_000,
  );

  it('after the store was bound goes on with the store that is its own by then', async () => {
    const path = await aFolder();
    const [to, mark] = [sharedStorage(), aMark()];
    const unfinished = cutOffAfter(Infinity);
    const cut: CutOff = {
      ...unfinished,
      target: (target) => ({ ...target, finish: () => Promise.reject(new Error('cut off')) }),
    };
    await expect(move(path, { to, mark, cut })).rejects.toThrow('cut off');
    await move(path, { to, mark });
    expect(await postgres.query('select database_id from files_place')).toEqual([
      { database_id: await mark.read() },
    ]);
  });

  it('does not copy again what it has copied', async () => {
    const path = await aFolder();
    const to = sharedStorage();
    await expect(move(path, { to, cut: cutOffAfter(24) })).rejects.toThrow('cut off');
    const copied = await postgres.query<{ new_key: string }>('select new_key from moved_blobs');
    expect(copied.length).toBeGreaterThan(3);
    const cut = cutOffAfter(Infinity);
    const keysBefore = new Set(await Array.fromAsync(to.blobs.list()));
    await move(path, { to, cut });
    const added = (await Array.fromAsync(to.blobs.list())).filter((key) => !keysBefore.has(key));
    const hashes = copied.map(({ new_key }) => new_key.slice(-64));
    expect(added.filter((key) => hashes.includes(key.slice(-64)))).toEqual([]);
  });

  it('keeps services off both sides until it is finished', async () => {
    const path = await aFolder();
    await expect(move(path, { cut: cutOffAfter(5) })).rejects.toThrow('cut off');
    for (const state of [true, false]) {
      await expect(openDataFolder({ path, use: { state, files: true } })).rejects.toThrow(
        /is being moved to postgres:.*run `migrate-data` again/,
      );
    }
    await expect(openPostgresStore({ url: postgres.url, maxConnections: 2, onLost() {} })).rejects.toThrow(
      /The move of the data folder .*copy-.* to this database is not finished/,
    );
    await nobodyIsConnected();
    expect((await move(path))[0]).toMatch(/^going on to move/);
    await openStore();
  });

  it('at its very end is finished by the next run', async () => {
    const path = await aFolder();
    const unfinished = cutOffAfter(Infinity);
    let mark = '';
    await move(path, {
      cut: {
        ...unfinished,
        target: (target) => ({
          ...target,
          async finish(...args) {
            mark = await readFile(join(path, 'moved'), 'utf8');
            await target.finish(...args);
          },
        }),
      },
    });
    await writeFile(join(path, 'moved'), mark);
    expect(await move(path)).toEqual([expect.stringContaining('was moved already')]);
    await (await openDataFolder({ path, use: { state: false, files: true } })).close();
  });

  it('stops where it is told to, and goes on', async () => {
    const path = await aFolder();
    const stop = new AbortController();
    const say = (line: string): void => {
      if (line.startsWith('files:')) stop.abort(new Error('it was stopped'));
    };
    const to = sharedStorage();
    await expect(move(path, { to, signal: stop.signal, say })).rejects.toThrow('it was stopped');
    await move(path, { to });
    await expectAllRows(path);
  });
});

describe('a move is refused', () => {
  const mark = (path: string) => readFile(join(path, 'moved'), 'utf8');

  it('where a service runs on the folder', async () => {
    const path = await aFolder();
    const folder = await openDataFolder({ path });
    onTestFinished(() => folder.close());
    await expect(move(path)).rejects.toThrow(/in use by another process \(pid \d+/);
  });

  it('where the folder has no database', async () => {
    await expect(move(join(root, 'nothing'))).rejects.toThrow(/nothing \(DATA_DIR\) has no database to move/);
  });

  it('to a database that has data of its own, and the folder stays as it is', async () => {
    const path = await aFolder();
    await inStore((store) => store.insertFile(aFile()));
    await expect(move(path)).rejects.toThrow(/has data of its own \(in the table files\)/);
    await expect(mark(path)).rejects.toMatchObject({ code: 'ENOENT' });
    await (await openDataFolder({ path })).close();
  });

  it('to a store that cannot be opened, and the folder stays as it is', async () => {
    const path = await aFolder();
    const storage = { name: BUCKET, open: () => Promise.reject(new Error('no such bucket')) };
    await expect(move(path, { storage })).rejects.toThrow('no such bucket');
    await expect(mark(path)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('to a store that has the files of another database, which is left as it is', async () => {
    const path = await aFolder();
    await writeFile(join(path, 'own-database-id'), 'the folder');
    const [to, owned] = [sharedStorage(), aMark('a live one')];
    await expect(move(path, { to, mark: owned })).rejects.toThrow(
      'The files in s3://bucket/prefix belong to another database',
    );
    expect(await owned.read()).toBe('a live one');
    expect(await Array.fromAsync(to.blobs.list())).toEqual([]);
    await expect(mark(path)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('to a store that became that of another database while it was copied', async () => {
    const path = await aFolder();
    const [to, owned] = [sharedStorage(), aMark()];
    const say = (line: string): void => void (line.startsWith('checked') && owned.write('a live one'));
    await expect(move(path, { to, mark: owned, say })).rejects.toThrow('belong to another database');
    expect(await owned.read()).toBe('a live one');
  });

  it('with files that stay in a folder where they belong to another database', async () => {
    const path = await aFolder();
    await writeFile(join(path, 'database-id'), 'an earlier one');
    await expect(move(path)).rejects.toThrow('The files in a data folder belong to another database');
    expect(await readFile(join(path, 'database-id'), 'utf8')).toBe('an earlier one');
  });

  it('to a database that has its files elsewhere, before anything is copied', async () => {
    const path = await aFolder();
    await postgres.query("insert into files_place (place) values ('s3://bucket/other')");
    const to = sharedStorage();
    await expect(move(path, { to })).rejects.toThrow('are in s3://bucket/other, but BLOB_URL');
    expect(await Array.fromAsync(to.blobs.list())).toEqual([]);
    await expect(mark(path)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('to a database that a service uses', async () => {
    const path = await aFolder();
    const refused = 'A service uses the database';
    await inStore(async (store) => {
      await store.ping();
      await expect(move(path)).rejects.toThrow(refused);
    });
    await inStore((store) => store.renewLease('a-worker'));
    await expect(move(path)).rejects.toThrow(refused);
  });

  it('to a database that has part of another folder', async () => {
    const path = await aFolder();
    await expect(move(path, { cut: cutOffAfter(3) })).rejects.toThrow('cut off');
    const other = await mkdtemp(join(root, 'copy-'));
    await cp(original.path, other, { recursive: true });
    await expect(move(other)).rejects.toThrow(/part of another move, that of the data folder .*copy-/);
  });

  it('to another place for its files than it began with', async () => {
    const path = await aFolder();
    await expect(move(path, { to: sharedStorage(), cut: cutOffAfter(3) })).rejects.toThrow('cut off');
    await expect(move(path)).rejects.toThrow(
      'began with files that go to s3://bucket/prefix, and BLOB_URL now says that they stay in the data folder',
    );
  });

  it('of files alone, after their folder was moved', async () => {
    const path = await aFolder();
    await move(path);
    await expect(move(path, { to: sharedStorage() })).rejects.toThrow(
      'was moved already, with files that stay in the data folder; BLOB_URL now says that they go to s3://bucket/prefix',
    );
  });

  it('where another process moves the same rows', async () => {
    const path = await aFolder();
    await expect(move(path, { cut: cutOffAfter(5) })).rejects.toThrow('cut off');
    const target = await openMoveTarget({ url: postgres.url, maxConnections: 2, onLost() {} });
    onTestFinished(() => target.close());
    const { id } = JSON.parse(await mark(path)) as { id: string };
    const files = MOVED_TABLES.find(({ name }) => name === 'files');
    if (files === undefined) throw new Error('there are no files');
    expect(await target.placeIn(id, files)).not.toBeNull();
    const row = { seq: 900, id: 'f', owner: 'o', purpose: 'batch', filename: 'f', blob_key: 'k' };
    const rows = [{ ...row, bytes: 1, created_at: 1, expires_at: null }];
    await expect(target.writeRows(id, files, null, rows)).rejects.toThrow('somebody else has moved rows');
  });

  it('from a folder that was moved to another database', async () => {
    const path = await aFolder();
    await move(path);
    await (await postgres.openStore()).close();
    await nobodyIsConnected();
    await expect(move(path)).rejects.toThrow(/was moved to postgres:.* already/);
  });
});

describe('a move finds out', () => {
  it('that a blob is damaged or missing', async () => {
    const path = await aFolder();
    const source = await openMoveSource({ path: join(path, 'database.db') });
    const blobs = source.readBlobs('', 100);
    source.close();
    const blob = blobs.find(({ bytes }) => bytes > 3)?.key ?? '';
    const file = join(path, 'blobs', blob.slice(0, 2), blob);
    const bytes = await readFile(file);
    await writeFile(file, Buffer.from(bytes).fill('x', 1, 2));
    const to = sharedStorage();
    await expect(move(path, { to })).rejects.toThrow(`blob ${blob} is damaged`);
    await rm(file);
    await expect(move(path, { to })).rejects.toThrow(blob);
    await writeFile(file, bytes);
    await move(path, { to });
    await expectAllRows(path);
  });

  it('that the folder lacks a file that is to stay there', async () => {
    const path = await aFolder();
    const source = await openMoveSource({ path: join(path, 'database.db') });
    const key = source.readBlobs('', 1)[0]?.key ?? '';
    source.close();
    await rm(join(path, 'blobs', key.slice(0, 2), key));
    await expect(move(path)).rejects.toThrow(`no blob ${key} of`);
  });

  it('that files are in the other store already, and leaves them there', async () => {
    const path = await aFolder();
    // As a service with SQLite and a store of its own has them.
    const source = await openMoveSource({ path: join(path, 'database.db') });
    const folder = await openDataFolder({ path });
    const own = await createDiskBlobStore({ folder });
    const blobs = createMemoryBlobStore();
    for (const { key } of source.readBlobs('', 100)) {
      const writer = await blobs.create();
      for await (const bytes of own.read(key)) await writer.write(bytes);
      await writer.seal();
      await writer.publish();
      await own.delete(key);
    }
    source.close();
    await writeFile(join(path, 'own-database-id'), 'the folder');
    await folder.close();
    const to = { blobs, results: createMemoryResultLog() };
    const published: string[] = [];
    await move(path, {
      mark: aMark('the folder'),
      to: {
        ...to,
        blobs: {
          ...blobs,
          create: async () => {
            const writer = await blobs.create();
            return { ...writer, publish: async () => void published.push('a blob') };
          },
        },
      },
    });
    expect(published).toEqual([]);
    await expectAllRows(path);
    await expectService(to);
  });

  it('that rows are missing, and which', async () => {
    const path = await aFolder();
    const cut = cutOffAfter(Infinity);
    const losing: CutOff = {
      ...cut,
      target: (target) => ({
        ...target,
        async writeRows(...args) {
          await target.writeRows(...args);
          const [, table] = args;
          if (table.name === 'idempotency_keys') await postgres.query('delete from idempotency_keys');
          if (table.name === 'segments')
            await postgres.query('delete from segments where seq = (select max(seq) from segments)');
        },
      }),
    };
    const failure = await move(path, { cut: losing }).catch((error: Error) => error.message);
    expect(failure).toContain('rows of idempotency_keys: 1 in the folder, 0 there');
    expect(failure).toMatch(
      new RegExp(`segments of batch ${original.running}: \\d+ in the folder, \\d+ there`),
    );
    await expect(openPostgresStore({ url: postgres.url, maxConnections: 2, onLost() {} })).rejects.toThrow(
      'not finished',
    );
  });
});
