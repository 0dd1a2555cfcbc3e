import { describe, expect, it } from 'vitest';
import { createUpstreamGates } from '../../src/worker/upstream-gates.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import { createRecordingLog } from '../helpers/recording-log.ts';

function setUp() {
  const clock = createFakeClock();
  const log = createRecordingLog();
  let opened = 0;
  const gates = createUpstreamGates({ clock, log, firstPauseMs: 500, onOpen: () => opened++ });
  return { clock, log, gates, opened: () => opened };
}

describe('the gate of an upstream that cannot be reached', () => {
  it('lets one line probe after each pause, which doubles up to 30 s', () => {
    const { clock, gates } = setUp();
    gates.noteUnreachable('m', 'refused');
    for (const pauseMs of [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]) {
      clock.advance(pauseMs - 1);
      expect(gates.isOpen('m')).toBe(false);
      clock.advance(1);
      expect(gates.isOpen('m')).toBe(true);
      gates.noteSent('m');
      expect(gates.isOpen('m')).toBe(false);
      gates.noteUnreachable('m', 'refused');
    }
  });

  it('does not lengthen the pause for lines that were on their way already', () => {
    const { clock, gates } = setUp();
    for (let i = 0; i < 64; i++) gates.noteUnreachable('m', 'refused');
    clock.advance(500);
    expect(gates.isOpen('m')).toBe(true);
  });

  it('opens for all when a probe gets through, and says so', () => {
    const { clock, log, gates, opened } = setUp();
    gates.noteUnreachable('m', 'refused');
    clock.advance(500);
    gates.noteSent('m');
    gates.noteReached('m');
    expect(gates.isOpen('m')).toBe(true);
    gates.noteSent('m');
    expect(gates.isOpen('m')).toBe(true);
    expect(opened()).toBe(2);
    expect(log.entries.map((entry) => entry.level)).toEqual(['warn', 'info']);
  });

  it('stays open for other models', () => {
    const { gates } = setUp();
    gates.noteUnreachable('dead', 'refused');
    expect(gates.isOpen('living')).toBe(true);
  });

  it('lets another line probe where the probe was aborted', () => {
    const { clock, gates } = setUp();
    gates.noteUnreachable('m', 'refused');
    clock.advance(500);
    gates.noteSent('m');
    gates.noteUntold('m');
    expect(gates.isOpen('m')).toBe(true);
  });

  it('opens for all when a probe is in flight for so long that it must have a connection', () => {
    const { clock, gates, opened } = setUp();
    gates.noteUnreachable('m', 'refused');
    clock.advance(500);
    gates.noteSent('m');
    // By then an upstream that cannot be connected to has said so.
    clock.advance(10_000);
    expect(gates.isOpen('m')).toBe(false);
    clock.advance(5000);
    expect(gates.isOpen('m')).toBe(true);
    expect(gates.allOpen).toBe(true);
    expect(opened()).toBe(2);
    gates.noteReached('m');
    expect(opened()).toBe(2);
  });

  it.each(['noteUnreachable', 'noteUntold', 'noteReached'] as const)(
    'is opened by no probe that ended before: %s',
    (note) => {
      const { clock, gates } = setUp();
      gates.noteUnreachable('m', 'refused');
      clock.advance(500);
      gates.noteSent('m');
      gates[note]('m', 'refused');
      gates.noteUnreachable('m', 'refused');
      clock.advance(15_000);
      expect(gates.allOpen).toBe(false);
    },
  );

  it('is forgotten with the last line of its model', () => {
    const { clock, gates } = setUp();
    gates.noteUnreachable('m', 'refused');
    gates.forget('m');
    gates.forget('never seen');
    expect([gates.allOpen, gates.isOpen('m'), clock.timers]).toEqual([true, true, 0]);
  });

  it('leaves no timer behind', () => {
    const { clock, gates } = setUp();
    for (const model of ['paused', 'probed']) gates.noteUnreachable(model, 'refused');
    clock.advance(500);
    gates.noteSent('probed');
    gates.close();
    expect(clock.timers).toBe(0);
  });
});
