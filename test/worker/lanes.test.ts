import { describe, expect, it } from 'vitest';
import type { ChunkRun, Line } from '../../src/engine/index.ts';
import { createLanes } from '../../src/worker/lanes.ts';
import { createModelWindows } from '../../src/worker/model-windows.ts';
import { createSuspects } from '../../src/worker/suspects.ts';

const open = () => true;

/** A chunk with `lines` lines, without what only the engine needs. */
function fakeRun(options: {
  batch: string;
  lines?: number;
  model?: string;
  priority?: number;
  expiresAt?: number;
  owner?: string;
  weight?: number;
  hasMore?: boolean;
}): ChunkRun {
  const { batch, lines = 1, model = 'm', priority = 0, expiresAt = 1000 } = options;
  const { owner = 'ann', weight = 1, hasMore = false } = options;
  let left = lines;
  const run = {
    batch: { id: batch, owner, weight, priority, expiresAt },
    model,
    hasMore,
    nextSuspicion: 'free',
    bytes: lines * 10,
    stopped: false,
    get untaken() {
      return run.stopped ? 0 : left;
    },
    take() {
      left--;
      return { run, place: left } as unknown as Line;
    },
  };
  return run as unknown as ChunkRun;
}

function takeBatches(lanes: ReturnType<typeof createLanes>, count: number): (string | null)[] {
  return Array.from({ length: count }, () => lanes.takeNext(open)?.run.batch.id ?? null);
}

describe('picking the next line', () => {
  it('shares the slots evenly between batches of equal priority', () => {
    const lanes = createLanes(createSuspects(), createModelWindows({ maxConcurrency: 64 }));
    lanes.addRun(fakeRun({ batch: 'large', lines: 100 }));
    expect(takeBatches(lanes, 3)).toEqual(['large', 'large', 'large']);
    lanes.addRun(fakeRun({ batch: 'small', lines: 3 }));
    expect(takeBatches(lanes, 4)).toEqual(['small', 'small', 'small', 'large']);
  });

  it('takes a higher priority first, whatever is in flight', () => {
    const lanes = createLanes(createSuspects(), createModelWindows({ maxConcurrency: 64 }));
    lanes.addRun(fakeRun({ batch: 'normal', lines: 5 }));
    lanes.addRun(fakeRun({ batch: 'urgent', lines: 2, priority: 10 }));
    expect(takeBatches(lanes, 3)).toEqual(['urgent', 'urgent', 'normal']);
  });

  it('takes the nearer deadline first where all else is equal', () => {
    const lanes = createLanes(createSuspects(), createModelWindows({ maxConcurrency: 64 }));
    lanes.addRun(fakeRun({ batch: 'later', expiresAt: 2000 }));
    lanes.addRun(fakeRun({ batch: 'sooner', expiresAt: 1000 }));
    expect(takeBatches(lanes, 3)).toEqual(['sooner', 'later', null]);
  });

  it('shares a batch’s slots between its models, and passes over a model whose gate is closed', () => {
    const windows = createModelWindows({ maxConcurrency: 64 });
    const lanes = createLanes(createSuspects(), windows);
    for (const model of ['one', 'two']) {
      lanes.addRun(fakeRun({ batch: 'b', model, lines: 10 }));
      windows.noteAnswer(model);
    }
    const models = Array.from({ length: 4 }, () => lanes.takeNext(open)?.run.model);
    expect(models.filter((model) => model === 'one')).toHaveLength(2);
    expect(lanes.takeNext((model) => model !== 'one')?.run.model).toBe('two');
    expect(lanes.readyLines).toBe(15);
    expect(lanes.countReady((model) => model !== 'one')).toBe(7);
    expect(lanes.takeNext(() => false)).toBeNull();
  });

  it('takes lines that are due again before new ones', () => {
    const lanes = createLanes(createSuspects(), createModelWindows({ maxConcurrency: 64 }));
    lanes.addRun(fakeRun({ batch: 'b', lines: 3 }));
    const first = lanes.takeNext(open) as Line;
    lanes.landed(first);
    lanes.putBack(first);
    expect(lanes.takeNext(open)).toBe(first);
  });

  it('passes over a suspect that is due again while another one of its chunk has its turn', () => {
    const suspects = createSuspects();
    const lanes = createLanes(suspects, createModelWindows({ maxConcurrency: 64 }));
    lanes.addRun(fakeRun({ batch: 'b', lines: 3 }));
    const [suspect, free, other] = Array.from({ length: 3 }, () => lanes.takeNext(open) as Line);
    if (suspect === undefined || free === undefined || other === undefined) return expect.unreachable();
    suspects.began(other);
    suspect.suspicion = 'suspect';
    free.suspicion = 'free';
    for (const line of [suspect, free]) {
      lanes.landed(line);
      lanes.putBack(line);
    }
    expect([lanes.takeNext(open), lanes.takeNext(open), lanes.readyLines]).toEqual([free, null, 1]);
    suspects.ended(other);
    expect([lanes.takeNext(open), lanes.readyLines]).toEqual([suspect, 0]);
  });
});

