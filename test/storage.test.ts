/** Whether settings and what lies where they point belong together. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { loadConfig } from '../src/config.ts';
import { openStorage } from '../src/storage.ts';
import type { Opened, Storage } from '../src/storage.ts';
import { temporaryFolder } from './e2e/test-service.ts';
import { describeOnS3 } from './helpers/s3-gateway.ts';
import { aFile, T0 } from './helpers/store-fixtures.ts';

type Env = Readonly<Record<string, string>>;

/** Opens what a service with these settings opens, and closes it again. */
async function inStorage<T>(env: Env, work: (storage: Storage) => Promise<T>): Promise<T> {
  const opened: Opened = [];
  try {
    return await work(await openStorage(loadConfig(env), pino({ enabled: false }), opened));
  } finally {
    for (const close of opened.toReversed()) await close();
  }
}

const open = (env: Env): Promise<void> => inStorage(env, async () => {});

async function addFile(env: Env, text: string): Promise<void> {
  await inStorage(env, async ({ store, blobs }) => {
    const writer = await blobs.create();
    await writer.write(Buffer.from(text));
    const blob = await writer.seal();
    await writer.publish();
    await store.insertFile(aFile({ owner: 'o', blob }));
  });
}

/** The texts of all files. */
async function readFiles(env: Env): Promise<string[]> {
  return await inStorage(env, async ({ store, blobs }) => {
    const page = await store.listFiles({ owner: 'o', order: 'asc', limit: 9, now: T0 });
    const texts = (page?.data ?? []).map(async ({ blob }) =>
      Buffer.concat(await Array.fromAsync(blobs.read(blob.key))).toString(),
    );
    return await Promise.all(texts);
  });
}

/** As a version left it that noted no place. */
const forgetPlace = (dataDir: string): Promise<void> => rm(join(dataDir, 'files-place'));

describe('the files of a data folder', () => {
  it('are there where an earlier version noted nothing', async () => {
    const DATA_DIR = await temporaryFolder();
    await addFile({ DATA_DIR }, 'one');
    await forgetPlace(DATA_DIR);
    expect(await readFiles({ DATA_DIR })).toEqual(['one']);
    expect(await readFile(join(DATA_DIR, 'files-place'), 'utf8')).toBe('a data folder\n');
  });

  it('are there also where nothing can be noted', async () => {
    const DATA_DIR = await temporaryFolder();
    await addFile({ DATA_DIR }, 'one');
    await forgetPlace(DATA_DIR);
    // What the note is first written to.
    await mkdir(join(DATA_DIR, 'files-place.new'));
    expect(await readFiles({ DATA_DIR })).toEqual(['one']);
  });
});

describeOnS3('the files of a data folder', (s3) => {
  /** Settings with a folder and a prefix of their own. */
  let env: { readonly DATA_DIR: string; readonly BLOB_URL: string };
  /** The same without BLOB_URL. */
  let inFolder: Env;
  beforeEach(async () => {
    const { BLOB_URL = '', ...aws } = s3.env();
    for (const [name, value] of Object.entries(aws)) vi.stubEnv(name, value);
    env = { DATA_DIR: await temporaryFolder(), BLOB_URL };
    inFolder = { DATA_DIR: env.DATA_DIR };
  });
  afterEach(() => void vi.unstubAllEnvs());
  const anotherBucket = () => ({ ...env, BLOB_URL: `${env.BLOB_URL}-2` });
  const bucketOf = ({ BLOB_URL }: typeof env) => s3.open({ prefix: BLOB_URL.split('/').at(-1) ?? '' });

  it.each(['noted', 'not noted'])('stay in it where BLOB_URL comes later (%s)', async (noted) => {
    await addFile(inFolder, 'one');
    if (noted === 'not noted') await forgetPlace(env.DATA_DIR);
    await expect(open(env)).rejects.toThrow(`in ${env.DATA_DIR} are not in ${env.BLOB_URL}: `);
    expect(await readFiles(inFolder)).toEqual(['one']);
    await expect(open(env)).rejects.toThrow('they are in that folder, and do not move by themselves');
  });

  it('are in the bucket that BLOB_URL named first, and in no other place', async () => {
    await addFile(env, 'one');
    const told = `are not in that folder: they are in ${env.BLOB_URL}, and do not move by themselves`;
    await expect(open(inFolder)).rejects.toThrow(told);
    await expect(open(anotherBucket())).rejects.toThrow(`they are in ${env.BLOB_URL}, and`);
    expect(await readFiles(env)).toEqual(['one']);
  });

  it('are in the bucket that an earlier version kept them in', async () => {
    await addFile(env, 'one');
    await forgetPlace(env.DATA_DIR);
    await expect(open(inFolder)).rejects.toThrow('are not in that folder: set BLOB_URL as it was before');
    await expect(open(anotherBucket())).rejects.toThrow('set BLOB_URL as it was before');
    expect(await readFiles(env)).toEqual(['one']);
    expect(await readFile(join(env.DATA_DIR, 'files-place'), 'utf8')).toBe(`${env.BLOB_URL}\n`);
  });

  it('are not looked for in a store that has none of them, though it is called the same', async () => {
    await addFile(env, 'one');
    await (await bucketOf(env)).delete(['database-id']);
    await expect(open(env)).rejects.toThrow('it has no database-id');
  });

  it('are not said to be in the bucket of another database, where they never were', async () => {
    await addFile(env, 'one');
    const other = { ...env, DATA_DIR: await temporaryFolder() };
    await open({ DATA_DIR: other.DATA_DIR });
    await expect(open(other)).rejects.toThrow(/belong to another database [^.]* or that DATA_DIR\.$/);
  });

  it('may be anywhere while there are none', async () => {
    for (const settings of [inFolder, env, anotherBucket(), inFolder, env]) await open(settings);
    await addFile(env, 'one');
    await expect(open(inFolder)).rejects.toThrow('are not in that folder');
  });

  it('are not put elsewhere where that cannot be noted', async () => {
    await open(env);
    await mkdir(join(env.DATA_DIR, 'files-place.new'));
    await expect(open(inFolder)).rejects.toThrow('EISDIR');
  });

  it('are where the note says that they were copied to', async () => {
    await addFile(env, 'one');
    const [from, to] = [await bucketOf(env), await bucketOf(anotherBucket())];
    for await (const { name } of from.list('')) {
      const object = await from.get(name);
      if (object !== null && 'body' in object) await to.put(name, await buffer(object.body));
    }
    await writeFile(join(env.DATA_DIR, 'files-place'), anotherBucket().BLOB_URL);
    expect(await readFiles(anotherBucket())).toEqual(['one']);
    await expect(open(env)).rejects.toThrow(`they are in ${anotherBucket().BLOB_URL}`);
  });
});
