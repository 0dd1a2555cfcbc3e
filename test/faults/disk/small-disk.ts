/** A disk of a few megabytes that is filled up and emptied again when the try says so. */
import { spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, openSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Scope } from '../harness/scope.ts';

export interface SmallDisk {
  /** A data folder on it. */
  readonly dataDir: string;
  /** Bytes that can still be written. */
  readonly free: number;
  /** Takes all room but `leave` bytes (rounded down to whole pages). */
  fill(leave?: number): void;
  /** Gives back the room that `fill` took. */
  empty(): void;
}

const PAGE_BYTES = 4096;

/** Mounts it for the try; its fault needs root. */
export async function mountSmallDisk(
  scope: Scope,
  { megabytes }: { readonly megabytes: number },
): Promise<SmallDisk> {
  const root = await scope.folder();
  run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', root]);
  scope.defer(() => run('umount', [root]));
  const ballast = join(root, 'ballast');
  const free = (): number => {
    const { bavail, bsize } = statfsSync(root);
    return bavail * bsize;
  };
  return {
    dataDir: join(root, 'data'),
    get free() {
      return free();
    },
    fill(leave = 0) {
      const file = openSync(ballast, 'a');
      try {
        for (let pages = 256; pages >= 1; pages /= 2) {
          while (free() - pages * PAGE_BYTES >= leave) writeSync(file, Buffer.alloc(pages * PAGE_BYTES));
        }
      } catch (error) {
        // The service took the last pages in the meantime.
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      } finally {
        closeSync(file);
      }
    },
    empty() {
      const file = openSync(ballast, 'a');
      ftruncateSync(file, 0);
      closeSync(file);
    },
  };
}

function run(command: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
}
