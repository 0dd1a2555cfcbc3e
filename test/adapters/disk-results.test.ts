import { randomBytes } from 'node:crypto';
import { appendFile, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createDiskResultLog, openDataFolder } from '../../src/adapters/disk/index.ts';
import { describeResultLogContract } from '../contracts/result-log.ts';
import { recordDisk, temporaryFolder, temporaryPath } from './disk-recorder.ts';

describeResultLogContract('the disk result log', async () => {
  const folder = await temporaryFolder();
  const results = await createDiskResultLog({ folder });
  return { results, close: () => results.close() };
});

const A = 'batch_a1';
const LOG = `results/${A}.log`;
const LINE = Buffer.from('{"a line":1}\n');

async function openRecorded() {
  const folder = await temporaryFolder();
  const results = await createDiskResultLog({ folder });
  onTestFinished(() => results.close());
  const sizeOnDisk = async (): Promise<number> => (await stat(join(folder.path, LOG))).size;
  return { folder, results, disk: recordDisk(folder.path), sizeOnDisk };
}

describe('a result log on disk', () => {
  it('syncs its new name before its first bytes, and the bytes before it answers', async () => {
    const { results, disk } = await openRecorded();
    await results.append(A, [LINE, LINE]);
    expect(disk.calls).toEqual([
      `open ${LOG}`,
      'open results',
      'sync results',
      'close results',
      `write ${LOG}`,
      `datasync ${LOG}`,
    ]);
  });

  it('costs one write and one sync for each further append', async () => {
    const { results, disk } = await openRecorded();
    await results.append(A, [LINE]);
    disk.calls.length = 0;
    await results.append(A, [LINE, LINE, LINE]);
    await results.append(A, [LINE]);
    expect(disk.calls).toEqual([`write ${LOG}`, `datasync ${LOG}`, `write ${LOG}`, `datasync ${LOG}`]);
  });

  it('does not copy large lines to write them together', async () => {
    const { results, disk } = await openRecorded();
    const large = randomBytes(100_000);
    expect(await results.append(A, [LINE, large, large])).toEqual({ position: 0 });
    expect(disk.calls.at(-2)).toBe(`writev ${LOG}`);
    expect((await results.read(A, LINE.length, 100_000)).equals(large)).toBe(true);
  });

  it('keeps its bytes over a restart and goes on after whatever is there', async () => {
    const path = await temporaryPath();
    const first = await openDataFolder({ path });
    const before = await createDiskResultLog({ folder: first });
    await before.append(A, [LINE]);
    await before.close();
    await first.close();
    await appendFile(join(path, LOG), 'torn by a crash');

    const second = await openDataFolder({ path });
    const after = await createDiskResultLog({ folder: second });
    expect(await Array.fromAsync(after.list())).toEqual([A]);
    expect(await after.append(A, [LINE])).toEqual({ position: LINE.length + 15 });
    expect(await after.read(A, 0, LINE.length)).toEqual(LINE);
    expect(await after.read(A, LINE.length + 15, LINE.length)).toEqual(LINE);
    await after.close();
    await second.close();
  });

  it('runs appends one after another even when they are asked for at once', async () => {
    const { results } = await openRecorded();
    const segments = Array.from({ length: 50 }, () => randomBytes(1000));
    const appended = await Promise.all(segments.map((bytes) => results.append(A, [bytes])));
    expect(appended.map(({ position }) => position)).toEqual(segments.map((_, i) => i * 1000));
    expect((await results.read(A, 0, 50_000)).equals(Buffer.concat(segments))).toBe(true);
  });

  it('is one of few that stay open, however many batches there are', async () => {
    const { results, disk } = await openRecorded();
    const ids = Array.from({ length: 300 }, (_, i) => `batch_${i.toString(16)}`);
    for (const round of [0, 1]) {
      const appended = ids.map((batchId) => results.append(batchId, [LINE, Buffer.from(batchId)]));
      for (const [i, { position }] of (await Promise.all(appended)).entries()) {
        expect(position).toBe(round * (LINE.length + (ids[i] as string).length));
      }
      await Promise.all(ids.map((batchId) => results.read(batchId, 0, LINE.length)));
    }
    await expect.poll(() => disk.openPaths().length).toBe(128);
    await results.close();
    expect(disk.openPaths()).toEqual([]);
  });

  it('is closed when it is dropped, and when the log is closed', async () => {
    const { folder, results, disk } = await openRecorded();
    for (const batchId of [A, 'batch_b2']) {
      await results.append(batchId, [LINE]);
      await results.read(batchId, 0, 1);
    }
    await results.drop(A);
    expect(disk.openPaths()).toEqual(['results/batch_b2.log', 'results/batch_b2.log']);
    expect(await readdir(join(folder.path, 'results'))).toEqual(['batch_b2.log']);
    await results.close();
    expect(disk.openPaths()).toEqual([]);
    await expect(results.append(A, [LINE])).rejects.toThrow(/closed/);
    await expect(results.read(A, 0, 1)).rejects.toThrow(/closed/);
  });

  it('lets what is under way end before it closes', async () => {
    const { results, disk } = await openRecorded();
    await results.append(A, [LINE]);
    const under = Promise.withResolvers<void>();
    disk.intercept(/^read /, async (real, args) => {
      await under.promise;
      return await real(args[0], args[1], 1, args[3]);
    });
    disk.intercept(/^datasync /, async (real) => {
      await under.promise;
      return await real();
    });
    const read = results.read(A, 0, LINE.length);
    const append = results.append(A, [LINE]);
    const close = results.close();
    under.resolve();
    expect(await read).toEqual(LINE);
    expect(await append).toEqual({ position: LINE.length });
    await close;
    expect(disk.openPaths()).toEqual([]);
  });

  it('is named by a batch id and nothing else', async () => {
    const { folder, results } = await openRecorded();
    const ids = ['../escaped', 'batch_../x', 'batch_', 'batch_A1', 'batch_a1/b', '', 'file-a1', 'batch_a1\n'];
    for (const id of ids) {
      await expect(results.append(id, [LINE])).rejects.toThrow(/is not a batch id/);
      await expect(results.read(id, 0, 1)).rejects.toThrow(/is not a batch id/);
      await expect(results.drop(id)).rejects.toThrow(/is not a batch id/);
    }
    for (const name of ['.hidden', 'batch_a1', 'batch_zz.log', 'notes.log']) {
      await writeFile(join(folder.path, 'results', name), '');
    }
    expect(await Array.fromAsync(results.list())).toEqual([]);
  });
});

