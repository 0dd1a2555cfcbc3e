import { describe, expect, it } from 'vitest';
import { createMemoryStorage } from '../../../src/adapters/memory/index.ts';
import { removeExpiredFiles, sweepLeftovers } from '../../../src/engine/index.ts';
import type { Engine } from '../../../src/engine/index.ts';
import type { BlobStore, BlobWriter, ResultLog, Store } from '../../../src/engine/ports.ts';
import { createFakeClock } from '../../helpers/fake-clock.ts';
import { bytesOf, createTestEngine, inputLine, OWNER, readText, submit } from '../../helpers/test-engine.ts';

async function upload(engine: Engine, text: string, options: { purpose?: string; seconds?: number } = {}) {
  return await engine.files.upload({
    owner: OWNER,
    filename: 'f.jsonl',
    purpose: options.purpose ?? 'batch',
    expiresAfterSeconds: options.seconds,
    source: bytesOf(text),
  });
}

async function blobs(engine: Engine): Promise<string[]> {
  return await Array.fromAsync(engine.context.blobs.list());
}

describe('uploading', () => {
  it('stores the bytes and tells their size; a batch file expires after 30 days, another never', async () => {
    const clock = createFakeClock();
    const engine = createTestEngine({ clock });
    const file = await upload(engine, '{"a":1}\n');
    expect(file).toMatchObject({ purpose: 'batch', blob: { bytes: 8 }, createdAt: clock.now() });
    expect(file.id).toMatch(/^file-[A-Za-z0-9]{22}$/);
    expect(file.expiresAt).toBe(clock.now() + 30 * 86_400_000);
    expect(await readText(engine, file.id)).toBe('{"a":1}\n');
    expect((await upload(engine, 'x', { purpose: 'user_data' })).expiresAt).toBeNull();
    expect((await upload(engine, '{}', { seconds: 3600 })).expiresAt).toBe(clock.now() + 3_600_000);
  });

  it.each(['', '\n \r\n', 'hello\n', '{"a":1\n', '\u0000', '{"a":1} x\n{}'])(
    'refuses %j for purpose batch, and leaves nothing behind',
    async (text) => {
      const engine = createTestEngine();
      await expect(upload(engine, text)).rejects.toMatchObject({
        code: 'invalid_file',
        message: 'Invalid file format for Batch API. Must be .jsonl',
      });
      expect(await blobs(engine)).toEqual([]);
      await upload(engine, text, { purpose: 'user_data' });
    },
  );

  it.each([
    '{"a":1}',
    '{}\nnot json',
    '\ufeff{}\n',
    '\r\n\n{}\r\n',
    '[]',
    `"${'x'.repeat(3 * 1024 * 1024)}"`,
  ])('accepts a file by its first line alone (%#)', async (text) => {
    await upload(createTestEngine(), text);
  });

  it('judges a first line that arrives in many pieces', async () => {
    const engine = createTestEngine();
    async function* pieces() {
      for (const byte of Buffer.from('\n{"a":"ü"}\nno')) yield Buffer.of(byte);
    }
    const options = { owner: OWNER, filename: 'f', purpose: 'batch', source: pieces() };
    await expect(engine.files.upload(options)).resolves.toMatchObject({ purpose: 'batch' });
  });

  it('refuses more bytes than the limit, naming both, and leaves nothing behind', async () => {
    const engine = createTestEngine({ settings: { maxFileBytes: 10, maxBatchBytes: 5 } });
    await expect(upload(engine, 'x'.repeat(11), { purpose: 'evals' })).rejects.toMatchObject({
      code: 'too_large',
      message: expect.stringMatching(/limit of 10 bytes.*11 bytes/),
    });
    await expect(upload(engine, '{"a":1}')).rejects.toMatchObject({
      code: 'too_large',
      message: expect.stringMatching(/7 bytes.*at most 5/),
    });
    expect(await blobs(engine)).toEqual([]);
  });

  it('leaves nothing behind where the source fails', async () => {
    const engine = createTestEngine();
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('{}');
      throw new Error('connection lost');
    }
    const options = { owner: OWNER, filename: 'f', purpose: 'batch', source: broken() };
    await expect(engine.files.upload(options)).rejects.toThrow('connection lost');
    expect(await blobs(engine)).toEqual([]);
  });

  it('names a bad purpose and an expiry out of bounds', async () => {
    const engine = createTestEngine();
    await expect(upload(engine, '{}', { purpose: 'batch_output' })).rejects.toMatchObject({
      param: 'purpose',
      message:
        "'batch_output' is not one of ['fine-tune', 'assistants', 'batch', 'user_data', 'vision', 'evals'] - 'purpose'",
    });
    await expect(upload(engine, '{}', { seconds: 3599 })).rejects.toMatchObject({ code: 'below_minimum' });
    await expect(upload(engine, '{}', { seconds: 2_592_001 })).rejects.toMatchObject({
      code: 'above_maximum',
    });
    expect(await blobs(engine)).toEqual([]);
  });

  it('tells a full disk from other failures', async () => {
    const storage = createMemoryStorage();
    const fail = (code: string) => ({
      ...storage.blobs,
      create: () => Promise.reject(Object.assign(new Error(code), { code })),
    });
    const full = createTestEngine({ storage: { ...storage, blobs: fail('ENOSPC') } });
    await expect(upload(full, '{}')).rejects.toMatchObject({ code: 'out_of_space' });
    const broken = createTestEngine({ storage: { ...storage, blobs: fail('EIO') } });
    await expect(upload(broken, '{}')).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('leaves no bytes behind where the disk is too full for the row', async () => {
    const storage = createMemoryStorage();
    let code = 'SQLITE_FULL';
    const insertFile = () => Promise.reject(Object.assign(new Error(code), { code }));
    const engine = createTestEngine({ storage: { ...storage, store: { ...storage.store, insertFile } } });
    await expect(upload(engine, '{}')).rejects.toMatchObject({ code: 'out_of_space' });
    expect(await blobs(engine)).toEqual([]);
    // After such a failure power loss may bring the row back.
    code = 'SQLITE_IOERR_FSYNC';
    await expect(upload(engine, '{}')).rejects.toMatchObject({ code: 'unavailable' });
    expect(await blobs(engine)).toHaveLength(1);
  });

  it('tells why it is refused also where its bytes cannot be discarded', async () => {
    const storage = createMemoryStorage();
    const create = async () => ({
      ...wrap(await storage.blobs.create()),
      discard: () => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' })),
    });
    const engine = createTestEngine({ storage: { ...storage, blobs: { ...storage.blobs, create } } });
    await expect(upload(engine, '{}', { purpose: 'none' })).rejects.toMatchObject({
      code: 'invalid_purpose',
    });
    const received = await engine.files.receive(bytesOf('{}'));
    await received.discard();
  });
});

/** The writer's methods as members of a plain object. */
function wrap(writer: BlobWriter): BlobWriter {
  return {
    write: (bytes) => writer.write(bytes),
    seal: () => writer.seal(),
    publish: () => writer.publish(),
    discard: () => writer.discard(),
  };
}

describe('deleting', () => {
  it('has happened also where the bytes cannot be removed at once', async () => {
    const storage = createMemoryStorage();
    const fail = () => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' }));
    const engine = createTestEngine({ storage: { ...storage, blobs: { ...storage.blobs, delete: fail } } });
    const file = await upload(engine, '{}');
    await engine.files.delete(OWNER, file.id);
    await expect(engine.files.get(OWNER, file.id)).rejects.toMatchObject({ code: 'file_not_found' });
  });

  it('removes the bytes with the last file that shares them', async () => {
    const engine = createTestEngine();
    const [first, second] = [await upload(engine, '{}'), await upload(engine, '{}')];
    expect(await blobs(engine)).toHaveLength(1);
    await engine.files.delete(OWNER, first.id);
    expect(await readText(engine, second.id)).toBe('{}');
    await engine.files.delete(OWNER, second.id);
    expect(await blobs(engine)).toEqual([]);
    await expect(engine.files.get(OWNER, second.id)).rejects.toMatchObject({ code: 'file_not_found' });
  });

  it('is refused, naming the batch, while a batch has not ended', async () => {
    const engine = createTestEngine();
    const batch = await submit(engine, [inputLine('a')]);
    await expect(engine.files.delete(OWNER, batch.inputFileId)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining(batch.id),
    });
  });

  it('never removes bytes that an equal upload is about to name', async () => {
    const engine = createTestEngine();
    for (let i = 0; i < 50; i++) {
      const old = await upload(engine, '{}');
      const [fresh] = await Promise.all([upload(engine, '{}'), engine.files.delete(OWNER, old.id)]);
      expect(await readText(engine, fresh.id)).toBe('{}');
      await engine.files.delete(OWNER, fresh.id);
    }
  });
});

