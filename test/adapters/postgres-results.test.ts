import { randomBytes } from 'node:crypto';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createPostgresResultLog, openPostgres } from '../../src/adapters/postgres/index.ts';
import { createResultSlots } from '../../src/adapters/postgres/result-slots.ts';
import type { ResultLog } from '../../src/engine/ports.ts';
import { describeResultLogContract } from '../contracts/result-log.ts';
import { memoryObjects } from '../helpers/memory-objects.ts';
import { usePostgres } from '../helpers/postgres.ts';
import { resultLogsOn, sweep } from '../helpers/result-logs.ts';
import { startTcpProxy } from '../helpers/tcp-proxy.ts';
import type { Fate } from '../helpers/tcp-proxy.ts';

const postgres = usePostgres();
const { clear, openDatabase, openLog, openCounted, piecesLeft, passAnHour } = resultLogsOn(postgres);

const A = 'batch_a1';
const SLOT_BYTES = 2 ** 40;

for (const [where, objectBytes] of [
  ['a table of PostgreSQL', Infinity],
  ['objects', 0],
  ['both', 200],
] as const) {
  describeResultLogContract(`a result log in ${where}`, async () => {
    await clear();
    const { store, db } = await openPostgres({ url: postgres.url, maxConnections: 4, onLost() {} });
    const results = createPostgresResultLog({ db, objects: memoryObjects(), objectBytes });
    const close = async () => {
      await results.close();
      await store.close();
    };
    return { results, close };
  });
}

describe('several processes over one result log', () => {
  it('append to one batch at once, and each reads all that all of them have appended', async () => {
    await clear();
    const objects = memoryObjects();
    const logs = [await openLog({ objects, objectBytes: 700 }), await openLog({ objects, objectBytes: 700 })];
    const appended = await Promise.all(
      logs.map(async (log) => {
        const mine: { position: number; bytes: Buffer }[] = [];
        for (let i = 0; i < 100; i++) {
          const bytes = randomBytes(1 + ((i * 37) % 1000));
          mine.push({ ...(await log.append(A, [bytes])), bytes });
        }
        return mine;
      }),
    );
    for (const log of logs) {
      const reads = appended.flat().map(async ({ position, bytes }) => {
        expect((await log.read(A, position, bytes.length)).equals(bytes)).toBe(true);
      });
      await Promise.all(reads);
    }
    const slots = appended.map(
      (mine) => new Set(mine.map(({ position }) => Math.floor(position / SLOT_BYTES))),
    );
    expect(slots.map((set) => set.size)).toEqual([1, 1]);
    expect(new Set(slots.flatMap((set) => [...set]))).toEqual(new Set([0, 1]));
  });

  it('begin anew when another one has dropped it', async () => {
    await clear();
    const [one, other] = [await openLog(), await openLog()];
    await one.append(A, [Buffer.from('before')]);
    await other.drop(A);
    expect(await one.append(A, [Buffer.from('after')])).toEqual({ position: 0 });
    expect(await other.read(A, 0, 5)).toEqual(Buffer.from('after'));
    await other.drop(A);
    expect(await one.append(A, [])).toEqual({ position: 5 });
    expect(await one.append(A, [Buffer.from('again')])).toEqual({ position: 0 });
  });

  it('read on what another one drops, and its bytes go when the last of them has read them', async () => {
    await clear();
    const [one, other] = [await openLog(), await openLog()];
    await one.append(A, [Buffer.from('0123456789')]);
    const readers = [await one.open(A), await other.open(A)];
    await other.drop(A);
    await sweep(other);
    await expect(one.read(A, 0, 1)).rejects.toThrow('there is no result log');
    await expect(one.open(A)).rejects.toThrow('there is no result log');
    for (const reader of readers) {
      expect(await reader.read(3, 4)).toEqual(Buffer.from('3456'));
      expect(await piecesLeft()).toBe(1);
      await reader.close();
    }
    expect(await piecesLeft()).toBe(0);
  });

  it('open it or drop it, one after the other: whoever has opened it can read it', async () => {
    await clear();
    const log = await openLog();
    await log.append(A, [Buffer.from('0123456789')]);
    const db = await openDatabase();
    await postgres.query('begin');
    onTestFinished(async () => void (await postgres.query('rollback')));
    await postgres.query('update result_logs set dropped_at = now()');
    const opening = log.open(A);
    opening.catch(() => {});
    const waiting = () => db.all("select from pg_stat_activity where wait_event_type = 'Lock'");
    await expect.poll(waiting).toHaveLength(1);
    await postgres.query('commit');
    await expect(opening).rejects.toThrow('there is no result log');
    expect(await postgres.query('select from result_readers')).toEqual([]);
  });
});

