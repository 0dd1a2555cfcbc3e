/** Between two lines on one thing pass at least so many milliseconds. */
const INTERVAL_MS = 5000;

/** Says now and then how far something is. */
export interface Progress {
  /** To be called often. */
  at(line: () => string): void;
}

export function createProgress(say: (line: string) => void): Progress {
  let last = performance.now();
  return {
    at(line) {
      const now = performance.now();
      if (now - last < INTERVAL_MS) return;
      last = now;
      say(line());
    },
  };
}

const UNITS = ['bytes', 'KB', 'MB', 'GB', 'TB'];

/** A number of bytes for people, e.g. `3.1 GB`. */
export function sizeText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}