describe('what is not one’s own', () => {
  it('is answered as unknown', async () => {
    const engine = createTestEngine();
    const file = await upload(engine, '{}');
    const unknown = { code: 'file_not_found', message: `No such File object: ${file.id}`, param: 'id' };
    await expect(engine.files.get('other', file.id)).rejects.toMatchObject(unknown);
    await expect(engine.files.delete('other', file.id)).rejects.toMatchObject(unknown);
    await expect(
      engine.files.list({ owner: 'other', order: 'desc', limit: 10, after: file.id }),
    ).rejects.toMatchObject(unknown);
    expect((await engine.files.list({ owner: 'other', order: 'desc', limit: 10 })).data).toEqual([]);
  });
});

describe('expiry', () => {
  it('hides a file at its time, and the janitor removes its row and bytes', async () => {
    const clock = createFakeClock();
    const engine = createTestEngine({ clock });
    const file = await upload(engine, '{}', { seconds: 3600 });
    clock.advance(3_599_999);
    expect(await removeExpiredFiles(engine.context, new AbortController().signal)).toBe(0);
    clock.advance(1);
    await expect(engine.files.get(OWNER, file.id)).rejects.toMatchObject({ code: 'file_not_found' });
    expect(await blobs(engine)).toHaveLength(1);
    expect(await removeExpiredFiles(engine.context, new AbortController().signal)).toBe(1);
    expect(await blobs(engine)).toEqual([]);
  });

  it('ends early, between two removals, where it is aborted; the rest is the sweep’s', async () => {
    const clock = createFakeClock();
    const storage = createMemoryStorage();
    const abort = new AbortController();
    const engine = createTestEngine({
      clock,
      storage: {
        ...storage,
        blobs: {
          ...storage.blobs,
          delete: async (key: string) => {
            await storage.blobs.delete(key);
            abort.abort();
          },
        },
      },
    });
    for (const text of ['{"a":1}', '{"b":1}', '{"c":1}']) await upload(engine, text, { seconds: 3600 });
    clock.advance(3_600_000);
    await expect(removeExpiredFiles(engine.context, abort.signal)).rejects.toThrow('aborted');
    expect(await blobs(engine)).toHaveLength(2);
    expect(await sweepLeftovers(engine.context, new AbortController().signal)).toMatchObject({ blobs: 2 });
  });

  it('spares the input of a batch that has not ended', async () => {
    const clock = createFakeClock();
    const engine = createTestEngine({ clock, settings: { completionWindows: ['24h', '90d'] } });
    await submit(engine, [inputLine('a')], { completionWindow: '90d' });
    clock.advance(31 * 86_400_000);
    expect(await removeExpiredFiles(engine.context, new AbortController().signal)).toBe(0);
    expect(await blobs(engine)).toHaveLength(1);
  });
});