describe('picking among owners', () => {
  const createThem = () => createLanes(createSuspects(), createModelWindows({ maxConcurrency: 64 }));

  it('keeps as many in flight of each, however many batches each has and whatever their priorities are', () => {
    const lanes = createThem();
    lanes.addRun(fakeRun({ batch: 'a1', lines: 9, priority: 9 }));
    lanes.addRun(fakeRun({ batch: 'a2', lines: 9 }));
    lanes.addRun(fakeRun({ batch: 'b', owner: 'bob', lines: 9 }));
    expect(takeBatches(lanes, 6)).toEqual(['a1', 'b', 'a1', 'b', 'a1', 'b']);
  });

  it('gives each as much as its weight says', () => {
    const lanes = createThem();
    lanes.addRun(fakeRun({ batch: 'a', lines: 99 }));
    lanes.addRun(fakeRun({ batch: 'b', owner: 'bob', weight: 3, lines: 99 }));
    const taken = takeBatches(lanes, 40);
    expect([taken.filter((id) => id === 'a').length, taken.filter((id) => id === 'b').length]).toEqual([
      10, 30,
    ]);
  });

  it('heeds a new weight from the next chunk on', () => {
    const lanes = createThem();
    lanes.addRun(fakeRun({ batch: 'a', lines: 99 }));
    lanes.addRun(fakeRun({ batch: 'b', owner: 'bob', lines: 5 }));
    takeBatches(lanes, 4);
    lanes.addRun(fakeRun({ batch: 'b', owner: 'bob', weight: 4, lines: 9 }));
    expect(takeBatches(lanes, 6)).toEqual(Array(6).fill('b'));
  });

  it('lets each wait its turn where all have as much: with fewer slots than owners none is left out', () => {
    const lanes = createThem();
    for (const owner of ['x', 'y', 'z']) {
      lanes.addRun(fakeRun({ batch: `${owner}1`, owner, lines: 2, priority: owner === 'x' ? 9 : 0 }));
    }
    const order: string[] = [];
    for (let i = 0; i < 6; i++) {
      const line = lanes.takeNext(open) as Line;
      order.push(line.run.batch.owner);
      lanes.landed(line);
    }
    expect(order).toEqual(['x', 'y', 'z', 'x', 'y', 'z']);
  });
});

