import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, stat, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createDiskBlobStore, openDataFolder } from '../../src/adapters/disk/index.ts';
import type { BlobStore } from '../../src/engine/ports.ts';
import { describeBlobStoreContract } from '../contracts/blob-store.ts';
import { recordDisk, temporaryFolder, temporaryPath } from './disk-recorder.ts';
import type { Call } from './disk-recorder.ts';

const MB = 1024 * 1024;
const HELLO = createHash('sha256').update('hello').digest('hex');
const SHARD = `blobs/${HELLO.slice(0, 2)}`;

describeBlobStoreContract('the disk blob store', async () => {
  const folder = await temporaryFolder();
  return { blobs: await createDiskBlobStore({ folder }), close: async () => {} };
});

async function openRecorded() {
  const folder = await temporaryFolder();
  const blobs = await createDiskBlobStore({ folder });
  return { folder, blobs, disk: recordDisk(folder.path) };
}

async function sealed(blobs: BlobStore, bytes: Uint8Array | string) {
  const writer = await blobs.create();
  await writer.write(Buffer.from(bytes));
  return { writer, ref: await writer.seal() };
}

async function put(blobs: BlobStore, bytes: Uint8Array | string): Promise<string> {
  const { writer, ref } = await sealed(blobs, bytes);
  await writer.publish();
  return ref.key;
}

/** Makes a `write` or `read` do only so many bytes. */
function only(bytes: number) {
  return (real: Call, args: unknown[]) => real(args[0], args[1], bytes, args[3]);
}

describe('a blob on disk', () => {
  it('is written, synced, renamed, and its folder synced, in that order', async () => {
    const { blobs, disk } = await openRecorded();
    const { writer } = await sealed(blobs, 'hello');
    expect(disk.calls).toEqual(['open tmp/*', 'write tmp/*', 'sync tmp/*', 'close tmp/*']);
    disk.calls.length = 0;
    await writer.publish();
    expect(disk.calls).toEqual([
      `rename tmp/* → ${SHARD}/*`,
      `open ${SHARD}`,
      `sync ${SHARD}`,
      `close ${SHARD}`,
    ]);
  });

  it('is written in blocks of 256 KiB, however small the pieces', async () => {
    const { blobs, disk } = await openRecorded();
    const writer = await blobs.create();
    for (let i = 0; i < 500; i++) await writer.write(randomBytes(5000));
    await writer.seal();
    expect(disk.calls.filter((call) => call.startsWith('write'))).toHaveLength(10);
  });

  it('is whole though the system writes and reads in pieces', async () => {
    const { blobs, disk } = await openRecorded();
    const bytes = randomBytes(1000);
    disk.intercept(/^write /, only(300));
    disk.intercept(/^write /, only(1));
    disk.intercept(/^read /, only(7));
    disk.intercept(/^read /, only(400));
    const key = await put(blobs, bytes);
    expect(key).toBe(createHash('sha256').update(bytes).digest('hex'));
    expect(await Array.fromAsync(blobs.read(key))).toEqual([bytes]);
    expect(disk.calls.filter((call) => /^(write|read) /.test(call))).toHaveLength(6);
  });

  it('is not kept open, whether its reader reads to the end, stops early or fails', async () => {
    const { blobs, disk } = await openRecorded();
    const key = await put(blobs, randomBytes(3 * MB));
    await Array.fromAsync(blobs.read(key));
    for await (const buffer of blobs.read(key)) if (buffer.length > 0) break;
    const failing = async (): Promise<void> => {
      for await (const buffer of blobs.read(key)) throw new Error(`after ${buffer.length} bytes`);
    };
    await expect(failing()).rejects.toThrow(/after 65536 bytes/);
    await expect(blobs.readRange(key, 0, 4 * MB)).rejects.toThrow(/ends at byte/);
    disk.fail(/^read /, 'EIO');
    await expect(Array.fromAsync(blobs.read(key))).rejects.toMatchObject({ code: 'EIO' });
    expect(disk.openPaths()).toEqual([]);
  });

  it('that was cut short by other hands is noticed, not passed off as whole', async () => {
    const { folder, blobs } = await openRecorded();
    const key = await put(blobs, randomBytes(2 * MB));
    await truncate(join(folder.path, 'blobs', key.slice(0, 2), key), MB + 1);
    await expect(Array.fromAsync(blobs.read(key, { start: 0, end: 2 * MB }))).rejects.toThrow(
      `blob ${key} ends at byte ${MB + 1}`,
    );
  });

  it('has no name but a hash', async () => {
    const { blobs } = await openRecorded();
    const secret = `../../${'a'.repeat(58)}`;
    for (const name of [secret, '', HELLO.toUpperCase(), `${HELLO}\n`, `${HELLO}/..`]) {
      await expect(blobs.readRange(name, 0, 0)).rejects.toThrow(/is not a SHA-256/);
      await expect(Array.fromAsync(blobs.read(name))).rejects.toThrow(/is not a SHA-256/);
      await expect(blobs.delete(name)).rejects.toThrow(/is not a SHA-256/);
    }
  });

  it('is for its owner only', async () => {
    const { folder, blobs } = await openRecorded();
    await put(blobs, 'hello');
    const modes = ['.', 'tmp', 'blobs', SHARD, `${SHARD}/${HELLO}`].map(
      async (name) => (await stat(join(folder.path, name))).mode & 0o777,
    );
    expect(await Promise.all(modes)).toEqual([0o700, 0o700, 0o700, 0o700, 0o600]);
  });
});

