import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createMemoryStorage } from '../../../src/adapters/memory/index.ts';
import { removeExpiredUploads, sweepLeftovers } from '../../../src/engine/index.ts';
import type { CompletedUpload, Engine, UploadPart, UploadRecord } from '../../../src/engine/index.ts';
import type { BlobRef } from '../../../src/engine/files/file.ts';
import { MAX_PART_BYTES } from '../../../src/engine/files/upload.ts';
import type { BlobStore } from '../../../src/engine/ports.ts';
import { createFakeClock } from '../../helpers/fake-clock.ts';
import { createTestEngine, OWNER, readText } from '../../helpers/test-engine.ts';

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
const TEXTS = ['{"custom_id":', '"a"}\n', '{}\n'];
const WHOLE = TEXTS.join('');
const never = new AbortController().signal;

async function begin(
  engine: Engine,
  options: { bytes?: number; purpose?: string; seconds?: number } = {},
): Promise<UploadRecord> {
  return await engine.uploads.create({
    owner: OWNER,
    filename: 'input.jsonl',
    purpose: options.purpose ?? 'batch',
    bytes: options.bytes ?? WHOLE.length,
    expiresAfterSeconds: options.seconds,
  });
}

async function addPart(engine: Engine, { id }: UploadRecord, text: string | Buffer): Promise<UploadPart> {
  const received = await engine.uploads.receivePart({ owner: OWNER, id }, [Buffer.from(text)]);
  return await received.store();
}

async function addParts(engine: Engine, upload: UploadRecord, texts = TEXTS): Promise<string[]> {
  const parts = await Promise.all(texts.map((text) => addPart(engine, upload, text)));
  return parts.map(({ id }) => id);
}

async function complete(
  engine: Engine,
  { id }: UploadRecord,
  partIds: readonly string[],
  options: { md5?: string; signal?: AbortSignal } = {},
): Promise<CompletedUpload> {
  return await engine.uploads.complete({ owner: OWNER, id, partIds, ...options });
}

async function blobs(engine: Engine): Promise<string[]> {
  return await Array.fromAsync(engine.context.blobs.list());
}

async function statusOf(engine: Engine, { id }: UploadRecord): Promise<string | undefined> {
  const { store, clock } = engine.context;
  return (await store.getUpload(OWNER, id, clock.now()))?.status;
}

/** As a store that processes share: no two blobs have one key. */
function withOwnKeys(shared: BlobStore): BlobStore {
  const keys = new Map<string, string>();
  const sharedKey = (key: string): string => keys.get(key) ?? key;
  return {
    ...shared,
    async create() {
      const writer = await shared.create();
      const key = randomBytes(32).toString('hex');
      let sealed: BlobRef | null = null;
      return {
        write: (bytes) => writer.write(bytes),
        async seal() {
          sealed = await writer.seal();
          return { ...sealed, key };
        },
        async publish() {
          await writer.publish();
          keys.set(key, sealed?.key ?? '');
        },
        discard: () => writer.discard(),
      };
    },
    read: (key, range) => shared.read(sharedKey(key), range),
    readRange: (key, start, length) => shared.readRange(sharedKey(key), start, length),
    async delete(key) {
      keys.delete(key);
    },
    async *list() {
      yield* keys.keys();
    },
  };
}

const md5Of = (bytes: string | Buffer): string => createHash('md5').update(bytes).digest('hex');