describe('the figures of the lanes', () => {
  it('count ready lines, held bytes and the top priority through take, put back, stop and removal', () => {
    const lanes = createLanes(createSuspects(), createModelWindows({ maxConcurrency: 64 }));
    const run = fakeRun({ batch: 'b', lines: 3, priority: 7 });
    lanes.addRun(run);
    lanes.addRun(fakeRun({ batch: 'c', priority: 3 }));
    expect([lanes.readyLines, lanes.heldBytes]).toEqual([4, 40]);
    expect(lanes.topPriorities()).toEqual(new Map([['ann', 7]]));
    const line = lanes.takeNext(open) as Line;
    expect(lanes.readyLines).toBe(3);
    lanes.landed(line);
    lanes.putBack(line);
    expect(lanes.readyLines).toBe(4);
    const lane = lanes.all.get('b');
    if (lane === undefined) return expect.unreachable();
    lanes.stop(lane);
    expect([lanes.readyLines, lanes.heldBytes]).toEqual([1, 40]);
    expect(lanes.topPriorities()).toEqual(new Map([['ann', 3]]));
    lanes.putBack(line);
    expect(lanes.readyLines).toBe(1);
    lanes.removeRun(run);
    lanes.removeIfEmpty(lane);
    expect([lanes.heldBytes, lanes.all.size]).toEqual([10, 1]);
  });

  it('tell whether a batch has chunks left in the store, but no lines here that were not taken yet', () => {
    const lanes = createLanes(createSuspects(), createModelWindows({ maxConcurrency: 64 }));
    const run = fakeRun({ batch: 'b', lines: 2, hasMore: true });
    lanes.addRun(run);
    lanes.addRun(fakeRun({ batch: 'last' }));
    takeBatches(lanes, 2);
    expect(lanes.hasDry()).toBe(false);
    takeBatches(lanes, 1);
    expect(lanes.hasDry()).toBe(true);
    lanes.addRun(fakeRun({ batch: 'b', hasMore: false }));
    takeBatches(lanes, 1);
    expect(lanes.hasDry()).toBe(false);
  });

  it('count no lines of a chunk that arrives for a batch that stopped, and send none', () => {
    const lanes = createLanes(createSuspects(), createModelWindows({ maxConcurrency: 64 }));
    lanes.addRun(fakeRun({ batch: 'b' }));
    const lane = lanes.all.get('b');
    if (lane === undefined) return expect.unreachable();
    lanes.stop(lane);
    const late = fakeRun({ batch: 'b', lines: 3 });
    lanes.addRun(late);
    expect([late.stopped, lane.runs.has(late)]).toEqual([true, true]);
    const stopped = fakeRun({ batch: 'c', lines: 3 });
    stopped.stopped = true;
    lanes.addRun(stopped);
    expect([lanes.readyLines, lanes.heldBytes, lanes.takeNext(open)]).toEqual([0, 70, null]);
    lanes.removeRun(late);
    lanes.removeRun(stopped);
    expect(lanes.heldBytes).toBe(10);
  });

  it('keep the lane that follows one of the same batch', () => {
    const lanes = createLanes(createSuspects(), createModelWindows({ maxConcurrency: 64 }));
    const run = fakeRun({ batch: 'b' });
    lanes.addRun(run);
    const gone = lanes.all.get('b');
    if (gone === undefined) return expect.unreachable();
    lanes.removeRun(run);
    lanes.removeIfEmpty(gone);
    lanes.addRun(fakeRun({ batch: 'b' }));
    lanes.removeIfEmpty(gone);
    expect(lanes.readyLines).toBe(1);
    expect(lanes.takeNext(open)).not.toBeNull();
  });

  it('keep a lane whose lines still fly, and drop models that are done', () => {
    const lanes = createLanes(createSuspects(), createModelWindows({ maxConcurrency: 64 }));
    const run = fakeRun({ batch: 'b' });
    lanes.addRun(run);
    const line = lanes.takeNext(open) as Line;
    const lane = lanes.all.get('b');
    if (lane === undefined) return expect.unreachable();
    lanes.removeRun(run);
    lanes.removeIfEmpty(lane);
    expect(lanes.all.size).toBe(1);
    lanes.landed(line);
    expect(lane.queues.size).toBe(0);
    lanes.removeIfEmpty(lane);
    expect(lanes.all.size).toBe(0);
  });
});
