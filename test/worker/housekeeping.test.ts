import { expect, it, onTestFinished, vi } from 'vitest';
import { createMemoryStorage } from '../../src/adapters/memory/index.ts';
import { createWorker } from '../../src/worker/index.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import { bytesOf, createTestEngine, OWNER } from '../helpers/test-engine.ts';

it('removes expired files also while nothing else can be stored', async () => {
  const clock = createFakeClock();
  const storage = createMemoryStorage();
  const full = () => Promise.reject(Object.assign(new Error('no space'), { code: 'SQLITE_FULL' }));
  const store = { ...storage.store, claimBatchStep: full, claimChunks: full, expireBatches: full };
  const engine = createTestEngine({ clock, storage: { ...storage, store } });
  await engine.files.upload({
    owner: OWNER,
    filename: 'f.jsonl',
    purpose: 'batch',
    expiresAfterSeconds: 3600,
    source: bytesOf('{}'),
  });
  const worker = createWorker({ engine });
  await worker.start();
  onTestFinished(() => worker.stop());
  await vi.waitFor(async () => {
    clock.advance(1_800_000);
    expect(await Array.fromAsync(engine.context.blobs.list())).toEqual([]);
  });
});

it('removes the parts of expired uploads', async () => {
  const clock = createFakeClock();
  const engine = createTestEngine({ clock });
  const { id } = await engine.uploads.create({ owner: OWNER, filename: 'f', purpose: 'evals', bytes: 2 });
  await (await engine.uploads.receivePart({ owner: OWNER, id }, bytesOf('{}'))).store();
  const worker = createWorker({ engine });
  await worker.start();
  onTestFinished(() => worker.stop());
  await vi.waitFor(async () => {
    clock.advance(900_000);
    expect(await Array.fromAsync(engine.context.blobs.list())).toEqual([]);
  });
  expect((await engine.context.store.getUpload(OWNER, id, 0))?.status).toBe('expired');
});

it('leaves the sweep to whichever worker has its turn', async () => {
  const clock = createFakeClock();
  const storage = createMemoryStorage();
  let mine = false;
  const store = { ...storage.store, takeTurn: async () => mine };
  const engine = createTestEngine({ clock, storage: { ...storage, store } });
  const writer = await engine.context.blobs.create();
  await writer.write(Buffer.from('left by a crash'));
  await writer.seal();
  await writer.publish();
  const worker = createWorker({ engine });
  await worker.start();
  onTestFinished(() => worker.stop());
  const blobs = () => Array.fromAsync(engine.context.blobs.list());
  // Expired files are everybody's: by then the sweep at the start is over.
  await engine.files.upload({
    owner: OWNER,
    filename: 'f.jsonl',
    purpose: 'batch',
    expiresAfterSeconds: 3600,
    source: bytesOf('{}'),
  });
  await vi.waitFor(async () => {
    clock.advance(1_800_000);
    expect(await blobs()).toHaveLength(1);
  });
  mine = true;
  await vi.waitFor(async () => {
    clock.advance(1_800_000);
    expect(await blobs()).toEqual([]);
  });
});
