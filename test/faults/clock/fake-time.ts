/** A wall clock of the service that the try moves, by libfaketime. Its monotonic clock goes on as it is. */
import { existsSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Scope } from '../harness/scope.ts';

export interface FakeTime {
  /** For the service that is to have this clock. */
  readonly env: Readonly<Record<string, string>>;
  /** Sets it to so many seconds from the true time, at once and for the running process. */
  set(offsetSeconds: number): void;
}

export async function createFakeTime(scope: Scope): Promise<FakeTime> {
  const folder = await scope.folder();
  const path = join(folder, 'offset');
  function set(offsetSeconds: number): void {
    // Renamed into place: the library reads the file at each look at the clock.
    writeFileSync(`${path}.new`, `${offsetSeconds < 0 ? '' : '+'}${offsetSeconds}\n`);
    renameSync(`${path}.new`, path);
  }
  set(0);
  return {
    env: {
      LD_PRELOAD: findLibrary(),
      FAKETIME_TIMESTAMP_FILE: path,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      NO_FAKE_STAT: '1',
    },
    set,
  };
}

/** Where Debian's package has it: below the folder of the machine's architecture. */
function findLibrary(): string {
  for (const folder of readdirSync('/usr/lib')) {
    const path = `/usr/lib/${folder}/faketime/libfaketimeMT.so.1`;
    if (existsSync(path)) return path;
  }
  throw new Error('libfaketimeMT.so.1 is not below /usr/lib');
}
