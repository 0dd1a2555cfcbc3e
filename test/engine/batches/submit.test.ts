import { describe, expect, it } from 'vitest';
import { createMemoryStorage } from '../../../src/adapters/memory/index.ts';
import type { Store, SubmitUploadRequest } from '../../../src/engine/index.ts';
import { createTestEngine, inputLine, OWNER } from '../../helpers/test-engine.ts';

const REQUEST: SubmitUploadRequest = {
  owner: OWNER,
  filename: 'made.jsonl',
  endpoint: '/v1/messages',
  completionWindow: '24h',
  format: 'anthropic',
  lines: 1,
};

/** An engine that notes the verbs of its store which write. */
function start(replaced: Partial<Store> = {}) {
  const storage = createMemoryStorage();
  const writes: string[] = [];
  const noting = (name: 'insertFile' | 'createBatch' | 'submitBatch', store: Store) => ({
    [name]: async (...args: never[]) => {
      writes.push(name);
      return await (store[name] as (...args: never[]) => Promise<unknown>)(...args);
    },
  });
  const inner = { ...storage.store, ...replaced };
  const store: Store = {
    ...inner,
    ...noting('insertFile', inner),
    ...noting('createBatch', inner),
    ...noting('submitBatch', inner),
  };
  const engine = createTestEngine({ storage: { ...storage, store }, settings: { maxBatchBytes: 10 } });
  const blobs = async () => (await Array.fromAsync(storage.blobs.list())).length;
  return { engine, writes, blobs, receive: () => engine.files.receive([Buffer.from(`${inputLine('a')}\n`)]) };
}

describe('a batch over an upload', () => {
  it('becomes true together with its input file, in one step of the store', async () => {
    const { engine, writes, receive } = start();
    const batch = await engine.batches.createOver(await receive(), REQUEST);
    expect(writes).toEqual(['submitBatch']);
    expect(await engine.batches.get(OWNER, batch.id)).toEqual(batch);
    expect(batch).toMatchObject({ status: 'validating', format: 'anthropic', counts: { total: 1 } });
    expect(await engine.files.get(OWNER, batch.inputFileId)).toMatchObject({
      purpose: 'batch',
      filename: 'made.jsonl',
    });
  });

  it('that is refused leaves neither file nor bytes', async () => {
    const { engine, writes, blobs, receive } = start();
    const faults: [Partial<SubmitUploadRequest>, object][] = [
      [{ endpoint: '/v1/other' }, { code: 'invalid_value', param: 'endpoint' }],
      [{ restrictions: { models: null, endpoints: ['/v1/responses'] } }, { code: 'not_allowed' }],
      [{ format: 'openai', endpoint: '/v1/responses' }, { code: 'too_large' }],
    ];
    for (const [fields, error] of faults) {
      const made = engine.batches.createOver(await receive(), { ...REQUEST, ...fields });
      await expect(made).rejects.toMatchObject(error);
    }
    expect([writes, await blobs()]).toEqual([[], 0]);
  });

  it.each([
    ['ENOSPC', 'out_of_space', 0],
    // The commit may have come through; the next sweep knows.
    ['EIO', 'unavailable', 1],
  ])('that cannot be stored for %s leaves no file', async (code, told, left) => {
    const { engine, blobs, receive } = start({
      submitBatch: () => Promise.reject(Object.assign(new Error('no'), { code })),
    });
    await expect(engine.batches.createOver(await receive(), REQUEST)).rejects.toMatchObject({ code: told });
    expect((await engine.files.list({ owner: OWNER, order: 'asc', limit: 10 })).data).toEqual([]);
    expect(await blobs()).toBe(left);
  });
});