describe('beginning an upload', () => {
  it('answers a pending one that lives for an hour', async () => {
    const clock = createFakeClock();
    const upload = await begin(createTestEngine({ clock }), { seconds: 7200 });
    expect(upload).toEqual({
      id: expect.stringMatching(/^upload_[0-9a-f]{32}$/),
      owner: OWNER,
      filename: 'input.jsonl',
      purpose: 'batch',
      bytes: WHOLE.length,
      expiresAfterSeconds: 7200,
      createdAt: clock.now(),
      expiresAt: clock.now() + HOUR_MS,
      status: 'pending',
      fileId: null,
    });
  });

  it('goes by the limit of uploads, not by that of files, and for purpose batch by that of batches', async () => {
    const settings = { maxFileBytes: 5, maxUploadBytes: 100, maxBatchBytes: 10 };
    const engine = createTestEngine({ settings });
    await begin(engine, { bytes: 100, purpose: 'user_data' });
    await begin(engine, { bytes: 10 });
    await expect(begin(engine, { bytes: 101, purpose: 'user_data' })).rejects.toMatchObject({
      code: 'above_maximum',
      param: 'bytes',
      message: expect.stringMatching(/<= 100, but got 101/),
    });
    await expect(begin(engine, { bytes: 11 })).rejects.toMatchObject({
      code: 'above_maximum',
      param: 'bytes',
      message: expect.stringMatching(/purpose 'batch'.*<= 10, but got 11/),
    });
  });
});

describe('parts', () => {
  it('are received at the same time, each of its own size', async () => {
    const engine = createTestEngine();
    const upload = await begin(engine);
    const ids = await addParts(engine, upload);
    const stored = await engine.context.store.readUploadParts(upload.id);
    expect(new Map(stored.map(({ id, blob }) => [id, blob.bytes]))).toEqual(
      new Map(ids.map((id, i) => [id, TEXTS[i]?.length])),
    );
  });

  it('are given up while they arrive where they are too large, and leave nothing behind', async () => {
    const engine = createTestEngine();
    const large = await begin(engine, { bytes: 2 * MAX_PART_BYTES, purpose: 'user_data' });
    let sent = 0;
    function* endless(): Generator<Uint8Array> {
      for (;;) {
        sent += 1024 * 1024;
        yield Buffer.alloc(1024 * 1024);
      }
    }
    await expect(engine.uploads.receivePart({ owner: OWNER, id: large.id }, endless())).rejects.toMatchObject(
      {
        code: 'invalid_value',
        param: 'data',
        message: expect.stringMatching(/limit of 67108864 bytes \(at least 68157440 bytes were sent\)/),
      },
    );
    expect(sent).toBe(MAX_PART_BYTES + 1024 * 1024);
    const small = await begin(engine, { bytes: 10 });
    sent = 0;
    await expect(engine.uploads.receivePart({ owner: OWNER, id: small.id }, endless())).rejects.toMatchObject(
      { code: 'invalid_value' },
    );
    expect(sent).toBe(1024 * 1024);
    await expect(addPart(engine, small, 'x'.repeat(11))).rejects.toMatchObject({
      message:
        "Invalid 'data': with this part the upload would have 11 bytes, but it was created for 10 bytes.",
    });
    expect(await blobs(engine)).toEqual([]);
  });

  it('take no more bytes together than were declared, but one that is sent again takes none', async () => {
    const engine = createTestEngine();
    const upload = await begin(engine, { bytes: 10 });
    await addPart(engine, upload, '{"a":1}');
    await addPart(engine, upload, '{"a":1}');
    await expect(addPart(engine, upload, 'four')).rejects.toMatchObject({
      code: 'invalid_value',
      message:
        "Invalid 'data': with this part the upload would have 11 bytes, but it was created for 10 bytes.",
    });
    expect(await blobs(engine)).toHaveLength(1);
    await addPart(engine, upload, '\n{}');
  });

  it('that are sent again are known by their bytes where each blob has a key of its own, and leave none behind', async () => {
    const storage = createMemoryStorage();
    const engine = createTestEngine({ storage: { ...storage, blobs: withOwnKeys(storage.blobs) } });
    const upload = await begin(engine);
    const ids = await addParts(engine, upload);
    const again = await addPart(engine, upload, TEXTS[2] ?? '');
    const stored = await engine.context.store.readUploadParts(upload.id);
    expect(stored).toContainEqual(again);
    expect(new Set(await blobs(engine))).toEqual(new Set(stored.map(({ blob }) => blob.key)));
    expect(await blobs(engine)).toHaveLength(3);
    const { file } = await complete(engine, upload, [...ids.slice(0, 2), again.id]);
    expect(await readText(engine, file.id)).toBe(WHOLE);
    expect(await blobs(engine)).toEqual([file.blob.key]);
  });

  it('of a refused upload leave the bytes that a file shares with them', async () => {
    const engine = createTestEngine();
    const source = [Buffer.from('{"a":1}')];
    const file = await engine.files.upload({ owner: OWNER, filename: 'f', purpose: 'batch', source });
    const upload = await begin(engine);
    const received = await engine.uploads.receivePart({ owner: OWNER, id: upload.id }, source);
    await engine.uploads.cancel(OWNER, upload.id);
    await expect(received.store()).rejects.toMatchObject({ code: 'upload_not_pending' });
    expect(await readText(engine, file.id)).toBe('{"a":1}');
    expect(await blobs(engine)).toHaveLength(1);
  });

  it('leave nothing behind where their source fails or they are discarded', async () => {
    const engine = createTestEngine();
    const { id } = await begin(engine);
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('{}');
      throw Object.assign(new Error('connection lost'), { code: 'ECONNRESET' });
    }
    await expect(engine.uploads.receivePart({ owner: OWNER, id }, broken())).rejects.toThrow(
      'connection lost',
    );
    await (await engine.uploads.receivePart({ owner: OWNER, id }, [Buffer.from('{}')])).discard();
    expect(await blobs(engine)).toEqual([]);
    expect(await engine.context.store.readUploadParts(id)).toEqual([]);
  });

  it('leave no bytes behind where the disk is too full for their row', async () => {
    const storage = createMemoryStorage();
    let code = 'SQLITE_FULL';
    const addUploadPart = () => Promise.reject(Object.assign(new Error(code), { code }));
    const engine = createTestEngine({ storage: { ...storage, store: { ...storage.store, addUploadPart } } });
    const upload = await begin(engine);
    await expect(addPart(engine, upload, '{}')).rejects.toMatchObject({ code: 'out_of_space' });
    expect(await blobs(engine)).toEqual([]);
    code = 'SQLITE_IOERR_FSYNC';
    await expect(addPart(engine, upload, '{}')).rejects.toMatchObject({ code: 'unavailable' });
  });
});