describe('a reader of a result log', () => {
  it('says again and again that it is alive', async () => {
    await clear();
    const log = await openLog({ readerLeaseMs: 80 });
    await log.append(A, [Buffer.from('x')]);
    const reader = await log.open(A);
    const until = async () =>
      (await postgres.query<{ until: string }>('select alive_until::text as until from result_readers'))[0]
        ?.until;
    const first = await until();
    await expect.poll(until).not.toBe(first);
    const second = await until();
    await expect.poll(until).not.toBe(second);
    await reader.close();
    expect(await until()).toBeUndefined();
  });

  it('whose process died holds the bytes until its lease ends', async () => {
    await clear();
    const [dying, other] = [await openLog(), await openLog()];
    await dying.append(A, [Buffer.from('x')]);
    await dying.open(A);
    await other.drop(A);
    await sweep(other);
    expect(await piecesLeft()).toBe(1);
    await postgres.query("update result_readers set alive_until = now() - interval '1 second'");
    await sweep(other);
    expect(await piecesLeft()).toBe(0);
    expect(await postgres.query('select from result_readers')).toEqual([]);
  });

  it('whose lease has ended holds up no drop', async () => {
    await clear();
    const log = await openLog();
    await log.append(A, [Buffer.from('x')]);
    await log.open(A);
    await postgres.query("update result_readers set alive_until = now() - interval '1 second'");
    await log.drop(A);
    expect(await piecesLeft()).toBe(0);
  });

  it('reads line by line with few statements', async () => {
    await clear();
    const { results, statements } = await openCounted();
    const lines = Array.from({ length: 500 }, (_, i) => Buffer.from(`line ${i}`.padEnd(999) + '\n'));
    await results.append(A, lines);
    const reader = await results.open(A);
    statements.length = 0;
    for (const [i, line] of lines.entries()) {
      const read = await reader.read(i * 1000, 1000);
      expect(read.equals(line)).toBe(true);
      read.fill(0);
    }
    for (let i = 0; i < 2; i++) {
      const again = await reader.read(3000, 1000);
      expect(again.equals(lines[3] as Buffer)).toBe(true);
      again.fill(0);
    }
    expect(statements.length).toBeLessThan(10);
    await reader.close();
  });
});

describe('a reader that cannot be closed', () => {
  it('does not say so to whoever has read: its lease ends', async () => {
    await clear();
    const db = await openDatabase();
    const results = createPostgresResultLog({ db: { ...db, run: () => Promise.reject(new Error('cut')) } });
    await results.append(A, [Buffer.from('x')]);
    const reader = await results.open(A);
    await reader.close();
    await results.close();
    expect(await postgres.query('select from result_readers')).toHaveLength(1);
  });
});

describe('the statements of a result log', () => {
  it('are one for the appends of a flush, and one for the reads of a chunk', async () => {
    await clear();
    const { results, statements } = await openCounted();
    const ids = Array.from({ length: 50 }, (_, i) => `batch_${i}`);
    await Promise.all(ids.map((id) => results.append(id, [Buffer.from(id)])));
    statements.length = 0;
    const appended = await Promise.all(
      ids.map((id) => results.append(id, [Buffer.from('more '), Buffer.from(id)])),
    );
    expect(statements).toHaveLength(1);
    expect(appended).toEqual(ids.map((id) => ({ position: id.length })));
    statements.length = 0;
    const reads = Array.from({ length: 200 }, (_, i) => i % 7);
    const bytes = await Promise.all(reads.map((at) => results.read('batch_1', at, 2)));
    expect(bytes.map(String)).toEqual(reads.map((at) => 'batch_1more batch_1'.slice(at, at + 2)));
    expect(statements).toHaveLength(1);
  });

  it('hold a few MB at the most, save for one larger append', async () => {
    await clear();
    const { results, statements } = await openCounted();
    const ids = ['batch_1', 'batch_2', 'batch_3', 'batch_4'];
    await Promise.all(ids.map((id) => results.append(id, [Buffer.from('x')])));
    statements.length = 0;
    const bytes = randomBytes(700_000);
    await Promise.all(ids.map((id) => results.append(id, [bytes])));
    expect(statements).toHaveLength(4);
    for (const id of ids) expect((await results.read(id, 1, 700_000)).equals(bytes)).toBe(true);
  });
});

