import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { databaseMark } from '../../src/adapters/disk/index.ts';
import type { DataFolder } from '../../src/adapters/disk/index.ts';
import { openPostgresStore } from '../../src/adapters/postgres/index.ts';
import type { PostgresOptions } from '../../src/adapters/postgres/index.ts';
import { usePostgres } from '../helpers/postgres.ts';
import { temporaryFolder } from './disk-recorder.ts';

const postgres = usePostgres();

type FilesPlace = NonNullable<PostgresOptions['files']>;

/** A bucket without anything in it. */
function aBucket(place: string): FilesPlace {
  let mark: string | null = null;
  return {
    place,
    mark: {
      read: async () => mark,
      async write(databaseId) {
        mark = databaseId;
      },
    },
  };
}
const inFolder = (folder: DataFolder): FilesPlace => ({ place: 'a data folder', mark: databaseMark(folder) });

/** Opens the database with its files there, and closes it again. */
async function open(files: FilesPlace): Promise<void> {
  const store = await openPostgresStore({ url: postgres.url, maxConnections: 2, onLost() {}, files });
  await store.close();
}

/** A database that nobody has opened with files. */
async function empty(): Promise<void> {
  await (await postgres.openStore()).close();
}

describe('the files of a database', () => {
  it('are where the first process says, and every other place is refused', async () => {
    await empty();
    const bucket = aBucket('s3://bucket/a');
    await open(bucket);
    await open(bucket);
    await expect(open(aBucket('s3://bucket/b'))).rejects.toThrow(
      'The files of this database are in s3://bucket/a, but BLOB_URL and DATA_DIR say s3://bucket/b',
    );
    await expect(open(inFolder(await temporaryFolder()))).rejects.toThrow(/in s3:\/\/bucket\/a, but/);
  });

  it('are in one place where two processes with different settings start at once', async () => {
    await empty();
    const places = ['s3://bucket/a', 's3://bucket/b', 's3://bucket/c'];
    const opened = await Promise.allSettled(places.map((place) => open(aBucket(place))));
    expect(opened.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  it('are in the folder that they were in before', async () => {
    await empty();
    const folder = await temporaryFolder();
    await open(inFolder(folder));
    await open(inFolder(folder));
    await expect(open(inFolder(await temporaryFolder()))).rejects.toThrow(/a data folder has no database-id/);
    await expect(open(aBucket('s3://bucket/a'))).rejects.toThrow(/are in a data folder, but/);
  });

  it('are not taken for those of another database, which would remove them as leftovers', async () => {
    await empty();
    const folder = await temporaryFolder();
    const bucket = aBucket('s3://bucket/a');
    await open(inFolder(folder));
    await empty();
    await expect(open(inFolder(folder))).rejects.toThrow(/belong to another database/);
    await open(bucket);
    await empty();
    await expect(open(bucket)).rejects.toThrow('The files in s3://bucket/a belong to another database');
  });

  it('are taken over by a move from the database that moves, and from no other', async () => {
    await empty();
    const bucket = aBucket('s3://bucket/a');
    await bucket.mark.write('the one that moves');
    for (const movedFrom of [undefined, null, 'another one']) {
      await expect(open({ ...bucket, movedFrom })).rejects.toThrow(
        'The files in s3://bucket/a belong to another database',
      );
      expect(await bucket.mark.read()).toBe('the one that moves');
    }
    await open({ ...bucket, movedFrom: 'the one that moves' });
    await open({ ...bucket, movedFrom: 'the one that moves' });
    await open(bucket);
  });

  it('are not looked for in a bucket that has none of them', async () => {
    await empty();
    await open(aBucket('s3://bucket/a'));
    await expect(open(aBucket('s3://bucket/a'))).rejects.toThrow(/s3:\/\/bucket\/a has no database-id/);
  });

  it('are found again where a crash came between the mark and the note of it', async () => {
    await empty();
    const folder = await temporaryFolder();
    await open(inFolder(folder));
    await postgres.query('update files_place set place = null');
    await open(inFolder(folder));
    expect(await postgres.query('select place from files_place')).toEqual([{ place: 'a data folder' }]);
  });
});

describe('the mark of a folder', () => {
  it('is one line in a file, replaced as a whole', async () => {
    const folder = await temporaryFolder();
    const mark = databaseMark(folder);
    expect([await mark.read(), await mark.hasOwnDatabase()]).toEqual([null, false]);
    await mark.write('one');
    await mark.write('two');
    expect(await readFile(join(folder.path, 'database-id'), 'utf8')).toBe('two\n');
    expect(await mark.read()).toBe('two');
    await writeFile(folder.databasePath, '');
    expect(await mark.hasOwnDatabase()).toBe(true);
  });
});
