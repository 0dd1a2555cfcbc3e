/** The monotonic clock of what is given none. */
import { onTestFinished, vi } from 'vitest';

/** Answers how to have so many milliseconds pass at once, until the test has ended. */
export function passTime(): (ms: number) => void {
  const now = performance.now.bind(performance);
  let passedMs = 0;
  const spy = vi.spyOn(performance, 'now').mockImplementation(() => now() + passedMs);
  onTestFinished(() => spy.mockRestore());
  return (ms) => {
    passedMs += ms;
  };
}