describe('completing', () => {
  it('joins the parts in the order that is asked for, and leaves nothing but the file', async () => {
    const clock = createFakeClock();
    const engine = createTestEngine({ clock });
    const upload = await begin(engine, { seconds: 7200 });
    const [third, first, second] = await addParts(engine, upload, [TEXTS[2], TEXTS[0], TEXTS[1]] as string[]);
    clock.advance(MINUTE_MS);
    const ids = [first, second, third] as string[];
    const { upload: completed, file } = await complete(engine, upload, ids, { md5: md5Of(WHOLE) });
    expect(completed).toEqual({ ...upload, status: 'completed', fileId: file.id });
    expect(file).toMatchObject({
      filename: 'input.jsonl',
      purpose: 'batch',
      createdAt: clock.now(),
      expiresAt: clock.now() + 7_200_000,
      blob: { bytes: WHOLE.length },
    });
    expect(await readText(engine, file.id)).toBe(WHOLE);
    expect(await blobs(engine)).toEqual([file.blob.key]);
  });

  it('gives the file the expiry of its purpose', async () => {
    const clock = createFakeClock();
    const engine = createTestEngine({ clock });
    for (const [purpose, expiresAt] of [
      ['batch', clock.now() + 30 * 86_400_000],
      ['user_data', null],
    ] as const) {
      const upload = await begin(engine, { purpose });
      expect((await complete(engine, upload, await addParts(engine, upload))).file).toMatchObject({
        expiresAt,
      });
    }
  });

  it('does not copy a single part', async () => {
    const storage = createMemoryStorage();
    let created = 0;
    const create = () => {
      created++;
      return storage.blobs.create();
    };
    const engine = createTestEngine({ storage: { ...storage, blobs: { ...storage.blobs, create } } });
    const upload = await begin(engine);
    const ids = await addParts(engine, upload, [WHOLE]);
    const { file } = await complete(engine, upload, ids, { md5: md5Of(WHOLE).toUpperCase() });
    expect(created).toBe(1);
    expect(await readText(engine, file.id)).toBe(WHOLE);
    expect(await blobs(engine)).toEqual([file.blob.key]);
  });

  it('makes an empty file of no parts', async () => {
    const engine = createTestEngine();
    const upload = await begin(engine, { bytes: 0, purpose: 'user_data' });
    const { file } = await complete(engine, upload, []);
    expect(await readText(engine, file.id)).toBe('');
  });

  it('leaves out parts that are not named, such as one that was sent twice', async () => {
    const engine = createTestEngine();
    const upload = await begin(engine);
    await addPart(engine, upload, TEXTS[0] ?? '');
    const { file } = await complete(engine, upload, await addParts(engine, upload));
    expect(await readText(engine, file.id)).toBe(WHOLE);
    expect(await blobs(engine)).toEqual([file.blob.key]);
  });

  it('refuses what are not the parts, or not the bytes, that were announced, and stays pending', async () => {
    const engine = createTestEngine();
    const upload = await begin(engine);
    const other = await begin(engine);
    const ids = await addParts(engine, upload);
    const [foreign = ''] = await addParts(engine, other, ['{}']);
    const [first = '', second = ''] = ids;
    const refusals: [string[], string][] = [
      [[], 'the parts have 0 bytes, but the upload was created for 21 bytes'],
      [[first, second], 'the parts have 18 bytes, but the upload was created for 21 bytes'],
      [[first, first], `'${first}' is named more than once`],
      [[...ids, 'part_x'], `'part_x' is not a part of this upload`],
      [[foreign], `'${foreign}' is not a part of this upload`],
    ];
    for (const [partIds, reason] of refusals) {
      await expect(complete(engine, upload, partIds)).rejects.toMatchObject({
        code: 'invalid_value',
        param: 'part_ids',
        message: `Invalid 'part_ids': ${reason}.`,
      });
    }
    const md5 = '0'.repeat(32);
    await expect(complete(engine, upload, ids, { md5 })).rejects.toMatchObject({
      code: 'invalid_value',
      param: 'md5',
      message: `Invalid 'md5': the parts have '${md5Of(WHOLE)}', but '${md5}' was given.`,
    });
    for (const malformed of ['', 'x', `${md5}0`, 'z'.repeat(32)]) {
      await expect(complete(engine, upload, ids, { md5: malformed })).rejects.toMatchObject({ param: 'md5' });
    }
    expect(await blobs(engine)).toHaveLength(4);
    expect(await statusOf(engine, upload)).toBe('pending');
    await complete(engine, upload, ids);
  });

  it('looks at the first line for purpose batch alone', async () => {
    const engine = createTestEngine();
    for (const texts of [['not', ' json'], ['not json']]) {
      const upload = await begin(engine, { bytes: 8 });
      const ids = await addParts(engine, upload, texts);
      await expect(complete(engine, upload, ids)).rejects.toMatchObject({ code: 'invalid_file' });
      expect(await statusOf(engine, upload)).toBe('pending');
      await engine.uploads.cancel(OWNER, upload.id);
      expect(await blobs(engine)).toEqual([]);
      const data = await begin(engine, { bytes: 8, purpose: 'user_data' });
      const { file } = await complete(engine, data, await addParts(engine, data, texts));
      await engine.files.delete(OWNER, file.id);
    }
  });

  it('lets one of many calls at once make the one file, and tells the others which', async () => {
    const storage = createMemoryStorage();
    let created = 0;
    const create = () => {
      created++;
      return storage.blobs.create();
    };
    const engine = createTestEngine({ storage: { ...storage, blobs: { ...storage.blobs, create } } });
    const upload = await begin(engine);
    const ids = await addParts(engine, upload);
    const results = await Promise.allSettled(Array.from({ length: 5 }, () => complete(engine, upload, ids)));
    const won = results.filter((result) => result.status === 'fulfilled');
    const lost = results.filter((result) => result.status === 'rejected');
    expect([won.length, lost.length]).toEqual([1, 4]);
    for (const { reason } of lost) {
      expect(reason).toMatchObject({
        code: 'upload_not_pending',
        message: `Cannot complete an upload with status 'completed'. Its file is '${won[0]?.value.file.id}'.`,
      });
    }
    // One of them copied the parts.
    expect(created).toBe(ids.length + 1);
    const { data } = await engine.files.list({ owner: OWNER, order: 'asc', limit: 10 });
    expect(data).toHaveLength(1);
  });

  it('shares the bytes of an equal file, also where that one is deleted meanwhile', async () => {
    const engine = createTestEngine();
    for (const texts of [TEXTS, [WHOLE]]) {
      const source = [Buffer.from(WHOLE)];
      const old = await engine.files.upload({ owner: OWNER, filename: 'f', purpose: 'batch', source });
      const upload = await begin(engine);
      const ids = await addParts(engine, upload, texts);
      const [{ file }] = await Promise.all([
        complete(engine, upload, ids),
        engine.files.delete(OWNER, old.id),
      ]);
      expect(await readText(engine, file.id)).toBe(WHOLE);
    }
  });

  it('joins large parts byte for byte', async () => {
    const engine = createTestEngine();
    const whole = randomBytes(3 * 1024 * 1024 + 17);
    const upload = await begin(engine, { bytes: whole.length, purpose: 'user_data' });
    const ids = [];
    for (let at = 0; at < whole.length; at += 700_001) {
      ids.push((await addPart(engine, upload, whole.subarray(at, at + 700_001))).id);
    }
    const { file } = await complete(engine, upload, ids, { md5: md5Of(whole) });
    expect(file.blob).toEqual({
      key: createHash('sha256').update(whole).digest('hex'),
      bytes: whole.length,
    });
  });

  it('is given up where its signal aborts, and can be asked for again', async () => {
    const engine = createTestEngine();
    const upload = await begin(engine);
    const ids = await addParts(engine, upload);
    const signal = AbortSignal.abort(new Error('stopping'));
    await expect(complete(engine, upload, ids, { signal })).rejects.toThrow('stopping');
    expect(await statusOf(engine, upload)).toBe('pending');
    expect(await blobs(engine)).toHaveLength(3);
    await complete(engine, upload, ids, { signal: never });
  });
});

