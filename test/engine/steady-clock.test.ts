import { describe, expect, it } from 'vitest';
import { createSteadyClock, JUMP_MS, readClocks, STEADY_MS } from '../../src/engine/steady-clock.ts';
import type { ClockState } from '../../src/engine/steady-clock.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import { createRecordingLog } from '../helpers/recording-log.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

describe('readClocks', () => {
  const sure: ClockState = { offset: 1000, doubt: null };

  it.each([0, 1, -1, JUMP_MS, -JUMP_MS])('follows a move of %d ms at once', (ms) => {
    expect(readClocks(sure, 1000 + 50 + ms, 50)).toEqual({ offset: 1000 + ms, doubt: null });
  });

  it.each([JUMP_MS + 1, -JUMP_MS - 1, 400 * DAY, -400 * DAY])('doubts a jump of %d ms', (ms) => {
    const doubted = readClocks(sure, 1000 + 50 + ms, 50);
    expect(doubted).toEqual({ offset: 1000, doubt: { offset: 1000 + ms, since: 50 } });
    const last = 50 + STEADY_MS - 1;
    expect(readClocks(doubted, last + 1000 + ms, last)).toEqual(doubted);
    expect(readClocks(doubted, last + 1 + 1000 + ms, last + 1)).toEqual({ offset: 1000 + ms, doubt: null });
    expect(readClocks(doubted, last + 1000 + 7, last)).toEqual({ offset: 1007, doubt: null });
  });

  it('begins anew with each further jump', () => {
    const first = readClocks(sure, 1000 + HOUR, 0);
    const second = readClocks(first, 1000 + 2 * HOUR + 9, 9);
    expect(second).toEqual({ offset: 1000, doubt: { offset: 1000 + 2 * HOUR, since: 9 } });
  });
});

describe('a steady clock', () => {
  it('tells the wall time, and follows small steps forth', () => {
    const clock = createFakeClock();
    const steady = createSteadyClock(clock, createRecordingLog());
    clock.advance(5 * DAY);
    for (let step = 0; step < 10; step++) {
      expect(steady.now()).toBe(clock.now());
      clock.setWall(clock.now() + JUMP_MS);
    }
  });

  it('stands still after a small step back until it is made up for, but not for ever', () => {
    const clock = createFakeClock();
    const steady = createSteadyClock(clock, createRecordingLog());
    const before = steady.now();
    clock.setWall(before - JUMP_MS);
    expect(steady.now()).toBe(before);
    clock.advance(JUMP_MS - 1);
    expect(steady.now()).toBe(before);
    clock.advance(2);
    expect(steady.now()).toBe(before + 1);
    clock.setWall(before + 1 - JUMP_MS);
    steady.now();
    clock.setWall(before + 1 - 2 * JUMP_MS);
    expect(steady.now()).toBe(before + 1 - 2 * JUMP_MS);
  });

  it.each([HOUR, -HOUR, 400 * DAY, -400 * DAY])(
    'goes on through a jump of %d ms that is taken back',
    (ms) => {
      const clock = createFakeClock();
      const log = createRecordingLog();
      const steady = createSteadyClock(clock, log);
      const before = clock.now();
      clock.setWall(before + ms);
      expect(steady.now()).toBe(before);
      expect(steady.wall()).toBe(before + ms);
      clock.advance(9 * MINUTE);
      expect(steady.now()).toBe(before + 9 * MINUTE);
      clock.setWall(before + 9 * MINUTE + 3);
      expect(steady.now()).toBe(before + 9 * MINUTE + 3);
      expect(log.entries.map(({ level, message }) => `${level}: ${message}`)).toEqual([
        expect.stringMatching(/^warn: the wall clock has jumped/),
        'info: the wall clock is back where it was',
      ]);
    },
  );

  it.each([HOUR, -HOUR, 400 * DAY, -400 * DAY])('believes a jump of %d ms that stays', (ms) => {
    const clock = createFakeClock();
    const log = createRecordingLog();
    const steady = createSteadyClock(clock, log);
    const before = clock.now();
    clock.setWall(before + ms);
    for (let minute = 0; minute < 10; minute++) {
      expect(steady.now()).toBe(before + minute * MINUTE);
      clock.advance(MINUTE);
    }
    expect(steady.now()).toBe(clock.now());
    expect(log.entries.map(({ fields }) => fields)).toEqual([
      { seconds: ms / 1000, steadyMinutes: 10 },
      { seconds: ms / 1000 },
    ]);
  });
});
