import { describe, expect, it } from 'vitest';
import type { Engine } from '../../../src/engine/index.ts';
import { NO_LIMITS } from '../../../src/engine/owners/owner.ts';
import { createTestEngine, OWNER } from '../../helpers/test-engine.ts';

function createLimited(maxStoredBytes: number): Engine {
  return createTestEngine({ settings: { ownerLimits: { ...NO_LIMITS, maxStoredBytes } } });
}

const upload = (engine: Engine, text: string, owner = OWNER) =>
  engine.files.upload({ owner, filename: 'a', purpose: 'user_data', source: [Buffer.from(text)] });

async function countBlobs(engine: Engine): Promise<number> {
  return (await Array.fromAsync(engine.context.blobs.list())).length;
}

const refusal = (max: number, used: number, added: number) => ({
  code: 'storage_limit_exceeded',
  message: `The owner '${OWNER}' may store at most ${max} bytes (max_stored_bytes) and has stored ${used}: there is no room for ${added} more. Delete files that are no longer needed.`,
});

describe('the bytes that an owner may store', () => {
  it('end a stream that has no room, however much would come', async () => {
    const engine = createLimited(10);
    await upload(engine, 'four');
    let sent = 0;
    const source = (function* () {
      for (; sent < 1000; sent++) yield Buffer.from('abc');
    })();
    const refused = engine.files.upload({ owner: OWNER, filename: 'a', purpose: 'user_data', source });
    await expect(refused).rejects.toMatchObject(refusal(10, 4, 9));
    expect(sent).toBeLessThan(4);
    expect(await countBlobs(engine)).toBe(1);
  });

  it('let in one of two streams that end at once, and keep nothing of the other', async () => {
    const engine = createLimited(7);
    const [a, b] = await Promise.all(
      ['four', 'FOUR'].map((text) => engine.files.receive([Buffer.from(text)], { owner: OWNER })),
    );
    const options = { owner: OWNER, filename: 'a', purpose: 'user_data' };
    const results = await Promise.allSettled([a?.store(options), b?.store(options)]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect(results[1]).toMatchObject({ reason: refusal(7, 4, 4) });
    expect(await countBlobs(engine)).toBe(1);
  });

  it('are asked for where a file is stored whose owner was not told before', async () => {
    const engine = createLimited(3);
    const received = await engine.files.receive([Buffer.from('four')]);
    const options = { owner: OWNER, filename: 'a', purpose: 'user_data' };
    await expect(received.store(options)).rejects.toMatchObject(refusal(3, 0, 4));
    expect(await countBlobs(engine)).toBe(0);
  });

  it('do not take from another owner the bytes that a refused file shares with its', async () => {
    const engine = createLimited(4);
    const theirs = await upload(engine, 'four', 'other');
    await upload(engine, 'FOUR');
    await expect(upload(engine, 'four')).rejects.toMatchObject(refusal(4, 4, 4));
    expect(await Array.fromAsync(engine.files.read(theirs))).toEqual([Buffer.from('four')]);
  });

  it('have room again when a file is deleted', async () => {
    const engine = createLimited(4);
    const file = await upload(engine, 'four');
    await expect(upload(engine, 'a')).rejects.toMatchObject(refusal(4, 4, 1));
    await engine.files.delete(OWNER, file.id);
    await upload(engine, 'FOUR');
  });
});

describe('the bytes of an upload in parts', () => {
  const create = (engine: Engine, bytes: number) =>
    engine.uploads.create({ owner: OWNER, filename: 'a', purpose: 'user_data', bytes });
  const add = async (engine: Engine, id: string, text: string) =>
    await (await engine.uploads.receivePart({ owner: OWNER, id }, [Buffer.from(text)])).store();

  it('are refused when they are declared, stored, or made a file', async () => {
    const engine = createLimited(10);
    await expect(create(engine, 11)).rejects.toMatchObject(refusal(10, 0, 11));
    const { id } = await create(engine, 10);
    const parts = [await add(engine, id, 'fives'), await add(engine, id, 'fives')];
    await upload(engine, 'four');
    await expect(add(engine, id, 'ab')).rejects.toMatchObject(refusal(10, 9, 2));
    // The same part once more takes no room.
    await add(engine, id, 'fives');
    const complete = () =>
      engine.uploads.complete({ owner: OWNER, id, partIds: parts.map((part) => part.id) });
    await expect(complete()).rejects.toMatchObject(refusal(10, 9, 5));
    expect(await countBlobs(engine)).toBe(2);
    await engine.owners.change(OWNER, { maxStoredBytes: 14 });
    expect((await complete()).file.blob.bytes).toBe(10);
    expect((await engine.owners.get(OWNER)).usage.storedBytes).toBe(14);
  });

  it('let in one of two parts that come at once, and keep nothing of the other', async () => {
    const engine = createLimited(7);
    const { id } = await create(engine, 7);
    await engine.owners.change(OWNER, { maxStoredBytes: 5 });
    const results = await Promise.allSettled([add(engine, id, 'aaa'), add(engine, id, 'bbb')]);
    expect(results.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect(await countBlobs(engine)).toBe(1);
  });
});