describe('a death in the middle of completing', () => {
  type Storage = ReturnType<typeof createMemoryStorage>;

  /** Each point at which the process may die: what it had to do next is never done. */
  const DEATHS: Record<string, (storage: Storage, die: () => never) => Partial<Storage>> = {
    'while the parts are read': ({ blobs: all }, die) => ({ blobs: { ...all, read: die } }),
    'before the file is published': ({ blobs: all }, die) => ({
      blobs: {
        ...all,
        async create() {
          const writer = await all.create();
          return { ...wrapped(writer), publish: async () => die() };
        },
      },
    }),
    'before its row': ({ store }, die) => ({ store: { ...store, completeUpload: async () => die() } }),
    'after its row': ({ store }, die) => ({
      store: {
        ...store,
        async completeUpload(...args) {
          await store.completeUpload(...args);
          return die();
        },
      },
    }),
    'before the parts are removed': ({ store }, die) => ({
      store: { ...store, removeUploadParts: async () => die() },
    }),
  };

  function wrapped(writer: Awaited<ReturnType<Storage['blobs']['create']>>) {
    return {
      write: (bytes: Uint8Array) => writer.write(bytes),
      seal: () => writer.seal(),
      discard: () => writer.discard(),
    };
  }

  it.each(Object.entries(DEATHS))('leaves it pending or completed: %s', async (_name, deadly) => {
    const storage = createMemoryStorage();
    const upload = await begin(createTestEngine({ storage }));
    const ids = await addParts(createTestEngine({ storage }), upload);
    const dying = createTestEngine({
      storage: {
        ...storage,
        ...deadly(storage, () => {
          throw new Error('killed');
        }),
      },
    });
    await complete(dying, upload, ids).catch(() => {});

    const engine = createTestEngine({ storage });
    const status = await statusOf(engine, upload);
    await removeExpiredUploads(engine.context, never);
    await sweepLeftovers(engine.context, never);
    if (status === 'pending') {
      expect(await blobs(engine)).toHaveLength(3);
      await complete(engine, upload, ids);
    }
    const { data } = await engine.files.list({ owner: OWNER, order: 'asc', limit: 10 });
    expect(data).toHaveLength(1);
    expect(await readText(engine, data[0]?.id ?? null)).toBe(WHOLE);
    expect(await blobs(engine)).toEqual([data[0]?.blob.key]);
    expect((await storage.store.getUpload(OWNER, upload.id, 0))?.fileId).toBe(data[0]?.id);
  });
});

