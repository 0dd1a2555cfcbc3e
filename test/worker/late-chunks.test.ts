import { afterEach, describe, expect, it, vi } from 'vitest';
import { createMemoryStorage } from '../../src/adapters/memory/index.ts';
import type { BlobStore, ChunkRef } from '../../src/engine/index.ts';
import { createWorker } from '../../src/worker/index.ts';
import type { Worker } from '../../src/worker/index.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import { answer, createScriptedUpstream } from '../helpers/scripted-upstream.ts';
import { createTestEngine, inputLines, OWNER, submit } from '../helpers/test-engine.ts';

const workers: Worker[] = [];

afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));
});

describe('a chunk that is read while its batch is cancelled', () => {
  /** A batch whose next chunk is being read, by a refill that a landed line began, while four lines are in flight. */
  async function startReading() {
    // Never advanced: nothing is committed meanwhile, so nothing else wakes the worker.
    const clock = createFakeClock();
    const memory = createMemoryStorage();
    let reads = 0;
    const gate = Promise.withResolvers<void>();
    const readRange: BlobStore['readRange'] = async (...range) => {
      if (++reads > 9) await gate.promise;
      return await memory.blobs.readRange(...range);
    };
    const findStoppedBatches = vi.fn((worker: string) => memory.store.findStoppedBatches(worker));
    const releaseChunks = vi.fn((chunks: readonly ChunkRef[]) => memory.store.releaseChunks(chunks));
    const upstream = createScriptedUpstream(() => (reads > 9 ? 'hold' : answer({})));
    const engine = createTestEngine({
      storage: {
        ...memory,
        store: { ...memory.store, findStoppedBatches, releaseChunks },
        blobs: { ...memory.blobs, readRange },
      },
      upstream,
      clock,
    });
    const worker = createWorker({ engine, maxConcurrency: 4 });
    workers.push(worker);
    await worker.start();
    const { id } = await submit(engine, inputLines(3000));
    await vi.waitFor(() => expect(upstream.held).toHaveLength(4), { timeout: 10_000 });
    findStoppedBatches.mockClear();
    await engine.batches.cancel(OWNER, id);
    await vi.waitFor(async () => {
      expect(await findStoppedBatches.mock.results.at(-1)?.value).toEqual([id]);
    });
    const sent = upstream.requests.length;
    const land = () => upstream.held.forEach((attempt) => attempt.settle(answer({})));
    const finish = async () => {
      await vi.waitFor(async () => {
        expect(await engine.batches.get(OWNER, id)).toMatchObject({
          status: 'cancelled',
          counts: { completed: sent, failed: 3000 - sent },
        });
      });
      expect(upstream.requests).toHaveLength(sent);
    };
    return { gate, land, finish, releaseChunks };
  }

  it('is not sent where others of the batch are still in flight', async () => {
    const { gate, land, finish } = await startReading();
    gate.resolve();
    // Until the chunk has arrived.
    await new Promise(setImmediate);
    land();
    await finish();
  });

  it('is not sent where all others were given back already', async () => {
    const { gate, land, finish, releaseChunks } = await startReading();
    land();
    await vi.waitFor(() => expect(releaseChunks).toHaveBeenCalled());
    await releaseChunks.mock.results[0]?.value;
    await new Promise(setImmediate);
    gate.resolve();
    await finish();
  });

  it('goes back with those that are being given back', async () => {
    const { gate, land, finish, releaseChunks } = await startReading();
    const release = releaseChunks.getMockImplementation();
    releaseChunks.mockImplementationOnce(async (chunks) => {
      gate.resolve();
      // Until the chunk has arrived.
      await new Promise(setImmediate);
      await release?.(chunks);
    });
    land();
    await finish();
  });
});
