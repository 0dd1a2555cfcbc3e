import { describe, expect, it } from 'vitest';
import type { ChunkRun } from '../../src/engine/index.ts';
import { createModelWindows } from '../../src/worker/model-windows.ts';

const runOf = (model: string): ChunkRun => ({ model }) as ChunkRun;

describe('the slots of a model', () => {
  it('are all of them while it is alone, whether it has answered or not', () => {
    const windows = createModelWindows({ maxConcurrency: 40 });
    windows.addRun(runOf('a'));
    for (let i = 0; i < 40; i++) windows.began('a');
    expect(windows.hasRoom('a')).toBe(true);
    expect(windows.allOpen).toBe(true);
  });

  it('are a fiftieth beside another model until it has answered once', () => {
    const windows = createModelWindows({ maxConcurrency: 100 });
    for (const model of ['dead', 'alive']) windows.addRun(runOf(model));
    expect(windows.allOpen).toBe(false);
    for (const model of ['dead', 'dead', 'alive', 'alive']) windows.began(model);
    expect([windows.hasRoom('dead'), windows.hasRoom('alive')]).toEqual([false, false]);
    windows.noteAnswer('alive');
    expect([windows.hasRoom('dead'), windows.hasRoom('alive')]).toEqual([false, true]);
    windows.noteAnswer('dead');
    expect(windows.allOpen).toBe(true);
  });

  it('are at least one', () => {
    const windows = createModelWindows({ maxConcurrency: 2 });
    for (const model of ['a', 'b']) windows.addRun(runOf(model));
    expect(windows.hasRoom('a')).toBe(true);
    windows.began('a');
    expect(windows.hasRoom('a')).toBe(false);
  });

  it('shrink again when a request times out, and are remembered while the model has no lines', () => {
    const windows = createModelWindows({ maxConcurrency: 20 });
    const [a, b] = [runOf('a'), runOf('b')];
    windows.addRun(a);
    windows.noteAnswer('a');
    windows.removeRun(a);
    windows.addRun(a);
    windows.addRun(b);
    expect([windows.isOnTrial('a'), windows.isOnTrial('b')]).toEqual([false, true]);
    windows.noteSilence('a');
    expect(windows.isOnTrial('a')).toBe(true);
  });

  it('count requests that outlive their chunk', () => {
    const windows = createModelWindows({ maxConcurrency: 20 });
    const run = runOf('a');
    windows.addRun(run);
    windows.addRun(runOf('b'));
    windows.began('a');
    windows.removeRun(run);
    windows.addRun(run);
    expect(windows.hasRoom('a')).toBe(false);
    windows.ended('a');
    expect(windows.hasRoom('a')).toBe(true);
    windows.removeRun(run);
    // b is alone now.
    expect(windows.allOpen).toBe(true);
  });

  it('count the chunks of models on trial', () => {
    const windows = createModelWindows({ maxConcurrency: 20 });
    const runs = ['a', 'a', 'b', 'b', 'b'].map(runOf);
    windows.addRun(runs[0] as ChunkRun);
    expect(windows.runsOnTrial).toBe(0);
    for (const run of runs.slice(1)) windows.addRun(run);
    expect(windows.runsOnTrial).toBe(5);
    windows.noteAnswer('b');
    windows.noteAnswer('b');
    expect(windows.runsOnTrial).toBe(2);
    windows.noteSilence('b');
    windows.removeRun(runs[4] as ChunkRun);
    expect(windows.runsOnTrial).toBe(4);
    windows.noteAnswer('a');
    for (const run of runs.slice(0, 2)) windows.removeRun(run);
    windows.addRun(runOf('c'));
    expect(windows.runsOnTrial).toBe(3);
  });

  it('are forgotten, the longest known first, rather than remembered without end', () => {
    const windows = createModelWindows({ maxConcurrency: 20 });
    for (const model of ['m0', 'other']) windows.addRun(runOf(model));
    for (let i = 0; i <= 1000; i++) windows.noteAnswer(`m${i}`);
    expect(windows.isOnTrial('m0')).toBe(true);
  });

  it('are told of as unused once no chunk of the model is held and no request of it in flight', () => {
    const unused: string[] = [];
    const windows = createModelWindows({ maxConcurrency: 20, onUnused: (model) => unused.push(model) });
    windows.addRun(runOf('a'));
    windows.addRun(runOf('a'));
    windows.removeRun(runOf('a'));
    windows.began('a');
    windows.removeRun(runOf('a'));
    expect(unused).toEqual([]);
    windows.ended('a');
    expect(unused).toEqual(['a']);
  });
});