describe('cancelling', () => {
  it('removes the parts and lets nothing more happen', async () => {
    const engine = createTestEngine();
    const upload = await begin(engine);
    const ids = await addParts(engine, upload);
    expect(await engine.uploads.cancel(OWNER, upload.id)).toEqual({ ...upload, status: 'cancelled' });
    expect(await blobs(engine)).toEqual([]);
    const refused = (verb: string) => ({
      code: 'upload_not_pending',
      message: `Cannot ${verb} an upload with status 'cancelled'.`,
    });
    await expect(engine.uploads.cancel(OWNER, upload.id)).rejects.toMatchObject(refused('cancel'));
    await expect(addPart(engine, upload, '{}')).rejects.toMatchObject(refused('add a part to'));
    await expect(complete(engine, upload, ids)).rejects.toMatchObject(refused('complete'));
  });

  it('in the middle of completing wins, and no file comes of it', async () => {
    for (const texts of [TEXTS, [WHOLE]]) {
      const storage = createMemoryStorage();
      const reading = Promise.withResolvers<void>();
      const cancelled = Promise.withResolvers<void>();
      async function* read(key: string) {
        reading.resolve();
        await cancelled.promise;
        yield* storage.blobs.read(key);
      }
      const engine = createTestEngine({ storage: { ...storage, blobs: { ...storage.blobs, read } } });
      const upload = await begin(engine);
      const completing = complete(engine, upload, await addParts(engine, upload, texts));
      const refused = expect(completing).rejects.toMatchObject({
        code: 'upload_not_pending',
        message: "Cannot complete an upload with status 'cancelled'.",
      });
      await reading.promise;
      await engine.uploads.cancel(OWNER, upload.id);
      cancelled.resolve();
      await refused;
      expect(await blobs(engine)).toEqual([]);
    }
  });

  it('after the parts were joined wins as well', async () => {
    for (const texts of [TEXTS, [WHOLE]]) {
      const storage = createMemoryStorage();
      const completeUpload: typeof storage.store.completeUpload = async (owner, id, now, file) => {
        await engine.uploads.cancel(owner, id);
        return await storage.store.completeUpload(owner, id, now, file);
      };
      // The blob of a single part is locked meanwhile, so its removal must not be waited for.
      const removeUploadParts = async () => [];
      const store = { ...storage.store, completeUpload, removeUploadParts };
      const engine: Engine = createTestEngine({ storage: { ...storage, store } });
      const upload = await begin(engine);
      await expect(complete(engine, upload, await addParts(engine, upload, texts))).rejects.toMatchObject({
        code: 'upload_not_pending',
      });
      await removeExpiredUploads(createTestEngine({ storage }).context, never);
      expect(await blobs(engine)).toEqual([]);
    }
  });

  it('has happened also where the bytes cannot be removed at once', async () => {
    const storage = createMemoryStorage();
    let isIll = true;
    const remove = async (key: string) => {
      if (isIll) throw Object.assign(new Error('EIO'), { code: 'EIO' });
      await storage.blobs.delete(key);
    };
    const engine = createTestEngine({ storage: { ...storage, blobs: { ...storage.blobs, delete: remove } } });
    const upload = await begin(engine);
    await addParts(engine, upload);
    expect((await engine.uploads.cancel(OWNER, upload.id)).status).toBe('cancelled');
    isIll = false;
    await sweepLeftovers(engine.context, never);
    expect(await blobs(engine)).toEqual([]);
  });
});