describe('the sweep', () => {
  it('removes blobs without a row and logs of ended batches, and nothing else', async () => {
    const engine = createTestEngine();
    const kept = await upload(engine, '{}');
    const live = await submit(engine, [inputLine('a')]);
    const { blobs: store, results } = engine.context;
    const orphan = await store.create();
    await orphan.write(Buffer.from('left by a crash'));
    await orphan.seal();
    await orphan.publish();
    await results.append(live.id, [Buffer.from('x')]);
    await results.append(`batch_${'0'.repeat(32)}`, [Buffer.from('x')]);

    const swept = await sweepLeftovers(engine.context, new AbortController().signal);
    expect(swept).toEqual({ blobs: 1, abandoned: 0, logs: 1, events: 0, keys: 0 });
    expect(await readText(engine, kept.id)).toBe('{}');
    expect(await readText(engine, live.inputFileId)).not.toBe('');
    expect(await Array.fromAsync(results.list())).toEqual([live.id]);
  });

  it('removes what it can where something cannot be removed, and tells the first failure', async () => {
    const storage = createMemoryStorage();
    const fail = (what: string) => async () => {
      throw new Error(`${what} cannot be removed`);
    };
    const done: string[] = [];
    const note = (what: string) => async () => {
      done.push(what);
      return 1;
    };
    const blobs: BlobStore = {
      ...storage.blobs,
      delete: fail('a blob'),
      removeAbandoned: note('abandoned'),
    };
    const results: ResultLog = { ...storage.results, drop: fail('a log') };
    const store: Store = { ...storage.store, purgeEvents: note('events'), forgetSubmissions: note('keys') };
    const writer = await blobs.create();
    await writer.seal();
    await writer.publish();
    await results.append('batch_ended', [Buffer.from('left')]);
    const { context } = createTestEngine({ storage: { store, blobs, results } });
    await expect(sweepLeftovers(context, new AbortController().signal)).rejects.toThrow('a blob cannot');
    expect(done).toEqual(['events', 'keys', 'abandoned']);
    await expect(sweepLeftovers(context, AbortSignal.abort())).rejects.toThrow('aborted');
    expect(done).toHaveLength(3);
  });

  it('lets the blob store remove what writers left', async () => {
    const storage = createMemoryStorage();
    const engine = createTestEngine({
      storage: { ...storage, blobs: { ...storage.blobs, removeAbandoned: async () => 2 } },
    });
    const swept = await sweepLeftovers(engine.context, new AbortController().signal);
    expect(swept).toMatchObject({ blobs: 0, abandoned: 2 });
  });
});
