import { randomFillSync } from 'node:crypto';
import { closeSync, ftruncateSync, fstatSync, openSync, writeSync } from 'node:fs';

/** Enough for some thirty removals, each of which writes a few pages. */
const RESERVE_BYTES = 2 * 1024 * 1024;
const PIECE_BYTES = 64 * 1024;

/**
 * Room on the disk that is kept for the database. Even removing something writes to it first, so a disk without any
 * room could not be tidied through the service at all. A piece of the reserve is given up for that.
 */
export interface Reserve {
  /** Frees a piece; false where there is none left. */
  spend(): boolean;
  /** Fills it up again as far as there is room. */
  restore(): void;
}

/** Keeps the reserve in the file at `path`. Fills nothing by itself. */
export function createReserve(path: string): Reserve {
  return {
    spend: () => {
      try {
        return cut(path);
      } catch {
        return false;
      }
    },
    restore: () => {
      try {
        fill(path);
      } catch {
        // The disk is full; what was kept so far stays.
      }
    },
  };
}

function cut(path: string): boolean {
  const file = openSync(path, 'r+');
  try {
    const { size } = fstatSync(file);
    ftruncateSync(file, Math.max(0, size - PIECE_BYTES));
    return size > 0;
  } finally {
    closeSync(file);
  }
}

function fill(path: string): void {
  const file = openSync(path, 'a', 0o600);
  try {
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    for (let { size } = fstatSync(file); size < RESERVE_BYTES; size += PIECE_BYTES) {
      // Not zeros: some file systems keep no room for those.
      writeSync(file, randomFillSync(piece));
    }
  } finally {
    closeSync(file);
  }
}
