import { describe, expect, it } from 'vitest';
import { RequestWindows } from '../../src/http/request-windows.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';

function createWindows() {
  const clock = createFakeClock();
  const windows = new RequestWindows(clock);
  const send = (key: string, max = 2) => {
    let answer: object | undefined;
    windows.incr(key, (_error, result) => (answer = result), 60_000, max);
    return answer;
  };
  return { clock, windows, send };
}

describe('the windows of requests', () => {
  it('begin with a first request and last their time', () => {
    const { clock, send } = createWindows();
    expect(send('a')).toEqual({ current: 1, ttl: 60_000 });
    clock.advance(59_999);
    expect(send('a')).toEqual({ current: 2, ttl: 1 });
    expect(send('a')).toEqual({ current: 3, ttl: 1 });
    expect(send('b')).toEqual({ current: 1, ttl: 60_000 });
    clock.advance(1);
    expect(send('a')).toEqual({ current: 1, ttl: 60_000 });
    expect(send('b')).toEqual({ current: 2, ttl: 59_999 });
  });

  it('do not count what was refused', () => {
    const { send } = createWindows();
    for (let i = 0; i < 9; i++) send('a');
    expect(send('a', 4)).toEqual({ current: 3, ttl: 60_000 });
  });

  it('do not care for the wall clock', () => {
    const { clock, send } = createWindows();
    send('a');
    clock.setWall(0);
    expect(send('a')).toEqual({ current: 2, ttl: 60_000 });
    clock.advance(60_000);
    expect(send('a')).toEqual({ current: 1, ttl: 60_000 });
  });

  it('are forgotten when they are over, and fifty thousand at the most are remembered', () => {
    const { clock, windows, send } = createWindows();
    for (let i = 0; i < 50_100; i++) send(`caller-${i}`);
    expect(windows.size).toBe(50_000);
    expect(send('caller-50099')).toMatchObject({ current: 2 });
    expect(send('caller-0')).toMatchObject({ current: 1 });
    clock.advance(60_000);
    send('a');
    expect(windows.size).toBe(1);
  });

  it('of another limit are others', () => {
    const { windows, send } = createWindows();
    send('a');
    expect(windows.child().size).toBe(0);
  });
});