describe('a disk that fails', () => {
  const steps = [
    ['write', /^write /, 'ENOSPC'],
    ['sync', /^sync tmp/, 'EIO'],
    ['close', /^close tmp/, 'EDQUOT'],
  ] as const;
  it.each(steps)('makes seal reject with its code: %s', async (_name, call, code) => {
    const { folder, blobs, disk } = await openRecorded();
    const writer = await blobs.create();
    await writer.write(Buffer.from('hello'));
    disk.fail(call, code);
    await expect(writer.seal()).rejects.toMatchObject({ code });
    await expect(writer.write(Buffer.from('x'))).rejects.toThrow(/is failed/);
    await expect(writer.seal()).rejects.toThrow(/is failed/);
    await expect(writer.publish()).rejects.toThrow(/is failed/);
    await writer.discard();
    expect(await readdir(join(folder.path, 'tmp'))).toEqual([]);
    expect(disk.openPaths()).toEqual([]);
  });

  it('makes write reject, and what came before is never passed off as the blob', async () => {
    const { folder, blobs, disk } = await openRecorded();
    const writer = await blobs.create();
    disk.intercept(/^write /, only(1000));
    disk.fail(/^write /, 'ENOSPC');
    await expect(writer.write(randomBytes(2 * MB))).rejects.toMatchObject({ code: 'ENOSPC' });
    await expect(writer.seal()).rejects.toThrow(/is failed/);
    await writer.discard();
    expect(await readdir(join(folder.path, 'tmp'))).toEqual([]);
  });

  it('makes publish reject where the renaming fails, and discard still leaves nothing', async () => {
    const { folder, blobs, disk } = await openRecorded();
    const { writer } = await sealed(blobs, 'hello');
    disk.fail(/^rename/, 'EIO');
    await expect(writer.publish()).rejects.toMatchObject({ code: 'EIO' });
    await writer.discard();
    expect(await readdir(join(folder.path, 'tmp'))).toEqual([]);
    expect(await Array.fromAsync(blobs.list())).toEqual([]);
  });

  it('makes publish reject where the folder cannot be synced, and the next one syncs it again', async () => {
    const { blobs, disk } = await openRecorded();
    const { writer } = await sealed(blobs, 'hello');
    disk.fail(/^sync blobs/, 'EIO');
    await expect(writer.publish()).rejects.toMatchObject({ code: 'EIO' });
    await writer.discard();
    disk.calls.length = 0;
    expect(await put(blobs, 'hello')).toBe(HELLO);
    expect(disk.calls).toContain(`sync ${SHARD}`);
    expect(disk.openPaths()).toEqual([]);
  });

  it('leaves no temporary file though it cannot be closed', async () => {
    const { folder, blobs, disk } = await openRecorded();
    const writer = await blobs.create();
    disk.intercept(/^close tmp/, async (real) => {
      await real();
      throw new Error('not closed');
    });
    await expect(writer.discard()).rejects.toThrow('not closed');
    expect(await readdir(join(folder.path, 'tmp'))).toEqual([]);
  });
});

describe('opening the disk blob store', () => {
  it('removes what a dead process was receiving and keeps what is published', async () => {
    const path = await temporaryPath();
    const first = await openDataFolder({ path });
    const before = await createDiskBlobStore({ folder: first });
    await put(before, 'hello');
    const abandoned = await before.create();
    await abandoned.write(randomBytes(2 * MB));
    const sealedOnly = await sealed(before, 'sealed only');
    await mkdir(join(path, 'tmp', 'odd'));
    await first.close();

    const second = await openDataFolder({ path });
    const after = await createDiskBlobStore({ folder: second });
    expect(await readdir(join(path, 'tmp'))).toEqual([]);
    expect(await Array.fromAsync(after.list())).toEqual([HELLO]);
    expect(await after.readRange(HELLO, 0, 5)).toEqual(Buffer.from('hello'));
    await Promise.all([abandoned.discard(), sealedOnly.writer.discard(), second.close()]);
  });

  it('makes new folders durable before it is done', async () => {
    const path = await temporaryPath();
    const disk = recordDisk(dirname(path));
    const folder = await openDataFolder({ path: join(path, 'deep', 'er') });
    expect(disk.calls.filter((call) => call.startsWith('sync'))).toEqual([
      'sync data/deep',
      'sync data',
      'sync ',
    ]);
    disk.calls.length = 0;
    await createDiskBlobStore({ folder });
    expect(disk.calls.filter((call) => call.startsWith('sync'))).toEqual([
      'sync data/deep/er',
      'sync data/deep/er/blobs',
    ]);
    await folder.close();
  });

  it('passes over files in it that are no blobs', async () => {
    const { folder, blobs } = await openRecorded();
    await put(blobs, 'hello');
    await writeFile(join(folder.path, SHARD, '.backup'), '');
    await writeFile(join(folder.path, SHARD, `${HELLO}.old`), '');
    expect(await Array.fromAsync(blobs.list())).toEqual([HELLO]);
  });
});
