import { describe, expect } from 'vitest';
import { decodeSegmentLines } from '../../src/engine/run/chunk.ts';
import {
  aSegment,
  chunksOf,
  claim,
  claimStepOf,
  finishOf,
  startBatch,
  T0,
  wholeSegment,
} from '../helpers/store-fixtures.ts';
import type { StoreIt } from './store-test.ts';

/** What is read of a batch while it runs. */
export function describeLive(it: StoreIt): void {
  describe('a batch that runs', () => {
    it('shows its segments in the order of their commits, and those after one', async ({ store }) => {
      const { id } = await startBatch(store, {}, chunksOf(2));
      const other = await startBatch(store);
      const chunks = await claim(store);
      const [first, second] = chunks.filter(({ batch }) => batch.id === id).map(({ chunk }) => chunk);
      const foreign = chunks.find(({ batch }) => batch.id === other.id)?.chunk;
      if (first === undefined || second === undefined || foreign === undefined) return expect.unreachable();
      const commits = [
        aSegment(second, [1], { logPosition: 0 }),
        aSegment(foreign, [0], { logPosition: 0 }),
        aSegment(first, [2, 0], { logPosition: 10, failed: [0] }),
        aSegment(second, [0], { logPosition: 30 }),
      ];
      for (const segment of commits) await store.commitSegments([segment], T0);

      const all = await store.readSegmentsAfter(id, 0, 10);
      expect(all.map(({ logPosition }) => logPosition)).toEqual([0, 10, 30]);
      expect(decodeSegmentLines(all[1]?.lines ?? new Uint8Array())).toEqual(commits[2]?.lines);
      expect(all.map(({ seq }) => seq)).toEqual(all.map(({ seq }) => seq).toSorted((a, b) => a - b));
      expect(await store.readSegmentsAfter(id, 0, 2)).toEqual(all.slice(0, 2));
      expect(await store.readSegmentsAfter(id, all[0]?.seq ?? 0, 10)).toEqual(all.slice(1));
      expect(await store.readSegmentsAfter(id, all[2]?.seq ?? 0, 10)).toEqual([]);
      expect(await store.readSegmentsAfter('batch_unknown', 0, 10)).toEqual([]);
    });

    it('shows its events as they are written, also when it has ended, and no segments then', async ({
      store,
    }) => {
      const { id } = await startBatch(store);
      await startBatch(store);
      expect((await store.readBatchEvents(id)).map(({ type }) => type)).toEqual([
        'batch.queued',
        'batch.in_progress',
      ]);
      const claims = await claim(store);
      await store.commitSegments(
        claims.map(({ chunk }) => wholeSegment(chunk)),
        T0,
      );
      await store.finishBatch(finishOf(await claimStepOf(store, id), 'completed'));
      const events = await store.readBatchEvents(id);
      expect(events.map(({ type }) => type)).toEqual([
        'batch.queued',
        'batch.in_progress',
        'batch.completed',
      ]);
      expect(events[2]).toEqual({
        id: expect.stringMatching(/^evt_/),
        owner: 'ann',
        batchId: id,
        format: 'openai',
        type: 'batch.completed',
        createdAt: T0,
      });
      expect(await store.readSegmentsAfter(id, 0, 10)).toEqual([]);
      expect(await store.readBatchEvents('batch_unknown')).toEqual([]);
    });
  });
}