describe('a disk that fails under a result log', () => {
  it('rejects a partial write with its code, gives the bytes back, and the next append is right', async () => {
    const { folder, results, disk, sizeOnDisk } = await openRecorded();
    await results.append(A, [LINE]);
    const parts = [randomBytes(300), randomBytes(500)];
    disk.intercept(/^writev /, (real, [all]) => real([(all as Buffer[])[0]?.subarray(0, 100)], LINE.length));
    disk.fail(/^write /, 'ENOSPC');
    await expect(results.append(A, parts)).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(await sizeOnDisk()).toBe(LINE.length);
    expect(await results.append(A, parts)).toEqual({ position: LINE.length });
    expect(await readFile(join(folder.path, LOG))).toEqual(Buffer.concat([LINE, ...parts]));
  });

  it('writes the rest where the system wrote only a part', async () => {
    const { results, disk } = await openRecorded();
    const parts = [randomBytes(300), randomBytes(500), randomBytes(7)];
    disk.intercept(/^writev /, (real, [all]) =>
      real([(all as Buffer[])[0], (all as Buffer[])[1]?.subarray(0, 9)], 0),
    );
    disk.intercept(/^write /, (real, args) => real(args[0], args[1], 250, args[3]));
    expect(await results.append(A, parts)).toEqual({ position: 0 });
    expect(await results.append(A, [LINE])).toEqual({ position: 807 });
    expect(await results.read(A, 0, 807)).toEqual(Buffer.concat(parts));
  });

  it('goes on after the torn bytes where they cannot be given back', async () => {
    const { results, disk, sizeOnDisk } = await openRecorded();
    await results.append(A, [LINE]);
    disk.fail(/^datasync /, 'EIO');
    disk.fail(/^truncate /, 'EROFS');
    await expect(results.append(A, [LINE])).rejects.toMatchObject({ code: 'EIO' });
    expect(await sizeOnDisk()).toBe(2 * LINE.length);
    expect(await results.append(A, [LINE])).toEqual({ position: 2 * LINE.length });
    expect(await results.read(A, 2 * LINE.length, LINE.length)).toEqual(LINE);
  });

  it('never trusts a handle again whose sync has failed', async () => {
    const { results, disk } = await openRecorded();
    await results.append(A, [LINE]);
    disk.calls.length = 0;
    disk.fail(/^datasync /, 'EIO');
    const [failed, behind] = await Promise.allSettled([results.append(A, [LINE]), results.append(A, [LINE])]);
    expect(failed).toMatchObject({ status: 'rejected', reason: { code: 'EIO' } });
    expect(behind).toMatchObject({ status: 'rejected', reason: { code: 'EIO' } });
    await results.append(A, [LINE]);
    expect(disk.calls.filter((call) => call.startsWith('datasync'))).toHaveLength(1);
    expect(disk.calls).toContain(`open ${LOG}`);
    expect(disk.calls).toContain(`close ${LOG}`);
    // Its name was made safe before its first byte.
    expect(disk.calls).not.toContain('sync results');
    expect(disk.openPaths()).toEqual([LOG]);
  });

  it('rejects the first append until the name of the log is synced', async () => {
    const { results, disk } = await openRecorded();
    disk.fail(/^sync results/, 'EIO');
    await expect(results.append(A, [LINE])).rejects.toMatchObject({ code: 'EIO' });
    expect(disk.openPaths()).toEqual([]);
    disk.calls.length = 0;
    expect(await results.append(A, [LINE])).toEqual({ position: 0 });
    expect(disk.calls).toContain('sync results');
  });

  it('rejects an append where the log cannot be opened, and a read that fails', async () => {
    const { results, disk } = await openRecorded();
    disk.fail(/^open results/, 'EMFILE');
    await expect(results.append(A, [LINE])).rejects.toMatchObject({ code: 'EMFILE' });
    expect(await results.append(A, [LINE])).toEqual({ position: 0 });
    disk.fail(/^read /, 'EIO');
    await expect(results.read(A, 0, 1)).rejects.toMatchObject({ code: 'EIO' });
    expect(await results.read(A, 0, LINE.length)).toEqual(LINE);
    await results.close();
    expect(disk.openPaths()).toEqual([]);
  });
});