describe('an append whose answer is lost', () => {
  const LOST = Buffer.from('this one is lost');

  /** A log of which appends of these bytes meet the next of `fates`. */
  async function openThroughProxy(fates: Fate[]): Promise<ResultLog> {
    const { hostname: host, port } = new URL(postgres.url);
    const proxy = await startTcpProxy({ host, port: Number(port) }, (bytes) =>
      bytes.includes(LOST) ? (fates.shift() ?? 'pass') : 'pass',
    );
    onTestFinished(() => proxy.close());
    const url = new URL(postgres.url);
    url.port = String(proxy.port);
    return await openLog({}, url.href);
  }

  it('is told as a failure, and nothing that follows is laid over it', async () => {
    await clear();
    const fates: Fate[] = [];
    const log = await openThroughProxy(fates);
    await log.append(A, [Buffer.from('first')]);
    fates.push('cut after');
    await expect(log.append(A, [LOST])).rejects.toMatchObject({
      code: expect.stringMatching(/^E[A-Z0-9]+$/),
    });
    expect(fates).toEqual([]);
    await expect.poll(piecesLeft).toBe(2);
    expect(await log.append(A, [LOST])).toEqual({ position: 21 });
    expect(await log.read(A, 21, 16)).toEqual(LOST);
    expect(await log.read(A, 0, 37)).toEqual(Buffer.from('firstthis one is lostthis one is lost'));
  });

  it('or never came to the database leaves a gap, which is not read over', async () => {
    await clear();
    const fates: Fate[] = [];
    const log = await openThroughProxy(fates);
    await log.append(A, [Buffer.from('first')]);
    fates.push('cut before');
    await expect(log.append(A, [LOST])).rejects.toThrow();
    expect(await log.append(A, [LOST])).toEqual({ position: 21 });
    await expect(log.read(A, 0, 37)).rejects.toThrow('ends at byte 5, before byte 37');
    expect(await log.read(A, 21, 16)).toEqual(LOST);
  });
});

describe('a result log that is dropped', () => {
  it('is removed in steps, however much there is', async () => {
    await clear();
    const log = await openLog({ objects: memoryObjects(), objectBytes: 1000 });
    for (let i = 0; i < 150; i++) await log.append(A, [randomBytes(i % 50 === 0 ? 1001 : 10)]);
    await log.append('batch_b2', [Buffer.from('x')]);
    await log.drop(A);
    expect(await piecesLeft()).toBe(1 + 3);
    await passAnHour();
    await sweep(log);
    expect(await piecesLeft()).toBe(1);
  });

  it('leaves its room to others soon', async () => {
    await clear();
    const log = await openLog({ vacuumBytes: 3000 });
    const vacuums = async () =>
      await postgres.query(
        "select vacuum_count::integer as n from pg_stat_user_tables where relname = 'result_pieces'",
      );
    const [before] = (await vacuums()) as { n: number }[];
    for (const batchId of [A, 'batch_b2']) {
      expect(await vacuums()).toEqual([before]);
      await log.append(batchId, [randomBytes(2000)]);
      await log.drop(batchId);
    }
    await expect.poll(vacuums).toEqual([{ n: (before?.n ?? 0) + 1 }]);
  });

  it('takes pieces with it that were on their way', async () => {
    await clear();
    const log = await openLog();
    await log.append(A, [Buffer.from('x')]);
    const [row] = await postgres.query<{ seq: string }>('select seq from result_logs');
    await log.drop(A);
    await postgres.query(`insert into result_pieces values (${row?.seq}, 100, 1, 'x')`);
    await sweep(log);
    expect(await piecesLeft()).toBe(0);
    expect(await postgres.query('select from result_logs')).toHaveLength(1);
    await passAnHour();
    await sweep(log);
    expect(await postgres.query('select from result_logs')).toEqual([]);
  });
});

describe('the slots of a result log', () => {
  it('are followed by another one when they are full', async () => {
    await clear();
    const slots = createResultSlots(await openDatabase());
    const at = async (length: number) => (await slots.take(A, length)).position;
    const positions = [await at(SLOT_BYTES - 5), await at(3), await at(10), await at(1)];
    expect(positions).toEqual([0, SLOT_BYTES - 5, SLOT_BYTES, SLOT_BYTES + 10]);
  });

  it('are 8,191 at the most, and it is said that there are no more', async () => {
    await clear();
    const [one, other, third] = [await openLog(), await openLog(), await openLog()];
    await one.append(A, [Buffer.from('x')]);
    await postgres.query('update result_logs set slots = 8190');
    const { position } = await other.append(A, [Buffer.from('last')]);
    expect(Number.isSafeInteger(position + SLOT_BYTES)).toBe(true);
    expect(await one.read(A, position, 4)).toEqual(Buffer.from('last'));
    await expect(third.append(A, [Buffer.from('x')])).rejects.toThrow(/no slot left: 8191 processes/);
  });

  it('are taken once for appends that come at once', async () => {
    await clear();
    const log = await openLog();
    const appended = await Promise.all(Array.from({ length: 20 }, () => log.append(A, [Buffer.from('abc')])));
    expect(appended.map(({ position }) => position)).toEqual(Array.from({ length: 20 }, (_, i) => i * 3));
    expect(await postgres.query('select slots from result_logs')).toEqual([{ slots: 1 }]);
  });
});

describe('a database that answers commits before they are durable', () => {
  it('is refused, and it is said what to set', async () => {
    await postgres.query('alter role postgres set synchronous_commit = off');
    onTestFinished(async () => void (await postgres.query('alter role postgres reset synchronous_commit')));
    await expect(openDatabase()).rejects.toThrow(/synchronous_commit = off/);
  });
});
