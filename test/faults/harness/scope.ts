import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What a try has opened, to be closed at its end, the last one first. */
export interface Scope {
  defer(close: () => unknown): void;
  /** An empty folder that is removed at the end. */
  folder(): Promise<string>;
  close(): Promise<void>;
}

export function createScope(): Scope {
  const deferred: (() => unknown)[] = [];
  return {
    defer: (close) => void deferred.push(close),
    async folder() {
      const path = await mkdtemp(join(tmpdir(), 'anyllm-faults-'));
      deferred.push(() => rm(path, { recursive: true, force: true }));
      return path;
    },
    async close() {
      for (const close of deferred.splice(0).toReversed()) await close();
    },
  };
}
