import { randomBytes } from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import { memoryObjects } from '../helpers/memory-objects.ts';
import { usePostgres } from '../helpers/postgres.ts';
import { resultLogsOn, sweep } from '../helpers/result-logs.ts';

const postgres = usePostgres();
const { clear, openLog, piecesLeft, passAnHour } = resultLogsOn(postgres);

const A = 'batch_a1';

describe('large appends', () => {
  it('lie in objects, small ones beside them in the database, and are read across both', async () => {
    await clear();
    const objects = memoryObjects();
    const log = await openLog({ objects, objectBytes: 1000 });
    const pieces = [10, 1000, 1001, 5_000_000, 999, 1].map((size) => randomBytes(size));
    for (const piece of pieces) await log.append(A, [piece.subarray(0, 7), piece.subarray(7)]);
    expect([...objects.stored.values()].map(({ length }) => length)).toEqual([1001, 5_000_000]);
    const all = Buffer.concat(pieces);
    const spans = [
      [0, all.length],
      [1005, 1010],
      [1011, 1000],
      [2000, 50],
      [2011, 5_000_000],
      [5_002_000, 1009],
    ] as const;
    for (const [at, length] of spans) {
      expect((await log.read(A, at, length)).equals(all.subarray(at, at + length))).toBe(true);
    }
    await expect(log.read(A, all.length - 1, 2)).rejects.toThrow(`ends at byte ${all.length}`);
  });

  it('of which many are read one part after another are asked for once, unless they are too large to be kept', async () => {
    await clear();
    const objects = memoryObjects();
    const readRange = vi.spyOn(objects, 'readRange');
    const log = await openLog({ objects, objectBytes: 1000 });
    const small = randomBytes(100_000);
    const large = randomBytes(5_000_000);
    await log.append(A, [small]);
    await log.append(A, [large]);
    for (let at = 0; at < 100_000; at += 10_000) {
      const read = await log.read(A, at, 10_000);
      expect(read.equals(small.subarray(at, at + 10_000))).toBe(true);
      read.fill(0);
    }
    expect(readRange).toHaveBeenCalledTimes(1);
    expect((await log.read(A, 200_000, 10)).equals(large.subarray(100_000, 100_010))).toBe(true);
    expect(readRange).toHaveBeenLastCalledWith(expect.any(String), 100_000, 10);
  });

  it('that fail to be read once are read again', async () => {
    await clear();
    const objects = memoryObjects();
    const log = await openLog({ objects, objectBytes: 5 });
    await log.append(A, [Buffer.from('0123456789')]);
    vi.spyOn(objects, 'readRange').mockRejectedValueOnce(new Error('no answer'));
    await expect(log.read(A, 0, 10)).rejects.toThrow('no answer');
    expect(await log.read(A, 0, 10)).toEqual(Buffer.from('0123456789'));
  });

  it('go with their log', async () => {
    await clear();
    const objects = memoryObjects();
    const log = await openLog({ objects, objectBytes: 5 });
    for (const batchId of [A, 'batch_b2']) await log.append(batchId, [Buffer.from('0123456789')]);
    await log.drop(A);
    expect([...objects.stored.keys()].map((name) => name.split('/')[0])).toEqual(['batch_b2']);
  });

  it('that fail are told as failures, and nothing is laid over them', async () => {
    await clear();
    const objects = memoryObjects();
    const log = await openLog({ objects, objectBytes: 5 });
    vi.spyOn(objects, 'put').mockRejectedValueOnce(Object.assign(new Error('cut'), { code: 'ECONNRESET' }));
    await expect(log.append(A, [Buffer.from('0123456789')])).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(await log.append(A, [Buffer.from('0123456789')])).toEqual({ position: 10 });
    expect(await log.read(A, 10, 10)).toEqual(Buffer.from('0123456789'));
  });

  it('that failed, or are still on their way, do not keep others from being read', async () => {
    await clear();
    const objects = memoryObjects();
    const log = await openLog({ objects, objectBytes: 5 });
    const held = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const put = vi.spyOn(objects, 'put');
    await log.append(A, [Buffer.from('abc')]);
    put.mockRejectedValueOnce(new Error('cut'));
    await expect(log.append(A, [Buffer.from('failed')])).rejects.toThrow('cut');
    await log.append(A, [Buffer.from('def')]);
    await log.append(A, [Buffer.from('0123456789')]);
    put.mockImplementationOnce(async () => {
      begun.resolve();
      await held.promise;
    });
    const append = log.append(A, [Buffer.from('on its way')]);
    await begun.promise;
    const spans = [
      [0, 'abc'],
      [1, 'bc'],
      [9, 'def'],
      [9, 'def01'],
      [12, '0123456789'],
      [21, '9'],
    ] as const;
    for (const [at, text] of spans) {
      const reader = await log.open(A);
      expect(String(await reader.read(at, text.length))).toBe(text);
      await reader.close();
    }
    const reader = await log.open(A);
    await expect(reader.read(0, 4)).rejects.toThrow(/./);
    await reader.close();
    held.resolve();
    await append;
  });

  it('of a process that died before it heard of them leave nothing behind', async () => {
    await clear();
    const objects = memoryObjects();
    const stored = Promise.withResolvers<void>();
    const dying = await openLog({
      objects: {
        ...objects,
        async put(name, parts) {
          await objects.put(name, parts);
          stored.resolve();
          await new Promise(() => {});
        },
      },
      objectBytes: 5,
    });
    void dying.append(A, [Buffer.from('0123456789')]);
    await stored.promise;
    const other = await openLog({ objects });
    expect(objects.stored.size).toBe(1);
    await other.drop(A);
    expect(objects.stored.size).toBe(0);
  });

  it('that arrive only after the drop are removed an hour later, and so is all that was known of the log', async () => {
    await clear();
    const objects = memoryObjects();
    const frozen = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const late = await openLog({
      objects: {
        ...objects,
        async put(name, parts) {
          begun.resolve();
          await frozen.promise;
          await objects.put(name, parts);
        },
      },
      objectBytes: 5,
    });
    const append = late.append(A, [Buffer.from('0123456789')]);
    await begun.promise;
    const other = await openLog({ objects });
    await other.drop(A);
    frozen.resolve();
    await append;
    await sweep(other);
    await late.append(A, [Buffer.from('x')]);
    await passAnHour();
    await sweep(other);
    expect(objects.stored.size).toBe(0);
    expect(await postgres.query('select from result_logs where dropped_at is not null')).toEqual([]);
    expect(await other.read(A, 0, 1)).toEqual(Buffer.from('x'));
    expect(await piecesLeft()).toBe(1);
  });

  it('that cannot be removed now are removed by the next sweep', async () => {
    await clear();
    const objects = memoryObjects();
    const log = await openLog({ objects, objectBytes: 5 });
    await log.append(A, [Buffer.from('0123456789')]);
    vi.spyOn(objects, 'delete').mockRejectedValueOnce(new Error('no answer'));
    await expect(log.drop(A)).rejects.toThrow('no answer');
    await expect(log.read(A, 0, 1)).rejects.toThrow('there is no result log');
    expect(await sweep(log)).toEqual([]);
    expect(objects.stored.size).toBe(0);
  });

  it('cannot be read without the store in which they lie, and it is said why', async () => {
    await clear();
    const log = await openLog({ objects: memoryObjects(), objectBytes: 5 });
    await log.append(A, [Buffer.from('0123456789')]);
    const without = await openLog();
    await expect(without.read(A, 0, 10)).rejects.toThrow(
      'a store of objects, which the settings do not name',
    );
  });
});