describe('an upload', () => {
  it('of another owner is answered as an unknown one', async () => {
    const engine = createTestEngine();
    const upload = await begin(engine);
    const ids = await addParts(engine, upload);
    for (const { owner, id } of [
      { owner: 'other', id: upload.id },
      { owner: OWNER, id: 'upload_unknown' },
    ]) {
      const unknown = { code: 'upload_not_found', message: `No such Upload object: ${id}`, param: 'id' };
      await expect(engine.uploads.cancel(owner, id)).rejects.toMatchObject(unknown);
      await expect(engine.uploads.complete({ owner, id, partIds: ids })).rejects.toMatchObject(unknown);
      await expect(engine.uploads.receivePart({ owner, id }, [])).rejects.toMatchObject(unknown);
    }
    expect(await statusOf(engine, upload)).toBe('pending');
  });

  it('expires after an hour: it takes no calls, and the janitor removes its parts, later its row', async () => {
    const clock = createFakeClock();
    const engine = createTestEngine({ clock });
    const upload = await begin(engine);
    const ids = await addParts(engine, upload);
    const late = await engine.uploads.receivePart({ owner: OWNER, id: upload.id }, [Buffer.from('late')]);
    clock.advance(HOUR_MS - 1);
    expect(await statusOf(engine, upload)).toBe('pending');
    clock.advance(1);
    const expired = {
      code: 'upload_expired',
      message: `The upload '${upload.id}' has expired at ${new Date(upload.expiresAt).toISOString()}. Create a new one.`,
    };
    expect(await statusOf(engine, upload)).toBe('expired');
    await expect(late.store()).rejects.toMatchObject(expired);
    await expect(addPart(engine, upload, '{}')).rejects.toMatchObject(expired);
    await expect(complete(engine, upload, ids)).rejects.toMatchObject(expired);
    await expect(engine.uploads.cancel(OWNER, upload.id)).rejects.toMatchObject(expired);

    // A complete that was asked for in time may still be joining the parts.
    expect(await removeExpiredUploads(engine.context, never)).toBe(0);
    expect(await blobs(engine)).toHaveLength(3);
    clock.advance(15 * MINUTE_MS);
    expect(await removeExpiredUploads(engine.context, never)).toBe(1);
    expect(await blobs(engine)).toEqual([]);
    await expect(complete(engine, upload, ids)).rejects.toMatchObject(expired);
    clock.advance(31 * 24 * HOUR_MS);
    await removeExpiredUploads(engine.context, never);
    await expect(complete(engine, upload, ids)).rejects.toMatchObject({ code: 'upload_not_found' });
  });

  it('that is pending keeps its parts from the janitor and the sweep', async () => {
    const engine = createTestEngine();
    const upload = await begin(engine);
    const ids = await addParts(engine, upload);
    expect(await removeExpiredUploads(engine.context, never)).toBe(0);
    expect(await sweepLeftovers(engine.context, never)).toMatchObject({ blobs: 0 });
    await complete(engine, upload, ids);
  });

  it('that expired with hundreds of others is removed with them; the janitor ends early where it is aborted', async () => {
    const clock = createFakeClock();
    const engine = createTestEngine({ clock });
    for (let i = 0; i < 250; i++) {
      await addPart(engine, await begin(engine), `${i}`);
    }
    clock.advance(2 * HOUR_MS);
    await expect(removeExpiredUploads(engine.context, AbortSignal.abort())).rejects.toThrow('aborted');
    expect(await removeExpiredUploads(engine.context, never)).toBe(250);
    expect(await blobs(engine)).toEqual([]);
  });
});
